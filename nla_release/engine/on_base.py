"""What `Pair`, `Verbalizer` and `Reconstructor` have in common: adapters on a base."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

from nla_release.adapter.stack import stack
from nla_release.base_model.source import HubOptions
from nla_release.contract.prompt import check_replay, check_suffix
from nla_release.contract.sidecar import Dtype, Quantization, Role, Sidecar, read_sidecar
from nla_release.engine.adapters import attach
from nla_release.engine.architecture import block_count, width_of
from nla_release.engine.base import DeviceMap, LoadedBase, load_base
from nla_release.engine.extraction import Positions, TokenActivations, token_activations
from nla_release.engine.folders import adapter_folder
from nla_release.errors import PairError


class OnBase:
    """A base model in memory with one or both adapters on it.

    Attributes:
        base: the model, its tokenizer, and where both came from.
    """

    def __init__(self, base: LoadedBase, model: Any, sidecars: Mapping[Role, Sidecar]) -> None:
        self.base = base
        self._model = model
        self._sidecars = sidecars

    @property
    def d_model(self) -> int:
        """The width of an activation."""
        return self._any.d_model

    @property
    def layer(self) -> int:
        """K: activations are the output of decoder block K, `hidden_states[K + 1]`."""
        return self._any.extraction_layer_index

    def activations(
        self, texts: Sequence[str], positions: Positions = -1, *, batch_size: int = 16
    ) -> TokenActivations:
        """Activations of texts: what block `layer` of the base puts out, without the adapters.

        Texts are encoded with the tokenizer's special tokens, as in training extraction.

        Args:
            texts: any number of texts.
            positions: the last token by default. Another position for all texts, counted from the
                end where it is negative; "all"; or a list of positions for each text.
            batch_size: texts of a usual length that run at once.

        Raises:
            DataError: a text has no token, or more than the base reads; a position is outside of
                its text; or an activation is not finite.
        """
        with self.base_alone():
            return token_activations(self.base, self.layer, texts, positions, batch_size=batch_size)

    @contextmanager
    def base_alone(self) -> Iterator[LoadedBase]:
        """The base, whose adapters have no effect inside."""
        with self._model.disable_adapter():
            yield self.base

    def to(self, device: str) -> Self:
        """Move the base and its adapters to another torch device; returns this object.

        Raises:
            ConfigError: there is no such device, or the base is spread over several.
            EnvironmentProblem: this machine has none.
        """
        self.base.to(device)
        return self

    def __repr__(self) -> str:
        declared = self._any.nla_release.base
        held = f"{self.base.quantization} {self.base.dtype}".removeprefix("None ")
        return (
            f"{type(self).__name__}(base={declared.id!r}, revision={declared.revision!r},"
            f" layer={self.layer}, d_model={self.d_model}, precision={held!r},"
            f" device={self.base.device!r})"
        )

    @property
    def _any(self) -> Sidecar:
        """A sidecar: what it says of base, layer and width holds for both of a pair."""
        return next(iter(self._sidecars.values()))


class OneAdapter(OnBase):
    """One adapter on its base.

    Attributes:
        sidecar: the adapter's.
    """

    role: ClassVar[Role]

    def __init__(self, base: LoadedBase, model: Any, sidecar: Sidecar) -> None:
        super().__init__(base, model, {self.role: sidecar})
        self.sidecar = sidecar

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
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
        """Load one adapter on its base.

        Args:
            source: its Hub id or folder.
            base: folder or Hub id of the base; the sidecar's id and revision by default.
            revision: tag or commit of the adapter on the Hub.
            token: for the Hub; what `hf auth login` or HF_TOKEN gives, by default.
            cache_dir: where downloads are kept; the Hub client's cache by default.
            local_files_only: use only what was downloaded before.
            device: torch device; CUDA when there is one, by default.
            device_map: in place of `device`, how to spread the base over devices, such as "auto".
            quantization: "nf4" to load the base in 4 bits.
            dtype: of weights and computation; what the adapter was trained with, by default.

        Raises:
            InputError: a file is missing or damaged.
            PairError: the adapter does not fit the base or its tokenizer.
            EnvironmentProblem: something cannot be downloaded or loaded here.
        """
        options = HubOptions(token=token, cache_dir=cache_dir, local_files_only=local_files_only)
        folder = adapter_folder(source, revision, **options)
        sidecars = {cls.role: read_sidecar(folder, cls.role)}
        loaded = load_for(
            sidecars,
            base,
            quantization=quantization,
            dtype=dtype,
            device=device,
            device_map=device_map,
            options=options,
        )
        model = attach(loaded, {cls.role: stack(folder, sidecars[cls.role])})
        return cls._of(loaded, model, sidecars[cls.role], folder)

    @classmethod
    def _of(cls, base: LoadedBase, model: Any, sidecar: Sidecar, _folder: Path) -> Self:
        """The object, with what else it needs from the adapter's folder."""
        return cls(base, model, sidecar)


def load_for(
    sidecars: Mapping[Role, Sidecar],
    base: str | Path | None,
    *,
    quantization: Quantization | None,
    dtype: Dtype | None,
    device: str | None,
    device_map: DeviceMap | None,
    options: HubOptions,
) -> LoadedBase:
    """The base that one or both adapters were trained on, and not another.

    Raises:
        PairError: it is too narrow or too shallow, or its tokenizer renders the prompts otherwise.
        EnvironmentProblem: it cannot be downloaded or loaded here.
    """
    sidecar = next(iter(sidecars.values()))
    declared = sidecar.nla_release.base
    loaded = load_base(
        str(base or declared.id),
        None if base else declared.revision,
        quantization=quantization,
        dtype=dtype or declared.dtype,
        device=device,
        device_map=device_map,
        **options,
    )
    if (width := width_of(loaded.model)) != sidecar.d_model:
        raise PairError(
            f"the pair is for d_model {sidecar.d_model}, base {declared.id} has {width}"
        )
    av, ar = sidecars.get("av"), sidecars.get("ar")
    deepest = max(sidecar.extraction_layer_index, ar.head.blocks - 1 if ar else 0)
    if deepest >= (blocks := block_count(loaded.model)):
        raise PairError(f"the pair needs block {deepest}, the base has blocks 0 to {blocks - 1}")
    if av:
        check_replay(av, loaded.encode, loaded.tokenizer.unk_token_id, loaded.chat)
    if ar:
        check_suffix(ar, loaded.encode)
    return loaded
