"""Every format known to be in use is recognised by its name."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nla_release.errors import InputError, NlaReleaseError, RefusedError, SidecarError
from nla_release.io.files import dump_yaml, write_atomic
from nla_release.sidecar_formats import Context, recognise
from nla_release.sidecar_formats.folder import read_contract, read_folder
from tests.builders_pair import make_pair
from tests.sidecar_formats.samples import SAMPLES, write_files

REFUSED = {
    "Solshine, centered": "a mean activation is subtracted",
    "Solshine, injected at a block": "enters at a block",
    "EasyNLA": "added to a block's output",
    "EasyNLA, whitened": "whitened",
    "gereon": "added to a block's output",
    "nla-at-home, universal": "one adapter reads many layers",
    "AlexWortega, universal": "one adapter reads many layers",
    "multi-checkpoint": "several concept slots",
    "lgalke HRM": "two streams",
    "kitft dataset": "describes activations",
    "NVIDIA nano30b dataset": "describes activations",
    "Modal Qwen3.6 dataset": "describes activations",
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_format_is_recognised_by_name(tmp_path, name):
    context, document = read_contract(write_files(tmp_path, SAMPLES[name]))

    assert recognise(document, context).name == name


@pytest.mark.parametrize("name", SAMPLES)
def test_what_cannot_be_run_is_refused_by_name_with_the_reason(tmp_path, name):
    context, document = read_contract(write_files(tmp_path, SAMPLES[name]))
    refusal = recognise(document, context).refusal

    if name not in REFUSED:
        assert refusal is None
        return
    assert REFUSED[name] in refusal
    with pytest.raises(RefusedError, match=name):
        read_folder(tmp_path)


def test_a_reconstructor_without_a_sidecar_is_known_by_its_head(tmp_path):
    context, document = read_contract(write_files(tmp_path, {"linear_head.pt": "x"}))

    assert recognise(document, context).name == "Solshine"


@pytest.mark.parametrize("document", [{}, {"kind": "nla_thing"}, {"role": ["av"], "tokens": 3}])
def test_an_unknown_sidecar_is_an_error_that_shows_its_keys(document):
    with pytest.raises(SidecarError, match=r"in no known format; keys: ") as caught:
        recognise(document, Context("nla_meta.yaml"))

    assert all(key in caught.value.message for key in document)


def test_a_fully_fine_tuned_model_is_told_from_an_adapter(tmp_path):
    write_files(tmp_path, SAMPLES["kitft, published"])

    with pytest.raises(RefusedError, match=r"'kitft, published': a fully fine-tuned .* not an"):
        read_folder(tmp_path)


def test_a_folder_without_an_adapter_is_an_error_whatever_its_format(tmp_path):
    write_files(tmp_path, SAMPLES["Solshine"])

    with pytest.raises(InputError, match=r"Solshine.*adapter_config\.json.*not an adapter"):
        read_folder(tmp_path)


KEYS = st.sampled_from(
    [
        *("kind", "role", "stage", "d_model", "extraction", "tokens", "prompt_templates", "av"),
        *("ar", "critic", "actor", "layer", "norm", "injection_scale", "mse_scale", "alpha"),
        *("injection_char", "injection_token_id", "schema_version", "nla_release", "base_model"),
        *("num_hidden_layers", "extraction_layer_index", "model_name", "layer_idx"),
    ]
)
SCALARS = st.one_of(
    st.sampled_from(["nla_model", "nla_dataset", "av", "actor", "sqrt_d_model", "1e-05", "1_0"]),
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.dates(),
    st.binary(max_size=4),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(KEYS, st.integers(), st.text(max_size=5)), inner, max_size=6),
    ),
    max_leaves=20,
)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    return make_pair(tmp_path_factory.mktemp("fuzz") / "pair") / "av"


@given(st.dictionaries(KEYS, TREES, max_size=8))
def test_no_mapping_causes_anything_but_an_error_of_ours(adapter, document):
    write_atomic(adapter / "nla_meta.yaml", dump_yaml(document))

    with suppress(NlaReleaseError):
        read_folder(adapter)
