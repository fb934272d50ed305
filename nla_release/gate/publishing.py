"""NLA701 to NLA703 and NLA709: the rendered repositories, before they are published."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator

from nla_release.adapter.stack import FILE_NAMES as STACKED_FILE_NAMES
from nla_release.errors import ConfigError
from nla_release.evidence.parts import NAMES, OPTIONAL_NAMES
from nla_release.gate.adapter_folder import AdapterFolder, regular_file
from nla_release.gate.findings import Problem, UnreadableError
from nla_release.gate.model import RENDERED, REPOSITORIES, rule
from nla_release.gate.subject import Subject
from nla_release.io.layout import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    ADDENDA_FOLDER,
    BASE_FILE,
    CALIBRATION_FILE,
    CARD_FILE,
    COMPARISON_FILE,
    HEAD_FILE,
    HISTORY_FILE,
    LICENCE_FILE,
    MANIFEST_FILE,
    NOTICE_FILE,
    ROUND_TRIP_FILE,
    SIDECAR_FILE,
    SIGNATURE_FILE,
    STACK_FOLDER,
    TRAINING_LOG_FILE,
)
from nla_release.release.folder import check_version, tag
from nla_release.release.manifest import UNLISTED, FileRecord, differences
from nla_release.release.signature import MAX_BYTES, mismatch

_REQUIRED = (
    CARD_FILE,
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    SIDECAR_FILE,
    HISTORY_FILE,
    "RELEASE_CALIBRATION.md",
    CALIBRATION_FILE,
    BASE_FILE,
    *(f"evidence/{name}" for name in NAMES),
)

# Also: training log, the files that a base's licence requires, comparisons, and examples.
_ALLOWED = (
    *_REQUIRED,
    *(f"evidence/{name}" for name in OPTIONAL_NAMES),
    MANIFEST_FILE,
    SIGNATURE_FILE,
    TRAINING_LOG_FILE,
    LICENCE_FILE,
    NOTICE_FILE,
    "USE_POLICY.md",
    COMPARISON_FILE,
    ROUND_TRIP_FILE,
)
_ADDENDUM = re.compile(
    rf"{ADDENDA_FOLDER}/cal\.\d{{1,2}}(?:\.json|/(?:{re.escape(CALIBRATION_FILE)}"
    rf"|evidence/(?:{'|'.join(map(re.escape, (*NAMES, *OPTIONAL_NAMES)))})))",
    re.ASCII,
)
# NLA310 checks that they are the right ones.
_STACKED = re.compile(
    rf"{STACK_FOLDER}/[1-9]/(?:{'|'.join(map(re.escape, STACKED_FILE_NAMES))})", re.ASCII
)
_FIGURE = re.compile(r"figures/[A-Za-z0-9][\w.-]*\.(?:png|svg|csv)", re.ASCII)

# Files that the Hub and its client add to a repository.
_OF_THE_HUB = re.compile(
    r"\.gitattributes|\.cache/huggingface/(?:CACHEDIR\.TAG|\.gitignore|(?:down|up)load/[^\0]*\.(?:metadata|lock))"
)


@rule("NLA701", "error", "release.json lists every file with its hash and size", each=REPOSITORIES)
def files_listed(adapter: AdapterFolder) -> Iterator[Problem]:
    """The manifest against the folder, both ways.

    Checks: The files of the repository are exactly those in release.json, with the recorded sha256
        and size, and the list includes every file that a release needs.
    Why: SolshineCode's release was ten commits of one file each, and one of them put a card into
        the wrong repository. kitft/natural_language_autoencoders writes its manifest last, so that
        a complete manifest proves a complete upload.
    Fix: Run `nla-release render` again and change nothing in dist/ by hand. Write your own text
        into the notes.
    Example: README.md was changed after `render`: sha256 9a8b7c6d5e4f, release.json records
        1f2e3d4c5b6a
    Waive: Never: what is published must be what was checked.
    """
    path, recorded = adapter.folder / MANIFEST_FILE, adapter.manifest.files
    names = (file.relative_to(adapter.folder).as_posix() for file in adapter.files)
    found = {
        name: FileRecord(sha256=adapter.sha256(name), size=(adapter.folder / name).stat().st_size)
        for name in names
        if name not in UNLISTED and not _OF_THE_HUB.fullmatch(name)
    }
    for sentence in differences(recorded, found):
        yield Problem(path, sentence)
    required = {*_REQUIRED, *([HEAD_FILE] if adapter.role == "ar" else [])}
    for name in sorted(required - recorded.keys() - found.keys()):
        yield Problem(path, f"{name} is missing, and every release needs it")


@rule("NLA702", "error", "version, tag and names of both repositories agree", each=RENDERED)
def one_release(subject: Subject) -> Iterator[Problem]:
    """Both manifests against themselves, each other and release.yaml.

    Checks: Each release.json has a normal version, the tag v{version}, the role of its folder, and
        the base of the sidecar. Both have the same version and different repositories. The names
        are those of release.yaml, if it is there.
    Why: The v0.1 repository of SolshineCode/nla-gemma-4-e2b has a card titled v0.0.1, and one
        release was titled `pair (v0.0.2)`, a version that neither repository has.
    Fix: Run `nla-release render --version X` again; it writes both repositories for one version.
    Example: tag is 'v0.1.0', expected 'v0.2.0'
    Waive: Never: readers find the pair by these names.
    """
    for adapter in subject.rendered:
        manifest, path = adapter.manifest, adapter.folder / MANIFEST_FILE
        base = adapter.sidecar.nla_release.base
        try:
            check_version(manifest.version)
        except ConfigError as error:
            yield Problem(path, error.message)
        for name, found, expected in (
            ("tag", manifest.tag, tag(manifest.version)),
            ("role", manifest.role, adapter.role),
            ("base", f"{manifest.base.id}@{manifest.base.revision}", f"{base.id}@{base.revision}"),
        ):
            if found != expected:
                yield Problem(path, f"{name} is {found!r}, expected {expected!r}")
        if (
            subject.release
            and (name := subject.release.repo_id(adapter.role, manifest.version)) != manifest.repo
        ):
            yield Problem(path, f"repo is {manifest.repo!r}, release.yaml gives {name!r}")
    yield from _one_pair(subject.rendered)


def _one_pair(adapters: tuple[AdapterFolder, ...]) -> Iterator[Problem]:
    if len(adapters) < 2:
        return
    av, ar = (adapter.manifest for adapter in adapters)
    path = adapters[1].folder / MANIFEST_FILE
    if av.version != ar.version:
        yield Problem(path, f"version is {ar.version!r}, the AV's is {av.version!r}")
    if av.repo == ar.repo:
        yield Problem(path, f"AV and AR are both {ar.repo!r}")


@rule("NLA703", "error", "the repository holds only files of a release", each=REPOSITORIES)
def files_allowed(adapter: AdapterFolder) -> Iterator[Problem]:
    """Every name against the list, and against all others in lower case.

    Checks: The repository holds nothing but the files of a release of its role, figures (PNG, SVG,
        and their numbers as CSV), evidence updates (addenda/), the lower adapters of a stack, the
        files that a licence requires, and what the Hub adds (.gitattributes). Names are exact, and
        no two differ only in case.
    Why: Everything in the folder is uploaded: training_args.bin and optimizer.pt, which the Hub
        flags as unsafe (huggingface/transformers#28580), a .env whose token makes the Hub refuse
        the commit (huggingface/autotrain-advanced#762), logs and checkpoints. A .gitignore silently
        keeps files of the release out (huggingface/huggingface_hub#1826).
    Fix: Delete the file from dist/, or run `nla-release render` again, which writes dist/ from
        scratch.
    Example: training_args.bin is not a file of a release
    Waive: If readers need the file and it reveals nothing private; say in the reason what it is.
    """
    allowed = {*_ALLOWED, *([HEAD_FILE] if adapter.role == "ar" else [])}
    names = [path.relative_to(adapter.folder).as_posix() for path in adapter.files]
    figures = {name for name in names if _FIGURE.fullmatch(name)}
    allowed |= {name for name in names if _ADDENDUM.fullmatch(name) or _STACKED.fullmatch(name)}
    twins = Counter(figure.casefold() for figure in figures)
    for name in names:
        path = adapter.folder / name
        if name not in allowed | figures and not _OF_THE_HUB.fullmatch(name):
            near = _lookalike(name, allowed)
            yield Problem(
                path, f"is not a file of a release{f'; did you mean {near}?' if near else ''}"
            )
        elif twins[name.casefold()] > 1:
            yield Problem(path, "has the same name as another file except for case")


@rule("NLA709", "error", "the signature belongs to this release.json", each=RENDERED)
def signature_fits(subject: Subject) -> Iterator[Problem]:
    """What each signature names against the files.

    Checks: If a repository holds release.sigstore.json, it is a signature in the Model Signing
        format that names the sha256 of this release.json. If both repositories are here, both hold
        the same signature. `nla-release verify` with --key or --identity checks who signed and
        whether the signature is valid (NLA710).
    Why: A signature of other bytes looks valid to people who do not verify it. Anyone who holds the
        token can rewrite the release id in the commits, but not a signature.
    Fix: Run `nla-release push --sign` again, which signs the current files, or delete
        release.sigstore.json from dist/av and dist/ar. Readers: do not load the release.
    Example: signs another release.json of the AV: sha256 1f2e3d4c5b6a, here 9a8b7c6d5e4f
    Waive: Never: a wrong signature is worse than none.
    """
    found = {each.role: _signature(each) for each in subject.rendered}
    if all(each is None for each in found.values()):
        return
    released = {
        each.role: regular_file(each.folder / MANIFEST_FILE, "NLA701").read_bytes()
        for each in subject.rendered
    }
    for adapter in subject.rendered:
        path, signature = adapter.folder / SIGNATURE_FILE, found[adapter.role]
        if signature is None:
            yield Problem(path, "is missing, although the other repository is signed")
        elif wrong := mismatch(signature, released):
            yield Problem(path, wrong)
        elif any(other not in (None, signature) for other in found.values()):
            yield Problem(path, "differs from the signature in the other repository")


def _signature(adapter: AdapterFolder) -> bytes | None:
    """The signature in a repository, or None."""
    path = adapter.folder / SIGNATURE_FILE
    if not path.is_symlink() and not path.exists():
        return None
    if regular_file(path, "NLA709").stat().st_size > MAX_BYTES:
        raise UnreadableError("NLA709", path, f"is larger than {MAX_BYTES} bytes")
    return path.read_bytes()


def _lookalike(name: str, allowed: set[str]) -> str | None:
    """The file of a release that a name would be in another case or Unicode form."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return next((each for each in sorted(allowed) if each.casefold() == plain), None)
