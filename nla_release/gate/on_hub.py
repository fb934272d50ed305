"""NLA704 to NLA706, NLA710 and NLA711: a published release, as `nla-release verify` downloads it.

NLA711 compares published evidence with new measurements, and runs with --measure only.
"""

from collections.abc import Iterator

from nla_release.calibration.remeasured import Remeasured
from nla_release.gate.findings import Problem, Skip, UnreadableError
from nla_release.gate.model import Scope, rule
from nla_release.gate.subject import Published, Remeasurement, Tagged
from nla_release.history.retractions import retraction_of
from nla_release.hub_client.remote_state import unlike
from nla_release.io.layout import (
    HISTORY_FILE,
    MANIFEST_FILE,
    ROWS_FILE,
    SIGNATURE_FILE,
    VECTORS_FILE,
)
from nla_release.release.folder import tag
from nla_release.release.manifest import (
    Manifest,
    PartnerRecord,
    read_id,
    read_parent,
    release_id,
    title,
)
from nla_release.release.signature import mismatch
from nla_release.text.numbers import number

_PUBLISHED = Scope[Published](
    lambda subject: subject.published, "these files were not downloaded by nla-release verify"
)


def _manifest(published: Published) -> Manifest:
    if (manifest := published.here.manifest) is None:
        path = published.adapter.folder / MANIFEST_FILE
        raise UnreadableError("NLA701", path, "is missing or not valid")
    return manifest


@rule("NLA704", "error", "the tag points at the commit of this release's push", each=_PUBLISHED)
def tag_points_at_commit(published: Published) -> Iterator[Problem]:
    """Repository, tag and commit against release.json.

    Checks: On the Hub, release.json names its own repository. The tag that it names, with the
        latest evidence update that it lists (v0.0.1+cal.1), points at the downloaded commit, and no
        branch has that name. The commit has the title and the id of a release, its parent is the
        commit that it records, and no earlier commit has the same id. .gitattributes has only the
        lines by which the Hub tracks large files. An earlier commit with another release of the
        same tag is a warning.
    Why: A tag on the Hub can be deleted and set to another commit, and readers load by tag. Neither
        the client nor PEFT notices: huggingface_hub's create_tag with exist_ok accepts a tag that
        points elsewhere. A branch can have the name of a tag, and no document says which of them
        the Hub then serves.
    Fix: Readers: ask the publisher, and load the commit that you verified before. Publishers: never
        move a tag; publish the next version.
    Example: v0.0.1 points at 7c1d2e3f4a5b, whose description has no NLA-Release-Id
    Waive: Never: readers who know only the tag depend on it.
    """
    here, path = published.here, published.adapter.folder
    manifest = _manifest(published)
    for message in _not_as_pushed(here, manifest):
        yield Problem(path, message)
    tag = manifest.published_tag
    for other in here.earlier:
        if other.title == title(tag) and read_id(other.description) not in (None, here.release_id):
            yield Problem(
                path,
                f"the earlier commit {other.id[:12]} is another release of {tag}; the tag may have"
                " been moved",
                "warning",
            )


@rule("NLA705", "error", "both repositories come from one push", each=_PUBLISHED)
def one_push(published: Published) -> Iterator[Problem]:
    """What each repository records of the other, and one id over both.

    Checks: On the Hub, the partner that release.json names exists at its tag and satisfies NLA704.
        Its release.json names this repository, tag and adapter. Its files are those that it lists,
        by name and size, and by sha256 for LFS files, which include all weights; its weights are
        the recorded ones. The sha256 over both release.json files is the release id in both
        commits, and the one given with --expect.
    Why: Without this tool the two repositories of a pair are linked by name only, so one of them
        can be replaced without a trace. Someone who can write to one repository cannot change the
        other's commit to match.
    Fix: Readers: do not load the pair; ask the publisher. Publishers: publish both again as the
        next version.
    Example: the release id over both release.json is 136f2e28a1b2, the commit of
        someone/tiny-nla-av-v0_0_1 carries bb813b8e9c0d
    Waive: Never: a pair is published as one unit.
    """
    here, partner = published.here, published.partner
    path, manifest = published.adapter.folder / MANIFEST_FILE, _manifest(published)
    if partner is None or partner.manifest is None:
        why = "cannot be read" if partner is None else f"has no valid {MANIFEST_FILE}"
        yield Problem(path, f"the partner {manifest.partner.repo} at {manifest.partner_tag} {why}")
        return
    theirs = partner.manifest
    if manifest.role == theirs.role:
        yield Problem(path, f"{here.repo} and its partner are both {manifest.role.upper()}")
    for message in (
        *(f"{partner.repo}: {each}" for each in _not_as_pushed(partner, theirs)),
        *(f"{partner.repo}: {each}" for each in unlike(theirs, partner.state)),
        *_records(here.repo, manifest.partner, partner, theirs.tag),
        *_records(partner.repo, theirs.partner, here, manifest.tag),
        *_ids(published, release_id([manifest, theirs])),
    ):
        yield Problem(path, message)


