"""The pair on its base: activations to words, words to activations."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import numpy.typing as npt
import torch
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from nla_release.adapter.stack import FOLDER_NAME as STACK_FOLDER_NAME
from nla_release.adapter.stack import stack
from nla_release.adapter.weights import ADAPTER_FILE_NAME, CONFIG_FILE_NAME
from nla_release.contract.explanation import Explanation, read_explanation
from nla_release.contract.pairing import disagreements
from nla_release.contract.prompt import check_replay, check_suffix
from nla_release.contract.sidecar import FILE_NAME as SIDECAR_FILE_NAME
from nla_release.contract.sidecar import (
    HEAD_FILE_NAME,
    Dtype,
    Quantization,
    Role,
    Sidecar,
    read_sidecar,
)
from nla_release.engine.adapters import attach, load_head, use
from nla_release.engine.architecture import block_count, width_of
from nla_release.engine.base import Base, load_base
from nla_release.engine.batches import halving
from nla_release.engine.decoding import Decoding
from nla_release.engine.hooks import injecting
from nla_release.engine.reader import Reader
from nla_release.errors import DataError, EnvironmentProblem, PairError
from nla_release.hub_client.client import reading_client
from nla_release.io.files import sha256_file

Vectors = torch.Tensor | npt.NDArray[Any]

_ADAPTER_FILES = [
    CONFIG_FILE_NAME,
    ADAPTER_FILE_NAME,
    HEAD_FILE_NAME,
    SIDECAR_FILE_NAME,
    f"{STACK_FOLDER_NAME}/*",
]


@dataclass(frozen=True)
class Scores:
    """What a pair made of N activations: explanations, reconstructions `[N, d]`, cosines `[N]`.

    The cosine of a failed explanation is 0.
    """

    explanations: list[Explanation]
    reconstructions: torch.Tensor
    cosine: torch.Tensor


class Pair:
    """One base in memory with two adapters, AV and AR, and the AR's head.

    Examples:
        >>> pair = Pair.from_pretrained("ns/name-av-v0_0_1", "ns/name-ar-v0_0_1", revision="v0.0.1")
        >>> texts = pair.explain(vectors)          # [N, d_model] -> N texts
        >>> vectors_again = pair.reconstruct(texts)  # N texts -> [N, d_model]
    """

    def __init__(
        self, base: Base, model: Any, head: torch.nn.Linear, av: Sidecar, ar: Sidecar
    ) -> None:
        self.base = base
        self.av = av
        self.ar = ar
        self._model = model
        self._reader = Reader(base, model, head, ar)

    @classmethod
    def from_pretrained(
        cls,
        av: str | Path,
        ar: str | Path,
        base: str | Path | None = None,
        revision: str | None = None,
        quantization: Quantization | None = None,
        device: str | None = None,
        dtype: Dtype | None = None,
    ) -> "Pair":
        """Load a pair and refuse it when its parts do not belong together.

        Args:
            av: the AV's folder or Hub id.
            ar: the AR's folder or Hub id.
            base: folder or Hub id to take the base from; the sidecar's id and revision otherwise.
            revision: tag or commit of both adapters, when they come from the Hub.
            quantization: "nf4" to load the base in 4 bits.
            device: torch device; CUDA when there is one, by default.
            dtype: of weights and computation; what the adapters were trained with, by default.

        Raises:
            InputError: a file of the pair is missing or damaged.
            PairError: the adapters disagree with each other, the base, or its tokenizer.
            EnvironmentProblem: something cannot be downloaded or loaded here.
        """
        folders: dict[Role, Path] = {
            "av": _folder(av, revision),
            "ar": _folder(ar, revision),
        }
        sidecars = {role: read_sidecar(folder, role) for role, folder in folders.items()}
        if differences := disagreements(sidecars["av"], sidecars["ar"]):
            raise PairError(f"AV and AR are not one pair: {'; '.join(differences)}")
        _check_partners(folders, sidecars)
        stacks = {role: stack(folder, sidecars[role]) for role, folder in folders.items()}
        declared = sidecars["av"].nla_release.base
        head = load_head(folders["ar"], sidecars["ar"])
        loaded = load_base(
            str(base or declared.id),
            None if base else declared.revision,
            quantization=quantization,
            dtype=dtype or declared.dtype,
            device=device,
        )
        _check_base(loaded, sidecars["av"], sidecars["ar"])
        model = attach(loaded, stacks)
        return cls(loaded, model, head, sidecars["av"], sidecars["ar"])

    def explain(
        self, vectors: Vectors, *, max_new_tokens: int = 200, batch_size: int = 16
    ) -> list[str]:
        """Explanations of activations `[N, d_model]`, greedy; "" where the AV failed."""
        found = self.verbalize(vectors, max_new_tokens=max_new_tokens, batch_size=batch_size)
        return [explanation.text for explanation in found]

    def verbalize(
        self,
        vectors: Vectors,
        *,
        max_new_tokens: int = 200,
        batch_size: int = 16,
        scale_factor: float = 1.0,
    ) -> list[Explanation]:
        """As `explain`, with the status and the raw output of each.

        Vectors are injected at `scale_factor` times the sidecar's scale.

        Raises:
            DataError: the vectors are not `[N, d_model]` or not finite.
        """
        checked = self._checked(vectors)
        use(self._model, "av")
        injection, tokenizer = self.av.injection, self.base.tokenizer
        scale = injection.scale * scale_factor
        decoding = Decoding(
            self._model,
            injection.prompt_token_ids,
            injection.marker_position - 1,  # injection looks at the marker's left neighbour too
            end=tokenizer.eos_token_id,
            pad=self.base.pad_id,
            device=self.base.device,
        )

        def generate(rows: Sequence[int]) -> list[Explanation]:
            batch = checked[list(rows)]
            marked = injecting(self._model, batch, self.av.tokens, scale)
            said = decoding.rows(len(batch), max_new_tokens, marked)
            return [self._explanation(row) for row in said]

        return [
            explanation
            for at in range(0, len(checked), batch_size)
            for explanation in halving(range(len(checked))[at : at + batch_size], generate)
        ]

    def reconstruct(self, texts: Sequence[str], *, batch_size: int = 16) -> torch.Tensor:
        """Activations `[N, d_model]`, float32 on the CPU, that the AR reads out of texts.

        Texts of like length are read together, so that a batch may hold more than `batch_size`.
        """
        if isinstance(texts, str):
            raise DataError("reconstruct takes a list of texts, not one text")
        return self._reader.reconstruct(texts, batch_size=batch_size)

    def score(self, vectors: Vectors, *, max_new_tokens: int = 200, batch_size: int = 16) -> Scores:
        """Round trip of activations `[N, d_model]`: explain, reconstruct, compare."""
        gold = self._checked(vectors)
        explanations = self.verbalize(gold, max_new_tokens=max_new_tokens, batch_size=batch_size)
        ok = torch.tensor([item.status == "ok" for item in explanations])
        again = self.reconstruct([item.text for item in explanations], batch_size=batch_size)
        cosine = torch.nn.functional.cosine_similarity(gold, again, dim=-1)
        return Scores(explanations, again, torch.where(ok, cosine, torch.zeros_like(cosine)))

    def _explanation(self, generated: Sequence[int]) -> Explanation:
        tokenizer = self.base.tokenizer
        raw = tokenizer.decode(generated, skip_special_tokens=True)
        return read_explanation(raw, ended=tokenizer.eos_token_id in generated)

    def _checked(self, vectors: Vectors) -> torch.Tensor:
        tensor = torch.as_tensor(
            np.asarray(vectors) if isinstance(vectors, np.ndarray) else vectors
        )
        tensor = tensor.detach().float().cpu()
        if tensor.ndim != 2 or tensor.shape[1] != self.av.d_model:
            raise DataError(
                f"vectors have shape {list(tensor.shape)}, this pair takes [N, {self.av.d_model}]"
            )
        if not torch.isfinite(tensor).all():
            bad = (~torch.isfinite(tensor).all(dim=1)).nonzero().flatten().tolist()
            raise DataError(f"vectors {bad[:8]} hold NaN or infinity")
        return tensor


def _check_base(base: Base, av: Sidecar, ar: Sidecar) -> None:
    width = width_of(base.model)
    deepest = max(av.extraction_layer_index, ar.head.blocks - 1)
    if width != av.d_model:
        raise PairError(
            f"the pair is for d_model {av.d_model}, base {av.nla_release.base.id} has {width}"
        )
    if deepest >= (blocks := block_count(base.model)):
        raise PairError(f"the pair needs block {deepest}, the base has blocks 0 to {blocks - 1}")
    check_replay(av, base.encode, base.tokenizer.unk_token_id, base.chat)
    check_suffix(ar, base.encode)


def _check_partners(folders: dict[Role, Path], sidecars: dict[Role, Sidecar]) -> None:
    """A released sidecar names its partner's adapter by hash."""
    others: dict[Role, Role] = {"av": "ar", "ar": "av"}
    for role, other in others.items():
        partner = sidecars[role].nla_release.partner
        path = folders[other] / ADAPTER_FILE_NAME
        if partner is not None and partner.sha256 != (found := sha256_file(path)):
            raise PairError(
                f"the {role.upper()} was released with {partner.repo} {partner.version}, whose"
                f" adapter has sha256 {partner.sha256[:12]}; {path} has {found[:12]}",
                hint="load both adapters of one release, at the same tag",
            )


def _folder(source: str | Path, revision: str | None) -> Path:
    if (path := Path(source)).is_dir():
        return path
    reading_client()
    try:
        downloaded = huggingface_hub.snapshot_download(
            str(source), revision=revision, allow_patterns=_ADAPTER_FILES
        )
    except HFValidationError as error:
        raise PairError(f"{source} is neither a folder nor a Hub id") from error
    except (HfHubHTTPError, OSError) as error:
        raise EnvironmentProblem(
            f"{source} (revision {revision or 'main'}) cannot be downloaded: {error}",
            hint="check the id, the revision, HF_ENDPOINT and your login",
        ) from error
    return Path(downloaded)
