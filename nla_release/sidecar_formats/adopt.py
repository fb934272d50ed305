"""From another project's pair to a release folder: copies, canonical sidecars, release.yaml."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nla_release.adapter.config import portable
from nla_release.adapter.lora import adapted_names
from nla_release.adapter.module_names import TEXT, WRAPPER, decoders
from nla_release.adapter.training_log import read_log
from nla_release.adapter.weights import Tensor, read_header
from nla_release.base_model.source import has_weights
from nla_release.contract.sidecar import Role
from nla_release.errors import (
    ConfigError,
    DataError,
    InputError,
    PairError,
    RefusedError,
    WeightsError,
    one_line,
)
from nla_release.evidence.reference import MAKE_DATA
from nla_release.hub_client.card_metadata import check_card
from nla_release.io.files import (
    LFS_HINT,
    LFS_POINTER,
    dump_json,
    is_lfs_pointer,
    read_json,
    read_text,
    replacing_file,
    replacing_folder,
    write_atomic,
)
from nla_release.io.layout import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    CARD_FILE,
    EVALUATION_FILE,
    HEAD_FILE,
    LICENCE_FILE,
    REFERENCE_FILE,
    RELEASE_FILE,
    SIDECAR_FILE,
    TOKENIZER_FILE,
    TRAINING_DOCUMENTS_FILE,
    TRAINING_LOG_FILE,
    TRAINING_SHINGLES_FILE,
)
from nla_release.release.config import NAME
from nla_release.release.folder import ROLES, read_release
from nla_release.release.licences import LICENCE_KEYS, is_known, licence_problem
from nla_release.sidecar_formats.canonical import canonical, commented, without_leaks
from nla_release.sidecar_formats.folder import (
    Folder,
    Source,
    check_roles,
    head_source,
    head_tensors,
    read_ar_weights,
    read_folder,
)
from nla_release.sidecar_formats.pair import read_pair
from nla_release.sidecar_formats.prompts import BaseTokenizer, read_base_tokenizer
from nla_release.sidecar_formats.report import Known, OpenQuestionsError, Report
from nla_release.text.numbers import count

LICENSE_ANSWER = "license"

_MAKE_DATA = (
    "  # held-out activations and the training activations' mean direction: make both with"
    " `nla-release data`"
)


@dataclass(frozen=True)
class Naming:
    """What only the releaser can decide. A field that is None is asked for or inferred.

    `license_link` may be a file, relative to the working folder; it is copied.
    """

    namespace: str | None = None
    name: str | None = None
    license: str | None = None
    license_name: str | None = None
    license_link: str | None = None


def adopt(
    sources: dict[Role, Source],
    out: Path,
    *,
    answers: Mapping[str, Any],
    naming: Naming,
    tokenizer: Path | None = None,
    base: Path | None = None,
    data: Path | None = None,
) -> Report:
    """Write `out` with pair/av, pair/ar and release.yaml; `sources` are only read.

    Args:
        sources: the folders of AV and AR.
        out: the folder to write.
        answers: by fact name.
        naming: name, namespace and licence of the release.
        tokenizer: the base's tokenizer.json, with its chat template next to it if it has one.
        base: a copy of the base, to measure its embeddings. By default tokenizer and embeddings are
            read at the base's pinned commit, from the client's cache or the Hub.
        data: the folder that `nla-release data` wrote; it is copied.

    Raises:
        RefusedError: `out` exists or is inside a source, or the pair is in a format that cannot be
            run here.
        ConfigError: a name that the Hub does not accept, or a base without weights.
        OpenQuestionsError: the message lists each with the option that answers it.
        NlaReleaseError: a file is damaged or disagrees with another.
    """
    _check_names(naming)
    if base and not has_weights(base):
        raise ConfigError(
            f"--base {base} holds no weights in safetensors",
            hint="give the base's whole folder, or only its tokenizer: --tokenizer FILE",
        )
    _check_out(out, sources)
    for source in sources.values():
        _refuse_links(source.folder)
    folders = {role: read_folder(sources[role].folder) for role in ROLES}
    check_roles(folders["av"], folders["ar"])
    naming, stated = _licensed(naming, folders)
    base_tokenizer = _tokenizer(tokenizer, base)
    with _new_folders(out.parent), replacing_folder(out) as staging:
        targets = {role: staging / "pair" / role for role in ROLES}
        origins = {role: sources[role].origin for role in ROLES}
        notes = {role: [f"from {origin}"] if origin else [] for role, origin in origins.items()}
        for role in ROLES:
            notes[role] += _copy_adapter(folders[role], targets[role])
        notes["ar"] += _copy_head(folders["ar"], targets["ar"])
        weights = read_ar_weights(folders["ar"], targets["ar"])
        with _naming(folders):
            report = read_pair(
                folders["av"], folders["ar"], weights, answers, base_tokenizer, base, data
            )
        report = replace(report, notes=notes)
        _refuse_open_questions(report, naming)
        base_model = report.known["base_model"].value
        revision = report.known["base_revision"].value
        cleaned = dict(folders)
        for role in ROLES:
            notes[role] += _copy_config(folders[role], base_model, revision, targets[role])
            notes[role] += _copy_log(folders[role], targets[role])
            cleaned[role], left_out = without_leaks(folders[role])
            notes[role] += left_out
        for role in ROLES:
            sidecar = canonical(role, cleaned[role], report, weights)
            write_atomic(targets[role] / SIDECAR_FILE, commented(sidecar, role, report))
        files = _copy_data(data, staging / "data") if data else []
        naming = _with_licence_file(naming, staging)
        # A path from the final folder, not from the temporary one.
        base_path = (
            Path(os.path.relpath(base.resolve(), out.resolve())).as_posix() if base else None
        )
        text = _release_text(report, naming, stated=stated, base_path=base_path, files=files)
        write_atomic(staging / RELEASE_FILE, text)
        read_release(staging)
    return report


def _release_text(
    report: Report,
    naming: Naming,
    *,
    stated: str | None = None,
    base_path: str | None = None,
    files: Sequence[str] = (),
) -> str:
    """A commented `release.yaml` for a report without open questions.

    Args:
        report: of the pair.
        naming: what the releaser decided.
        stated: the source of the licence, if it was inferred.
        base_path: of a copy of the base.
        files: the names of the files in `data/`.
    """
    known = report.known
    base, layer = known["base_model"], known["layer"]
    short = base.value.rpartition("/")[2]
    name = naming.name or f"{short}-nla-L{layer.value}"
    guessed = "from the base and the layer"
    trained = [it for it in (TRAINING_DOCUMENTS_FILE, TRAINING_SHINGLES_FILE) if it in files]
    lines = [
        "# One pair, how it is measured, and the name under which it is published.",
        "# Paths are relative to this file. Written by `nla-release init`: read every line.",
        _line("name", name, None if naming.name else guessed),
        _line("namespace", naming.namespace),
        _line("title", f"{short} NLA, layer {layer.value}", guessed),
        _line("base_model", base.value, _inferred(base)),
        _line("base_revision", known["base_revision"].value, _inferred(known["base_revision"])),
        _line("license", naming.license, stated),
        *(
            _line(key, value)
            for key in LICENCE_KEYS[1:]
            if (value := getattr(naming, key)) is not None
        ),
        "av: pair/av",
        "ar: pair/ar",
        "evaluation:",
        *(() if files else (_MAKE_DATA,)),
        "  data: data/eval.parquet",
        "  reference: data/reference.safetensors",
        *([f"  training: [{', '.join(f'data/{it}' for it in trained)}]"] if trained else ()),
        "  " + _line("quantization", known["base_quantization"].value, "from the training"),
        "  " + _line("dtype", known["base_dtype"].value, "from the training"),
        _line("base_path", base_path)
        if base_path
        else "# base_path: ../base        # a local copy of the base, used instead of the Hub",
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


def _refuse_open_questions(report: Report, naming: Naming) -> None:
    questions = [str(question) for question in report.questions]
    if naming.namespace is None:
        questions.append("the user or organization that owns the repositories: --namespace NAME")
    if naming.license is None:
        questions.append(
            f"the licence of the adapters, such as apache-2.0: --answer {LICENSE_ANSWER}=..."
        )
    if questions:
        listed = "".join(f"\n  {question}" for question in questions)
        raise OpenQuestionsError(
            f"{count(len(questions), 'question')} that the files do not answer:{listed}",
            report,
            hint="nothing was written; run the same command again with these options",
        )


def _tokenizer(tokenizer: Path | None, base: Path | None) -> BaseTokenizer | None:
    if tokenizer:
        return read_base_tokenizer(tokenizer)
    if base and (base / TOKENIZER_FILE).is_file():
        return read_base_tokenizer(base / TOKENIZER_FILE, "the tokenizer of the base's copy")
    return None


def _licensed(naming: Naming, folders: Mapping[Role, Folder]) -> tuple[Naming, str | None]:
    """The naming with the licence that both cards state, unless one was given, and its source.

    Raises:
        ConfigError: nothing can be released under the licence that was answered.
    """
    if naming.license is not None:
        problem = licence_problem(naming.license, naming.license_name, naming.license_link)
        if problem:
            raise ConfigError(
                f"--answer {LICENSE_ANSWER}: {problem}",
                hint="license_name and license_link are answered in the same way",
            )
        return naming, None
    found, text, file = _card_licence(folders["av"].path)
    if (found, text) != _card_licence(folders["ar"].path)[:2] or "license" not in found:
        return naming, None
    if licence_problem(found["license"], found.get("license_name"), found.get("license_link")):
        return naming, None
    if file is not None:
        found["license_link"] = str(file)
    return replace(naming, **found), f"from {CARD_FILE} of AV and AR"


def _card_licence(folder: Path) -> tuple[dict[str, str], str | None, Path | None]:
    """What an adapter's card says of its licence; the text and the path of the file it names.

    Nothing when no card can be read, or it names a file that is not next to it.
    """
    for place in (folder, folder.parent):
        with suppress(InputError):
            return _licence_of_card(place)
    return {}, None, None


def _licence_of_card(place: Path) -> tuple[dict[str, str], str | None, Path | None]:
    card = check_card(read_text(place / CARD_FILE)).metadata
    found = {key: card[key] for key in LICENCE_KEYS if isinstance(card.get(key), str)}
    if is_known(found.get("license", "")):  # cards often add the address of known terms
        return {"license": found["license"]}, None, None
    link = found.get("license_link")
    if link is None or "://" in link:
        return found, None, None
    file = place / link
    if Path(link).name != link or file.is_symlink():  # it could be any file of this machine
        return {}, None, None
    return found, read_text(file), file


def _with_licence_file(naming: Naming, staging: Path) -> Naming:
    """Copy the file that `license_link` names, and name the copy."""
    link = naming.license_link
    if link is None or "://" in link:
        return naming
    write_atomic(staging / LICENCE_FILE, read_text(Path(link)))
    return replace(naming, license_link=LICENCE_FILE)


def _copy_data(source: Path, target: Path) -> list[str]:
    """Copy the files that `nla-release data` wrote; gives their names.

    Raises:
        DataError: one that a release needs is missing.
    """
    names = (EVALUATION_FILE, REFERENCE_FILE, TRAINING_DOCUMENTS_FILE, TRAINING_SHINGLES_FILE)
    there = [name for name in names if (source / name).is_file()]
    if missing := [name for name in names[:2] if name not in there]:
        raise DataError(f"{source} lacks {', '.join(missing)}", hint=MAKE_DATA)
    target.mkdir()
    for name in there:
        shutil.copyfile(source / name, target / name)
    return there


@contextmanager
def _naming(folders: Mapping[Role, Folder]) -> Iterator[None]:
    """Add the folders of AV and AR to the error about a contradiction between their facts."""
    try:
        yield
    except PairError as error:
        places = ", ".join(f"{role.upper()} in {folders[role].path}" for role in ROLES)
        raise PairError(f"{places}: {error.message}", hint=error.hint) from error


def _check_names(naming: Naming) -> None:
    for option, name in (("--namespace", naming.namespace), ("--name", naming.name)):
        if name is not None and not re.fullmatch(NAME, name):
            raise ConfigError(
                f"{option} {name!r} cannot be part of a repository name",
                hint="the Hub accepts at most 96 letters, digits, '-', '_' and '.', of which the"
                " first and the last are letters or digits",
            )


def _check_out(out: Path, sources: dict[Role, Source]) -> None:
    if out.exists() or out.is_symlink():
        raise RefusedError(f"{out} exists and is not overwritten", hint="give another --out")
    for source in sources.values():
        if out.resolve().is_relative_to(source.folder.resolve()):
            raise RefusedError(
                f"{out} is inside {source.folder}, which is not changed", hint="give another --out"
            )


@contextmanager
def _new_folders(folder: Path) -> Iterator[None]:
    """Remove the parent folders that were created for this one if the block raises."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    except BaseException:
        for path in made:
            if path.is_dir():
                path.rmdir()
        raise