@rule("NLA706", "error", "the version was not retracted", each=_PUBLISHED)
def not_retracted(published: Published) -> Iterator[Problem]:
    """The logs on both main branches.

    Checks: HISTORY.md on the main branch of this repository and of its partner does not retract
        this version as a whole. A log that is missing, unreadable, or does not begin with the
        published text is a warning: an entry may have been removed.
    Why: A tag never changes, so readers who load by it do not see later retractions: those of
        SolshineCode/nla-gemma-4-e2b are in documents of another repository than the weights.
    Fix: Load the version that the entry names instead. Publishers: a retraction cannot be undone;
        publish the next version.
    Example: v0.0.1 was retracted on 2026-12-01: evaluated at another scale; use v0.0.2
    Waive: Never: using a retracted version is the reader's own choice.
    """
    path, manifest = published.adapter.folder / HISTORY_FILE, _manifest(published)
    messages = set()
    for tagged in filter(None, (published.here, published.partner)):
        if tagged.log.problem:
            yield Problem(path, tagged.log.problem, "warning")
        entry = retraction_of(tagged.log.entries, manifest.version)
        if entry and (retracted := entry.retracted_version):
            instead = f"; use {tag(retracted.successor)}" if retracted.successor else ""
            messages.add(
                f"{manifest.tag} was retracted on {entry.day}: {retracted.reason}{instead}"
            )
    for message in sorted(messages):
        yield Problem(path, message)


@rule("NLA710", "error", "the expected publisher signed both release.json files", each=_PUBLISHED)
def signed_by_publisher(published: Published) -> Iterator[Problem | Skip]:
    """The signatures in both repositories against the bytes of both release.json.

    Checks: The signatures in the repository and in its partner cover the bytes of both release.json
        files. With `verify --key FILE` they are made with that key. With `verify --identity WHO`
        they are made with a Sigstore certificate for that identity and are in the transparency log.
        With either option, a release without a signature fails.
    Why: Someone who holds the token can rewrite both repositories consistently, including commits,
        tags and release id, and no other rule fails. They cannot sign as the publisher.
    Fix: Readers: do not load the release; ask the publisher which key or identity signs.
        Publishers: run `nla-release push --sign` for the next version; a published version stays as
        it is.
    Example: is not signed by the key publisher.pem: InvalidSignature
    Waive: Never: readers who ask for it do not trust the repository alone.
    """
    here, partner, publisher = published.here, published.partner, published.publisher
    path = published.adapter.folder / SIGNATURE_FILE
    both = [each for each in (here, partner) if each is not None]
    if publisher is None and all(each.signature is None for each in both):
        yield Skip("this release is not signed, and no --key or --identity requires it")
        return
    released = {
        each.manifest.role: each.released for each in both if each.manifest and each.released
    }
    if len(released) < 2:
        yield Problem(path, f"the signature is over both {MANIFEST_FILE}, and only one can be read")
        return
    for each in both:
        if each.signature is None:
            yield Problem(path, f"{each.repo} has no {SIGNATURE_FILE} that can be read")
        elif publisher is None:
            if wrong := mismatch(each.signature, released):
                yield Problem(path, f"{each.repo}: {SIGNATURE_FILE} {wrong}")
        elif wrong := publisher.problem(each.signature, released):
            yield Problem(path, f"{each.repo}: {SIGNATURE_FILE} {wrong}")
    if publisher is None:
        yield Skip("the signer was not checked: add --key FILE or --identity WHO")


def _not_as_pushed(tagged: Tagged, manifest: Manifest) -> Iterator[str]:
    """How repository, tag and commit differ from what a push of this release leaves."""
    state, tag = tagged.state, manifest.published_tag
    if manifest.repo != tagged.repo:
        yield f"{MANIFEST_FILE} names {manifest.repo}, and is in {tagged.repo}"
    if state.tags.get(tag) != state.head:
        there = f"points at {state.tags[tag][:12]}" if tag in state.tags else "does not exist"
        yield f"{tag} {there}; the downloaded commit is {state.head[:12]}"
    for name in sorted({manifest.tag, tag} & state.branches):
        yield f"there is also a branch {name}, which readers may get instead of the tag"
    yield from _not_pushed(tagged, f"{tag} points at {state.head[:12]}, ", title(tag))
    yield from tagged.alterations


def _not_pushed(tagged: Tagged, at: str, pushed: str) -> Iterator[str]:
    """How a commit differs from the one that a push makes, once, on the parent that it records."""
    commit, meant = tagged.commit, read_parent(tagged.commit.description)
    if tagged.release_id is None:
        yield f"{at}whose description has no NLA-Release-Id"
        return
    if commit.title != pushed:
        yield f"{at}whose title is {commit.title!r}, not {pushed!r}"
    if meant != commit.parent:
        named, real = (each[:12] if each else "nothing" for each in (meant, commit.parent))
        yield f"{at}whose parent is {real}, although it records {named}"
    if again := [each for each in tagged.earlier if read_id(each.description) == tagged.release_id]:
        yield f"{at}although the release was committed before as {again[-1].id[:12]}"


