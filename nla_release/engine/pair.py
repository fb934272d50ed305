"""The pair on its base: activations to words, words to activations."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from nla_release.adapter.stack import stack
from nla_release.base_model.source import HubOptions
from nla_release.contract.explanation import Explanation
from nla_release.contract.sidecar import (
    Dtype,
    Quantization,
    Role,
    Sidecar,
    disagreements,
    read_sidecar,
)
from nla_release.engine.adapters import attach, load_head
from nla_release.engine.base import DeviceMap, LoadedBase
from nla_release.engine.folders import pair_folders, read_reference_mean
from nla_release.engine.on_base import OnBase, load_for
from nla_release.engine.reconstructor import Reconstructor, Texts
from nla_release.engine.verbalizer import Vectors, Verbalizer, checked_vectors
from nla_release.errors import DataError, PairError
from nla_release.io.files import sha256_file
from nla_release.io.layout import ADAPTER_FILE
from nla_release.statistics.formulas import cosine_rows


@dataclass(frozen=True)
class Scores:
    """How N texts reconstruct N activations, see `Pair.score`.

    Attributes:
        centred: `[N]` cosines after the training mean is subtracted.
        cosine: `[N]` plain cosines.
        reconstructions: `[N, d_model]`, what the AR reads out of the texts.
    """

    centred: torch.Tensor
    cosine: torch.Tensor
    reconstructions: torch.Tensor


class Pair(OnBase):
    """An AV and an AR on one base in memory.

    Attributes:
        base: the model, its tokenizer, and where both came from.
        av: the AV's sidecar.
        ar: the AR's sidecar.

    Examples:
        >>> pair = Pair.from_pretrained("ns/name-av-v0_0_1", revision="v0.0.1")
        >>> found = pair.activations(["The rose bloomed"])  # of the last token
        >>> (said,) = pair.explain(found.vectors)
        >>> print(found.tokens, said.text)
        >>> print(pair.score(found.vectors, [said]).centred)
    """

    def __init__(
        self,
        base: LoadedBase,
        model: Any,
        head: torch.nn.Linear,
        av: Sidecar,
        ar: Sidecar,
        find_mean: Callable[[], npt.NDArray[np.float32]] | None = None,
    ) -> None:
        super().__init__(base, model, {"av": av, "ar": ar})
        self.av = av
        self.ar = ar
        self._verbalizer = Verbalizer(base, model, av)
        self._reconstructor = Reconstructor(base, model, head, ar)
        self._find_mean = find_mean

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        ar: str | Path | None = None,
        *,
        base: str | Path | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        device: str | None = None,
        device_map: DeviceMap | None = None,
        quantization: Quantization | None = None,
        dtype: Dtype | None = None,
    ) -> Self:
        """Load a pair and refuse it when its parts do not belong together.

        Args:
            source: the AV's Hub id or folder, or a folder with `av` and `ar` in it.
            ar: the AR's Hub id or folder; by default the partner that the AV's sidecar names, at
                the tag of its version.
            base: folder or Hub id of the base; the sidecar's id and revision by default.
            revision: tag or commit of both adapters on the Hub.
            token: for the Hub; what `hf auth login` or HF_TOKEN gives, by default.
            cache_dir: where downloads are kept; the Hub client's cache by default.
            local_files_only: use only what was downloaded before.
            device: torch device; CUDA when there is one, by default.
            device_map: in place of `device`, how to spread the base over devices, such as "auto".
            quantization: "nf4" to load the base in 4 bits.
            dtype: of weights and computation; what the adapters were trained with, by default.

        Raises:
            InputError: a file of the pair is missing or damaged.
            PairError: the adapters disagree with each other, the base, or its tokenizer; or the AR
                was not given, and the AV's sidecar names none.
            EnvironmentProblem: something cannot be downloaded or loaded here.
        """
        options = HubOptions(token=token, cache_dir=cache_dir, local_files_only=local_files_only)
        folders = pair_folders(source, ar, revision, **options)
        sidecars = {role: read_sidecar(folder, role) for role, folder in folders.items()}
        if differences := disagreements(sidecars["av"], sidecars["ar"]):
            raise PairError(f"AV and AR are not one pair: {'; '.join(differences)}")
        _check_partners(folders, sidecars)
        stacks = {role: stack(folder, sidecars[role]) for role, folder in folders.items()}
        head = load_head(folders["ar"], sidecars["ar"])
        loaded = load_for(
            sidecars,
            base,
            quantization=quantization,
            dtype=dtype,
            device=device,
            device_map=device_map,
            options=options,
        )
        local = Path(source).is_dir()
        find_mean = partial(
            read_reference_mean,
            folders["av"] if local else source,
            revision,
            sidecars["av"].d_model,
            **options,
        )
        model = attach(loaded, stacks)
        return cls(loaded, model, head, sidecars["av"], sidecars["ar"], find_mean)

    def explain(
        self,
        vectors: Vectors,
        *,
        max_new_tokens: int = 200,
        batch_size: int = 16,
        scale_factor: float = 1.0,
    ) -> list[Explanation]:
        """Explanations of activations `[N, d_model]`, decoded greedily.

        Args:
            vectors: N activations; only their direction matters.
            max_new_tokens: most tokens of an explanation.
            batch_size: how many run at once.
            scale_factor: vectors are injected at so many times the sidecar's scale.

        Returns:
            N explanations: `text`, `status` (ok, empty, truncated or unparsed; only ok has a text)
            and `raw`, all that the AV wrote.

        Raises:
            DataError: the vectors are not `[N, d_model]` or not finite.
        """
        return self._verbalizer.explain(
            vectors,
            max_new_tokens=max_new_tokens,
            batch_size=batch_size,
            scale_factor=scale_factor,
        )

    def reconstruct(self, texts: Texts, *, batch_size: int = 16) -> torch.Tensor:
        """Activations `[N, d_model]`, float32 on the CPU, that the AR reads out of N texts.

        Args:
            texts: texts or explanations.
            batch_size: texts of a usual length that run at once.

        Raises:
            DataError: it is one text and not a list of them.
        """
        return self._reconstructor.reconstruct(texts, batch_size=batch_size)

    def score(
        self,
        vectors: Vectors,
        texts: Texts,
        *,
        mean: Vectors | None = None,
        batch_size: int = 16,
    ) -> Scores:
        """How well texts reconstruct activations, row by row.

        With g an activation, r the AR's reconstruction of its text, u(x) = x / |x|, and m the mean
        of the training activations' unit vectors:

            plain    cos(g, r)
            centred  cos(u(g) - m, u(r) - m)

        Compare with the score of other rows' texts: where activations share most of their
        direction, every plain cosine is near 1. An explanation that failed scores 0 in both.

        Args:
            vectors: activations `[N, d_model]`.
            texts: N texts or explanations.
            mean: m `[d_model]`; that of the pair's published evidence by default, which is
                downloaded for it once.
            batch_size: texts of a usual length that run at once.

        Raises:
            DataError: the vectors are not `[N, d_model]` or not finite, texts are more or fewer, or
                there is no evidence to take the mean from.
            EnvironmentProblem: the evidence cannot be downloaded.
        """
        gold = checked_vectors(vectors, self.d_model)
        again = self.reconstruct(texts, batch_size=batch_size)
        if len(again) != len(gold):
            raise DataError(f"{len(gold)} vectors and {len(again)} texts: each needs the other")
        m = self._mean if mean is None else checked_vectors(mean[None], self.d_model)[0].numpy()
        said = [not isinstance(text, Explanation) or text.status == "ok" for text in texts]
        plain, centred = (
            torch.from_numpy(np.where(said, cosine_rows(gold.numpy(), again.numpy(), around), 0.0))
            for around in (None, m.astype(np.float64))
        )
        return Scores(centred.float(), plain.float(), again)

    @cached_property
    def _mean(self) -> npt.NDArray[np.float32]:
        if self._find_mean is None:
            raise DataError("this pair has no evidence", hint="give mean=...")
        return self._find_mean()


def _check_partners(folders: dict[Role, Path], sidecars: dict[Role, Sidecar]) -> None:
    """A released sidecar names its partner's adapter by hash."""
    others: dict[Role, Role] = {"av": "ar", "ar": "av"}
    for role, other in others.items():
        partner = sidecars[role].nla_release.partner
        path = folders[other] / ADAPTER_FILE
        if partner is not None and partner.sha256 != (found := sha256_file(path)):
            raise PairError(
                f"the {role.upper()} was released with {partner.repo} {partner.version}, whose"
                f" adapter has sha256 {partner.sha256[:12]}; {path} has {found[:12]}",
                hint="load both adapters of one release, at the same tag",
            )


def load_published(folders: dict[Role, Path], base: Path | None) -> str:
    """Load a pair, or one half of it, on its base with PEFT.

    Args:
        folders: the adapters.
        base: a folder to take the base from; the sidecar's id and revision otherwise.

    Returns:
        What was loaded on what.

    Raises:
        InputError: a file is damaged.
        PairError: an adapter does not fit the base, or the halves do not fit each other.
        EnvironmentProblem: the base cannot be downloaded or loaded here.
    """
    if len(folders) == 2:
        pair = Pair.from_pretrained(folders["av"], folders["ar"], base=base)
        return f"AV and AR on {pair.av.nla_release.base.id}"
    ((role, folder),) = folders.items()
    half = (Verbalizer if role == "av" else Reconstructor).from_pretrained(folder, base=base)
    return f"{role.upper()} on {half.sidecar.nla_release.base.id}"