def _refuse_links(source: Path) -> None:
    """Refuse links, which could bring any file of this machine into a release."""
    candidates = (*source.glob("*"), *source.glob("adapter/*"))
    if links := sorted(str(path) for path in candidates if path.is_symlink()):
        raise InputError(
            f"{links[0]} is a symbolic link, which is not followed",
            hint="copy the folder with `cp -rL` and give the copy",
        )


def _copy_adapter(folder: Folder, target: Path) -> list[str]:
    """The adapter's tensors, as safetensors.

    Raises:
        WeightsError: a pickle holds code, or is no adapter.
    """
    target.mkdir(parents=True)
    _refuse_pointer(folder.weights)
    if folder.weights.name == ADAPTER_FILE:
        read_header(folder.weights)
        shutil.copyfile(folder.weights, target / ADAPTER_FILE)
        return []
    from nla_release.engine.pickles import convert_adapter

    convert_adapter(folder.weights, target / ADAPTER_FILE)
    return [_converted(folder.weights, ADAPTER_FILE)]


def _copy_head(folder: Folder, target: Path) -> list[str]:
    """The AR's head, as safetensors.

    Raises:
        WeightsError: none is there, several are, or a pickle holds code or is no head.
    """
    found = head_source(folder.path)
    _refuse_pointer(found)
    if found.suffix == ".safetensors":
        tensors = head_tensors(found, found)
        if found.name == HEAD_FILE and all(name == it.name for name, it in tensors.items()):
            shutil.copyfile(found, target / HEAD_FILE)
            return []
        _write_tensors(found, target / HEAD_FILE, tensors)
        return [f"{HEAD_FILE} is a copy of {found.name} with the tensor names of a release"]
    from nla_release.engine.pickles import convert_head

    convert_head(found, target / HEAD_FILE)
    return [_converted(found, HEAD_FILE)]


