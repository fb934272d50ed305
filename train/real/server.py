"""A small server of chat completions: SmolLM2-135M-Instruct behind OpenAI's API, on this machine.

It stands in for a paid endpoint, such as that of `train label`. It answers
`POST /v1/chat/completions` and knows `messages`, `max_tokens` and `temperature`. Requests that wait
are answered together as one batch.

A model this small seldom keeps to a form that it is asked for, and seldom ends. So the form is
constrained, as other servers do it by a grammar: the answer is one sentence in one of the tags that
the last line of the last message names, the one that the model finds likeliest. The sentence is the
model's own.
"""

import asyncio
import contextlib
import re
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Self

import torch
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from nla_release.errors import InputError
from nla_release.io.documents import parse_json

MODEL = "SmolLM2-135M-Instruct-Q4_1"
# Prompts that are answered together; the longest decides how long all take.
BATCH = 16
_MOST_TOKENS = 512
_TAG = re.compile(r"<(\w+)>[^<]*</\1>")
# What ends a sentence, as `generate` looks for it and as it is cut off.
_ENDS = [". ", "! ", "? ", "\n"]
_SENTENCE = re.compile(r".*?[.!?](?=\s)|[^\n]*")


@dataclass
class _Asked:
    prompt: str
    tags: list[str]
    most_tokens: int
    temperature: float
    answer: "asyncio.Future[dict[str, Any]]"


class ChatServer:
    """Answers prompts with a loaded model while its `with` block runs.

    `base_url` is what an OpenAI client is given. Port 0 takes a free one.
    """

    def __init__(self, model: Any, tokenizer: Any, *, port: int = 0) -> None:
        self._model, self._tokenizer = model, tokenizer
        tokenizer.padding_side = "left"
        # An answer begins with a word, not with an empty line.
        self._blank = [
            token
            for token, text in enumerate(
                tokenizer.batch_decode([[it] for it in range(len(tokenizer))])
            )
            if not text.strip()
        ]
        self._waiting: asyncio.Queue[_Asked] = asyncio.Queue()
        app = Starlette(
            routes=[Route("/v1/chat/completions", self._complete, methods=["POST"])],
            lifespan=self._working,
        )
        config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.05)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.base_url = f"http://127.0.0.1:{port}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    async def _complete(self, request: Request) -> JSONResponse:
        try:
            body = parse_json(await request.body(), "the request")
            prompt = self._tokenizer.apply_chat_template(
                body["messages"], tokenize=False, add_generation_prompt=True
            )
            most = min(int(body.get("max_tokens") or _MOST_TOKENS), _MOST_TOKENS)
            temperature = float(body.get("temperature") or 0.0)
        except (InputError, KeyError, TypeError, ValueError) as error:
            return JSONResponse({"error": {"message": f"invalid request: {error!r}"}}, 400)
        last_line = str(body["messages"][-1]["content"]).rstrip().rpartition("\n")[2]
        tags = _TAG.findall(last_line)
        asked = _Asked(prompt, tags, most, temperature, asyncio.get_running_loop().create_future())
        await self._waiting.put(asked)
        return JSONResponse(await asked.answer)

    @contextlib.asynccontextmanager
    async def _working(self, _app: Starlette) -> AsyncIterator[None]:
        worker = asyncio.create_task(self._answer())
        yield
        worker.cancel()

    async def _answer(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            await asyncio.sleep(0.02)  # for what is on its way
            while len(batch) < BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            for asked, found in zip(
                batch, await asyncio.to_thread(self._generate, batch), strict=True
            ):
                asked.answer.set_result(found)

    @torch.inference_mode()
    def _generate(self, batch: list[_Asked]) -> list[dict[str, Any]]:
        tokenizer = self._tokenizer
        chosen = [self._likeliest(asked) for asked in batch]
        encoded = tokenizer(
            [
                asked.prompt + (f"<{tag}>" if tag else "")
                for asked, tag in zip(batch, chosen, strict=True)
            ],
            return_tensors="pt",
            padding=True,
            add_special_tokens=False,
        )
        temperature = batch[0].temperature
        output = self._model.generate(
            **encoded,
            max_new_tokens=max(asked.most_tokens for asked in batch),
            do_sample=temperature > 0,
            temperature=temperature or None,
            begin_suppress_tokens=self._blank if all(chosen) else None,
            # Nothing after a sentence in a tag is used.
            stop_strings=[*_ENDS, *{f"</{tag}>" for tag in chosen}] if all(chosen) else None,
            tokenizer=tokenizer,
            pad_token_id=tokenizer.pad_token_id,
        )
        prompts = encoded["attention_mask"].sum(dim=1).tolist()
        said = output[:, encoded["input_ids"].shape[1] :].tolist()
        return [
            self._completion(asked, tag, ids, prompt)
            for asked, tag, ids, prompt in zip(batch, chosen, said, prompts, strict=True)
        ]

    def _likeliest(self, asked: _Asked) -> str | None:
        """The tag that the model would begin with, of those that it may answer in."""
        if len(asked.tags) < 2:
            return asked.tags[0] if asked.tags else None
        tokenizer = self._tokenizer
        start = len(tokenizer(asked.prompt, add_special_tokens=False)["input_ids"])
        scores = {}
        for tag in asked.tags:
            text = f"{asked.prompt}<{tag}>"
            ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
            logits = self._model(input_ids=ids).logits[0, start - 1 : -1].float()
            own = ids[0, start:]
            scores[tag] = float(logits.log_softmax(-1)[range(len(own)), own].mean())
        return max(scores, key=scores.__getitem__)

    def _completion(
        self, asked: _Asked, tag: str | None, ids: list[int], prompt: int
    ) -> dict[str, Any]:
        ids = list(_until(ids, self._tokenizer.eos_token_id))[: asked.most_tokens]
        ended = len(ids) < asked.most_tokens
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        if tag:
            text = in_tag(tag, text, ended=ended)
            ended = text.endswith(f"</{tag}>")
        return {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": MODEL,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": "stop" if ended else "length",
                }
            ],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": len(ids),
                "total_tokens": prompt + len(ids),
            },
        }


def in_tag(tag: str, text: str, *, ended: bool) -> str:
    """The first sentence of a text in a tag, which stays open where the limit cut the text off."""
    inside, closed, _ = text.partition(f"</{tag}>")
    inside = inside.lstrip()
    found = _SENTENCE.match(inside)
    sentence = found[0] if found else inside
    if ended or closed or len(sentence) < len(inside):
        return f"<{tag}>{sentence.rstrip()}</{tag}>"
    return f"<{tag}>{sentence}"


def _until(ids: list[int], end: int) -> Iterator[int]:
    for each in ids:
        if each == end:
            return
        yield each
