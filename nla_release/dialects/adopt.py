"""Somebody else's pair as the beginning of a release: copies, canonical sidecars, release.yaml."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from nla_release.dialects.canonical import canonical, commented, one_line
from nla_release.dialects.folder import head_source, read_folder, read_head
from nla_release.dialects.pair import read_pair
from nla_release.dialects.report import Known, Report
from nla_release.errors import ConfigError, InputError, RefusedError
from nla_release.files import replacing_folder, write_atomic
from nla_release.prompt import load_tokenizer
from nla_release.release import FILE_NAME as RELEASE_FILE_NAME
from nla_release.release import ROLES, read_release
from nla_release.sidecar import FILE_NAME, HEAD_FILE_NAME, Role
from nla_release.weights import ADAPTER_FILE_NAME, CONFIG_FILE_NAME

# What a pair consists of; nothing else of a stranger's folder is taken along.
_COPIED = (CONFIG_FILE_NAME, ADAPTER_FILE_NAME)
LICENSE_ANSWER = "license"


@dataclass(frozen=True)
class Naming:
    """What only the releaser decides; None is asked for or, the name, inferred."""

    namespace: str | None = None
    name: str | None = None
    license: str | None = None


def adopt(
    sources: dict[Role, Path],
    out: Path,
    *,
    answers: dict[str, str],
    naming: Naming,
    tokenizer: Path | None = None,
) -> Report:
    """Write `out` with pair/av, pair/ar and release.yaml; `sources` are only read.

    Raises:
        RefusedError: `out` exists, or the pair is in a dialect that cannot be run here.
        ConfigError: questions are open; the message lists each with the option that answers it.
        NlaReleaseError: a file is damaged or disagrees with another.
    """
    if out.exists() or out.is_symlink():
        raise RefusedError(f"{out} exists and is not overwritten", hint="give another --out")
    for source in sources.values():
        _refuse_links(source)
    folders = {role: read_folder(sources[role]) for role in ROLES}
    with replacing_folder(out) as staging:
        head_path = staging / "pair" / "ar" / HEAD_FILE_NAME
        _take_head(sources["ar"], head_path)
        head = read_head(head_path)
        rendering = load_tokenizer(tokenizer) if tokenizer else None
        report = read_pair(folders["av"], folders["ar"], head, answers, rendering)
        _settle(report, naming)
        for role in ROLES:
            target = staging / "pair" / role
            sidecar = canonical(role, folders[role], report, head)
            write_atomic(target / FILE_NAME, commented(sidecar, role, report))
            for name in _COPIED:
                shutil.copyfile(folders[role].adapter / name, target / name)
        write_atomic(staging / RELEASE_FILE_NAME, release_text(report, naming))
        read_release(staging)
    return report


def release_text(report: Report, naming: Naming) -> str:
    """A commented `release.yaml` for a report without questions."""
    known = report.known
    base, layer = known["base_model"], known["layer"]
    short = base.value.rpartition("/")[2]
    name = naming.name or f"{short}-nla-L{layer.value}"
    guessed = "from the base and the layer"
    lines = [
        "# One pair, how it is measured, and under which name it goes.",
        "# Paths are relative to this file. Written by `nla-release init`: read every line.",
        _line("name", name, None if naming.name else guessed),
        _line("namespace", naming.namespace),
        _line("title", f"{short} NLA, layer {layer.value}", guessed),
        _line("base_model", base.value, _inferred(base)),
        _line("base_revision", known["base_revision"].value, _inferred(known["base_revision"])),
        _line("license", naming.license),
        "av: pair/av",
        "ar: pair/ar",
        "evaluation:",
        "  # held-out activations and the training activations' mean direction: put yours here",
        "  data: data/eval.parquet",
        "  reference: data/reference.safetensors",
        "  " + _line("quantization", known["base_quantization"].value, "from the training"),
        "  " + _line("dtype", known["base_dtype"].value, "from the training"),
        "# citations: [a key of citations.bib]",
        "# notes: notes            # hand-written Markdown for the cards",
    ]
    return "\n".join(lines) + "\n"


def _line(key: str, value: str | None, inferred: str | None = None) -> str:
    """One line of YAML; JSON's text is YAML's."""
    comment = f"  # inferred: {one_line(inferred)}" if inferred else ""
    return f"{key}: {json.dumps(value, ensure_ascii=False)}{comment}"


def _inferred(known: Known) -> str | None:
    return f"from {known.source}" if known.how == "inferred" else None


def _settle(report: Report, naming: Naming) -> None:
    questions = [str(question) for question in report.questions]
    if naming.namespace is None:
        questions.append("the user or organisation that the repositories go to: --namespace NAME")
    if naming.license is None:
        questions.append(f"the licence of the adapters: --answer {LICENSE_ANSWER}=...")
    if questions:
        listed = "".join(f"\n  {question}" for question in questions)
        raise ConfigError(
            f"{len(questions)} facts are in no file and only you can say them:{listed}",
            hint="nothing was written; run the same command again with these options",
        )


def _take_head(source: Path, target: Path) -> None:
    found = head_source(source)
    if found.name == HEAD_FILE_NAME:
        target.parent.mkdir(parents=True)
        shutil.copyfile(found, target)
        return
    from nla_release.engine.convert_head import convert_head

    convert_head(found, target)


def _refuse_links(source: Path) -> None:
    """A link could bring any file of this machine into a release."""
    candidates = (*source.glob("*"), *source.glob("adapter/*"))
    if links := sorted(str(path) for path in candidates if path.is_symlink()):
        raise InputError(
            f"{links[0]} is a symbolic link, which is not followed",
            hint="copy the folder with `cp -rL` and give the copy",
        )
