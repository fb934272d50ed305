"""The labeller and, when the recipe has one, the auditor: one text, one outcome."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nla_release.training.labelling.answers import Answer, LabelStatus, read_audit, read_label
from nla_release.training.labelling.costs import Tally
from nla_release.training.labelling.endpoint import Asking, Pace, UnansweredError
from nla_release.training.labelling.request import Cache, auditor_messages, labeller_messages
from nla_release.training.recipe import Endpoint


@dataclass(frozen=True)
class Outcome:
    """What became of one text.

    `explanation` is None unless the status is ok; `draft` is what an auditor was shown; `answers`
    are the models' own, in order; `reason` says why there is no explanation.
    """

    status: LabelStatus
    explanation: str | None
    reason: str | None
    draft: str | None
    answers: tuple[Answer, ...]
    requests: int


async def label_text(asking: Asking, settings: Endpoint, text: str) -> Outcome:
    """Label one text, in one pass or two.

    Raises:
        EnvironmentProblem: the endpoint answers nothing any more.
        ConfigError: it does not know the model.
    """
    answers: list[Answer] = []
    draft = None
    try:
        answers.append(await asking.answer(labeller_messages(settings, text)))
        reading = read_label(answers[-1])
        if reading.status == "ok" and settings.auditor is not None:
            draft = reading.text
            answers.append(await asking.answer(auditor_messages(settings, text, draft)))
            reading = read_audit(answers[-1])
    except UnansweredError as error:
        spent = sum(answer.requests for answer in answers) + error.requests
        return Outcome("failed", None, error.reason, draft, tuple(answers), spent)
    return Outcome(
        reading.status,
        reading.text or None,
        reading.reason,
        draft,
        tuple(answers),
        sum(answer.requests for answer in answers),
    )


async def label_texts(
    texts: Sequence[str],
    settings: Endpoint,
    cache: Cache,
    *,
    processes: int,
    advance: Callable[[int, str], None],
) -> tuple[list[Outcome], Tally]:
    """Label many, several at a time.

    Args:
        texts: each once.
        settings: of the recipe; concurrency and rate are those of all processes together.
        cache: of answers.
        processes: how many do this at the same time.
        advance: is told how many are done, and what went wrong so far.

    Returns:
        The outcomes in the order of the texts, and what they took.

    Raises:
        EnvironmentProblem: the endpoint answers nothing any more.
        ConfigError: it does not know the model.
    """
    rate = settings.requests_per_minute
    pace = Pace(rate / processes if rate else None)
    tally = Tally()
    outcomes: dict[int, Outcome] = {}
    waiting = iter(enumerate(texts))

    async def work(asking: Asking) -> None:
        for at, text in waiting:
            outcomes[at] = await label_text(asking, settings, text)
            advance(len(outcomes), _note(tally))

    async with Asking(settings, cache, tally, pace) as asking:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(max(1, settings.concurrency // processes)):
                    group.create_task(work(asking))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
    return [outcomes[at] for at in range(len(texts))], tally


def _note(tally: Tally) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in sorted(tally.faults.items()))