def _copy_config(folder: Folder, base: str, revision: str | None, target: Path) -> list[str]:
    """PEFT's configuration in a form that every reader loads, with the base's id and commit."""
    source = folder.adapter / ADAPTER_CONFIG_FILE
    found = read_json(source)
    modules = adapted_names(read_header(target / ADAPTER_FILE))
    # Other names are those of a checkpoint from before transformers 4.52, which PEFT may rename.
    current = decoders(modules) <= {TEXT, WRAPPER}
    named = {"base_model_name_or_path": base} | ({"revision": revision} if revision else {})
    ready = portable(found | named, modules if current else ())
    if ready == found:
        shutil.copyfile(source, target / ADAPTER_CONFIG_FILE)
        return []
    write_atomic(target / ADAPTER_CONFIG_FILE, dump_json(ready))
    notes = []
    if found.get("base_model_name_or_path") != base:
        notes.append(
            f"{ADAPTER_CONFIG_FILE} named another base, or a path on the trainer's machine; it now"
            f" names {base}"
        )
    if isinstance(found.get("target_modules"), str) and current:
        notes.append(
            f"target_modules of {ADAPTER_CONFIG_FILE} was a pattern and now lists the"
            f" {len(modules)} adapted modules"
        )
    if left_out := len(found.keys() - ready.keys()):
        notes.append(f"{ADAPTER_CONFIG_FILE} no longer has {left_out} options that were not used")
    return notes