def _records(repo: str, recorded: PartnerRecord, other: Tagged, tag: str) -> Iterator[str]:
    """The partner's name, tag and weights as a repository records them, against the partner."""
    if (recorded.repo, recorded.tag) != (other.repo, tag):
        yield (
            f"{repo} names {recorded.repo} {recorded.tag} as its partner, not {other.repo} {tag}"
        )
    if other.adapter_sha256 != recorded.adapter_sha256:
        held = (other.adapter_sha256 or "none with a known sha256")[:40]
        yield (
            f"{repo} was released with weights {recorded.adapter_sha256[:12]}, {other.repo} holds"
            f" {held}"
        )


def _ids(published: Published, identity: str) -> Iterator[str]:
    """The id over both release.json files against those in the commits and the expected one."""
    for tagged in (published.here, published.partner):
        if tagged is not None and tagged.release_id != identity:
            carried = (tagged.release_id or "none")[:12]
            yield (
                f"the release id over both {MANIFEST_FILE} is {identity[:12]}, the commit of"
                f" {tagged.repo} carries {carried}"
            )
    if published.expected not in (None, identity):
        yield f"the release id is {identity[:12]}, not {published.expected[:12]} as expected"


_REMEASURED = Scope[Remeasurement](
    lambda subject: [subject.remeasured] if subject.remeasured else [],
    "no row was measured again, because the files fail other rules",
)


@rule("NLA711", "error", "measuring again reproduces the published evidence", each=_REMEASURED)
def evidence_measured_again(measurement: Remeasurement) -> Iterator[Problem]:
    """The base's activations, the AR's reconstructions, then the AV's texts.

    Checks: With `verify --measure N` or `check --measure N`, N rows of the evidence are measured
        again. The base gives their activations at the last token of their texts, the AV explains
        the published activations, and the AR reads their published texts, those of the controls,
        and the new explanations. Rows without a text are not extracted again, and the output
        counts them. The tolerances depend on how the rows are measured again: (a) in float32; (b)
        in another recorded precision, on the recorded kind of device; (c) in another dtype or on
        another device; (d) with another quantization. The cosine of a published and a new
        activation may be below 1 by (a) 0.005, (b) 0.02, (c) 0.02, (d) 0.3. The cosine of a
        reconstruction with its activation, and 1 - the cosine of both reconstructions of a text,
        may change by (a) 0.001, (b) 0.02, (c) 0.05, (d) 0.2. Published explanations may reconstruct
        better than the new ones by a mean of (a) 0.001, (b) 0.005, (c) 0.010, (d) 0.040; the lower
        limit of the 95% CI decides. Explanations that may differ: (a) a tenth, (b) half, (c) and
        (d) all; one always may.
    Why: Every other rule compares files with each other. Forged evidence, with noisy activations as
        reconstructions or invented activations that the pair reads well, passes all of them once
        the hashes are computed again. The rows are chosen by a seed that was not known at
        publication: 20 rows find evidence of which 14% is invented with a probability of 95%.
    Fix: Readers: repeat it with the printed --measure-seed in the recorded precision, and ask the
        publisher. Publishers: run `nla-release roundtrip --fresh` with the files that you publish.
    Example: the AR does not give the published reconstructions: in row doc-7-21 of tensor real a
        cosine differs by 0.112 (tolerance 0.020)
    Waive: Never: a measurement that was asked for is reported.
    """
    folder, found = measurement
    if found.activation and not found.activations_agree:
        yield Problem(
            folder / VECTORS_FILE,
            "the base does not give the published activations: in row"
            f" {found.activation.row} the cosine of both is {number(1 - found.activation.value)}"
            f" (minimum {number(1 - found.tolerance.activation)}; {_again(found)})",
        )
    allowed = number(found.tolerance.cosine)
    if not found.ar_agrees:
        far, what = max(
            (found.cosine, "a cosine with the activation changes"),
            (found.apart, "1 - the cosine of both reconstructions is larger than 0"),
            key=lambda each: each[0].value,
        )
        yield Problem(
            folder / VECTORS_FILE,
            f"the AR does not give the published reconstructions: in row {far.row} of tensor"
            f" {far.tensor} {what}, by {number(far.value)} (tolerance {allowed}; {_again(found)})",
        )
    if not found.texts_agree:
        yield Problem(
            folder / ROWS_FILE,
            f"the AV does not give the published explanations: {found.texts_same} of {found.rows}"
            f" are the same ({_again(found)})",
        )
    if not found.texts_as_good:
        yield Problem(
            folder / ROWS_FILE,
            f"the published explanations reconstruct better than the AV's own: mean cosine"
            f" {number(found.published)} against {number(found.again)}, a difference of at least"
            f" {number(found.loss_at_least)} (tolerance {number(found.tolerance.loss)};"
            f" {_again(found)})",
        )


def _again(found: Remeasured) -> str:
    return f"--measure-seed {found.seed}"