def _copy_log(folder: Folder, target: Path) -> list[str]:
    """The training log, when there is one that can be read."""
    if not (folder.path / TRAINING_LOG_FILE).is_file():
        return [f"no {TRAINING_LOG_FILE}: the card will say that there is none"]
    try:
        read_log(folder.path)
    except InputError as error:
        reason = error.message.removeprefix(str(folder.path)).lstrip("/")
        return [f"{TRAINING_LOG_FILE} is left out because its format is unknown: {reason}"]
    shutil.copyfile(folder.path / TRAINING_LOG_FILE, target / TRAINING_LOG_FILE)
    return []


def _refuse_pointer(path: Path) -> None:
    """Refuse what git leaves in place of a large file that was not fetched.

    Raises:
        WeightsError: `path` is a Git LFS pointer.
    """
    if is_lfs_pointer(path):
        raise WeightsError(f"{path} {LFS_POINTER}", hint=LFS_HINT)


def _write_tensors(source: Path, target: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors of a safetensors file under these names, their bytes unchanged."""
    header, at = {}, 0
    for name, tensor in tensors.items():
        offsets = [at, at + tensor.stop - tensor.start]
        header[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": offsets}
        at = offsets[1]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with replacing_file(target) as out, source.open("rb") as file:
        out.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            file.seek(tensor.start)
            out.write(file.read(tensor.stop - tensor.start))


def _converted(source: Path, name: str) -> str:
    return f"{name} is converted from the pickle {source.name}, without executing it"
