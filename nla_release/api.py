"""The steps of a release as functions: folders and typed options in, typed results out.

The package root offers each of them by name, and the command line is a thin layer on them. They
print nothing: progress and notes go to the logger `nla_release`, and every error is a
`NlaReleaseError`. A function imports what it needs when it is called, so that `check` does not wait
for the Hub's client.
"""

import functools
import re
import secrets
import shlex
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar, get_args

from nla_release.errors import ConfigError, RefusedError
from nla_release.io.files import make_folder
from nla_release.io.log import log

if TYPE_CHECKING:
    from nla_release.calibration.remeasured import Remeasured
    from nla_release.calibration.report import CurrentCalibration
    from nla_release.cards.render import RenderedRelease
    from nla_release.contract.sidecar import Dtype, Role
    from nla_release.evidence.parts import Evidence
    from nla_release.gate import Measure
    from nla_release.gate.model import Verdict
    from nla_release.gate.subject import Subject
    from nla_release.history.add_evidence import AddedEvidence
    from nla_release.hub.plan import PushOptions, PushPlan
    from nla_release.hub.retract import RetractionPlan
    from nla_release.hub.verify import VerifyResult
    from nla_release.hub_client.remote import Hub
    from nla_release.release.folder import Release
    from nla_release.release.signature import Publisher, Signer

SEEDS = 2**32

_Options = ParamSpec("_Options")
_Result = TypeVar("_Result")


def _library_call(function: Callable[_Options, _Result]) -> Callable[_Options, _Result]:
    """The function as a call by another program: it leaves the Hub's client as it was."""

    @functools.wraps(function)
    def call(*args: _Options.args, **options: _Options.kwargs) -> _Result:
        from nla_release.hub_client.scope import library_call

        with library_call():
            return function(*args, **options)

    return call


@dataclass(frozen=True)
class RemeasureOptions:
    """How `check` and `verify` measure rows of the evidence again; needs the extra `engine`.

    Attributes:
        rows: the number of rows; all rows if the evidence has fewer.
        seed: chooses the rows; by default a new seed, which the result records.
        base: a folder with a copy of the base; by default that of release.yaml, or else the Hub's.
        device: torch device; by default CUDA if there is one.
        dtype: loads the base in this, without quantization; by default as the evidence records.

    Raises:
        ConfigError: there are no such rows, seed or dtype, or the base is not a folder.
    """

    rows: int
    seed: int | None = None
    base: Path | None = None
    device: str | None = None
    dtype: "Dtype | None" = None

    def __post_init__(self) -> None:
        """Check the options before anything is read or downloaded."""
        from nla_release.contract.sidecar import Dtype

        if self.rows < 1:
            raise ConfigError(f"{self.rows} rows cannot be measured again; the minimum is 1")
        if self.seed is not None and not 0 <= self.seed < SEEDS:
            raise ConfigError(f"the seed {self.seed} is not between 0 and {SEEDS - 1}")
        if self.dtype not in (None, *get_args(Dtype)):
            raise ConfigError(
                f"{self.dtype!r} is not a dtype to load the base in",
                hint=f"use one of {', '.join(get_args(Dtype))}",
            )
        _check_folder(self.base)

    @property
    def measure(self) -> "Measure":
        """The function that measures rows of what is checked.

        Raises:
            EnvironmentProblem: the engine is not installed.
        """
        from nla_release.calibration.evidence_folder import read_evidence
        from nla_release.engine.remeasure import remeasure

        seed = secrets.randbelow(SEEDS) if self.seed is None else self.seed

        def measure(subject: "Subject") -> "Remeasured":
            folders, evidence = subject.pair_to_measure
            log.info(f"measuring {self.rows} rows again; --measure-seed {seed} repeats the choice")
            return remeasure(
                read_evidence(evidence),
                folders,
                count=self.rows,
                seed=seed,
                base=self.base or (subject.release.base_path if subject.release else None),
                device=self.device,
                dtype=self.dtype,
            )

        return measure


@_library_call
def check(
    path: str | Path = ".",
    *,
    tokenizer: Path | None = None,
    strict: bool = False,
    measure: RemeasureOptions | None = None,
) -> "Verdict":
    """Check a release, a `dist/` or one adapter against every rule that applies to it.

    Args:
        path: the folder of release.yaml, a rendered `dist/` with `av` and `ar`, or one adapter's
            folder.
        tokenizer: a tokenizer.json to replay prompts on; by default the base's own.
        strict: count warnings as failures.
        measure: also measure rows of the evidence again (NLA711).

    Returns:
        The verdict: `verdict` is "pass", "fail" or "inconclusive", `findings` says why, and
            `exit_code` is that of `nla-release check`. Findings raise nothing.

    Raises:
        ConfigError: release.yaml is wrong, or there is no evidence to measure again.
        NothingCheckedError: the folder contains nothing that a rule could check.
        EnvironmentProblem: rows are to be measured again, and the engine is not installed.
    """
    from nla_release.gate import apply_rules
    from nla_release.gate.subject import find_subject

    measuring = measure.measure if measure else None
    return apply_rules(find_subject(Path(path), tokenizer), strict=strict, measure=measuring)


@dataclass(frozen=True)
class CalibrationResult:
    """The numbers of a pair, as they were computed and written.

    Attributes:
        path: the calibration.json that was written.
        calibration: its contents; `calibration.label` says how good the pair is.
        update: the evidence update, if the evidence was added to a published version.
    """

    path: Path
    calibration: "CurrentCalibration"
    update: "AddedEvidence | None" = None


@_library_call
def calibrate(
    path: str | Path = ".", *, addendum: str | None = None, day: date | None = None
) -> CalibrationResult:
    """Compute every number from the evidence in a folder, and write calibration.json there.

    The same evidence gives the same bytes, on any machine, without torch.

    Args:
        path: the folder of evidence/, and of release.yaml if there is one. `evaluation.attempts`,
            which needs no measurement, is first copied from release.yaml into the evidence.
        addendum: adds the evidence to the published version in `dist/`; says why, in a sentence.
        day: the date of the addendum; by default today (UTC).

    Raises:
        ConfigError: the evidence was measured with other settings than those in release.yaml, or
            the addendum has no text, contains a secret or a local path, or its date is wrong.
        InputError: a file of the pair or of `dist/` is missing or damaged.
        EvidenceError: the evidence is missing, damaged, or belongs to other weights.
        NothingCheckedError: the evidence contains too little to compute anything, or an addendum
            nothing new.
        EnvironmentProblem: calibration.json cannot be written.
    """
    from nla_release.calibration.calibrate import calibrate as compute
    from nla_release.history.add_evidence import add_evidence
    from nla_release.io.files import write_atomic
    from nla_release.io.layout import CALIBRATION_FILE
    from nla_release.release.folder import read_release

    folder = Path(path)
    target = folder / CALIBRATION_FILE
    if addendum is None:
        calibration: CurrentCalibration = compute(_evidence(folder))
        write_atomic(target, calibration.dump())
        return CalibrationResult(target, calibration)
    _check_addendum(addendum)
    _evidence(folder)
    update = add_evidence(read_release(folder), addendum, _past(day))
    return CalibrationResult(target, update.calibration, update)


def _evidence(folder: Path) -> "Evidence":
    """The evidence of a folder, measured as its release.yaml says, if there is one."""
    from nla_release.calibration.evidence_folder import read_evidence, record_attempts
    from nla_release.calibration.measured_settings import check_measured_settings
    from nla_release.io.layout import RELEASE_FILE
    from nla_release.release.folder import read_release

    evidence = read_evidence(folder / "evidence")
    if not (folder / RELEASE_FILE).exists():
        return evidence
    release = read_release(folder)
    attempts = release.config.evaluation.attempts
    if attempts not in (None, evidence.run.attempts) and evidence.run.schema_ > 1:
        record_attempts(release.evidence, attempts)
        log.info(f"recorded in {release.evidence}: evaluation.attempts is {attempts}")
        evidence = read_evidence(release.evidence)
    check_measured_settings(release, evidence)
    return evidence


def _check_addendum(text: str) -> None:
    from nla_release.gate.hygiene import unpublishable

    if not text.strip():
        raise ConfigError(
            "the addendum has no text", hint="say why evidence was added, in a sentence"
        )
    if found := unpublishable(text):
        raise ConfigError(
            f"the text of the addendum contains {found}",
            hint="it would be published: say why evidence was added in plain words",
        )


def _past(day: date | None) -> date:
    today = datetime.now(UTC).date()
    # Somewhere it is tomorrow already.
    if day and day > today + timedelta(days=1):
        raise ConfigError(f"the date {day} is in the future")
    return day or today


@_library_call
def render(path: str | Path = ".", *, version: str) -> "RenderedRelease":
    """Write both repositories of a release to its `dist/`: cards, figures, HISTORY, manifests.

    Rendering again gives the same bytes. After an error `dist/` is as it was before.

    Args:
        path: the folder of release.yaml, evidence/ and calibration.json.
        version: the version of the release, such as "0.0.1".

    Returns:
        The tag to publish it under, and the id and the folder of each repository.

    Raises:
        ConfigError: the version is not valid, or release.yaml, a note, a fragment or the licence is
            wrong.
        InputError: a file is missing or damaged.
        PairError: AV and AR are not one pair.
        RefusedError: HISTORY.md has this version with other results.
        EnvironmentProblem: `dist/` cannot be written, or the base cannot be reached.
    """
    from nla_release.cards.render import render as write
    from nla_release.release.folder import read_release

    return write(read_release(Path(path)), version)


@dataclass(frozen=True)
class Rehearsal:
    """A local Hub that runs for one call, in place of the real one: nothing is published.

    Needs the extra `hub`.

    Attributes:
        root: the folder that keeps its repositories for later calls; by default a temporary one.
    """

    root: Path | None = None


@contextmanager
def _opened(hub: "Hub | Rehearsal | None", *, writing: bool) -> "Iterator[Hub]":
    """The Hub that was given, a local one, or that of HF_ENDPOINT.

    Raises:
        EnvironmentProblem: there is no token to write with, or the local Hub cannot be started.
    """
    from nla_release.hub_client.client import reading_client
    from nla_release.hub_client.remote import Hub

    if not isinstance(hub, Rehearsal):
        reading_client()
        yield hub or Hub.from_environment(writing=writing)
        return
    from nla_release.hub_client.scope import without_proxy
    from nla_release.local_hub.server import HOST, LocalHub

    with (
        without_proxy(HOST),
        tempfile.TemporaryDirectory(prefix="nla-release-hub-") as temporary,
        LocalHub(hub.root or Path(temporary)) as server,
    ):
        reading_client()
        log.info(f"rehearsing on {server.endpoint}; nothing is published")
        yield Hub(server.endpoint, server.token)


@_library_call
def plan(
    path: str | Path = ".",
    *,
    version: str,
    options: "PushOptions | None" = None,
    signer: "Signer | None" = None,
    hub: "Hub | Rehearsal | None" = None,
) -> "PushPlan":
    """What a push would do to each file of both repositories. Only reads.

    Args:
        path: the folder of release.yaml and `dist/`.
        version: the version that was rendered.
        options: as in `push`.
        signer: as in `push`; only checked here.
        hub: as in `push`; reading needs no token.

    Returns:
        The plan; its `blockers` say why a push would be refused.

    Raises:
        ConfigError: the version is not valid, release.yaml is wrong, `options.addendum` does not
            fit `dist/`, or the signer cannot sign.
        InputError: `dist/` is missing, of another version, or differs from release.json.
        EnvironmentProblem: the Hub cannot be reached.
    """
    from nla_release.hub.plan import checked_plan, make_plan
    from nla_release.release.folder import read_release

    _check_signer(signer, hub)
    release = read_release(Path(path))
    with _opened(hub, writing=False) as opened:
        return checked_plan(make_plan(release.dist, version, opened, options), opened)


@dataclass(frozen=True)
class PushResult:
    """A published release.

    Attributes:
        tag: the tag of both repositories.
        release_id: the id that ties both repositories to one push (64 hex digits).
        repos: each repository's name.
        commits: the commit of the tag in each repository.
        urls: each repository's page at the tag.
        changed: False if the release was published before.
        collection: the URL of the collection that lists both, if one was asked for.
        verdict: of a rehearsal, the verdict on what was downloaded again.
    """

    tag: str
    release_id: str
    repos: "dict[Role, str]"
    commits: "dict[Role, str]"
    urls: "dict[Role, str]"
    changed: bool
    collection: str | None = None
    verdict: "Verdict | None" = None


@_library_call
def push(
    path: str | Path = ".",
    *,
    version: str,
    options: "PushOptions | None" = None,
    signer: "Signer | None" = None,
    collection: str | None = None,
    hub: "Hub | Rehearsal | None" = None,
) -> PushResult:
    """Publish both rendered repositories as one unit.

    Both are uploaded, committed once each and verified before either is tagged. The same call
    continues a push that was interrupted, and changes nothing that is published already. The
    published HISTORY.md is copied next to release.yaml. After a rehearsal both repositories are
    downloaded and verified instead.

    Args:
        path: the folder of release.yaml and `dist/`.
        version: the version that was rendered.
        options: visibility, and what may be overwritten; by default nothing.
        signer: signs both release.json.
        collection: the slug or title of a Hub collection to add both to. It is created if needed;
            a failure is a warning, because the release is published by then.
        hub: where to publish; by default the Hub of HF_ENDPOINT, with the token of HF_TOKEN or of
            `hf auth login`. A `Rehearsal` publishes to a local Hub.

    Raises:
        ConfigError: the version is not valid, release.yaml is wrong, `options.addendum` does not
            fit `dist/`, or the signer cannot sign.
        InputError: `dist/` is missing, of another version, or differs from release.json.
        RefusedError: the release does not pass `check`, or the plan has blockers.
        EnvironmentProblem: there is no token, it may not write, or the Hub cannot be reached.
        PartlyPublishedError: one of these, after something became public: call `push` again.
    """
    from nla_release.hub.collection import collect
    from nla_release.hub.journal import Journal
    from nla_release.hub.kept_history import keep_history
    from nla_release.hub.plan import make_plan, merge_hand_written
    from nla_release.hub.push import push as execute
    from nla_release.io.files import read_text
    from nla_release.release.folder import read_release

    _check_signer(signer, hub)
    release = read_release(Path(path))
    with _opened(hub, writing=True) as opened:
        plan = make_plan(release.dist, version, opened, options)
        if not plan.blockers and merge_hand_written(plan):
            plan = make_plan(release.dist, version, opened, options)
        done = execute(
            plan,
            opened,
            Journal(release.dist, plan.release_id, opened.endpoint),
            check=lambda: _check_passes(release),
            signer=signer,
            waived=release.config.waivers,
        )
        if not isinstance(hub, Rehearsal):
            published = read_text(release.dist / "av" / release.history.name, newline="")
            keep_history(release, published, plan.repos[0].repo)
        return PushResult(
            plan.tag,
            plan.release_id,
            {repo.role: repo.repo for repo in plan.repos},
            {repo.role: repo.tagged for repo in done.repos if repo.tagged},
            {repo.role: opened.url(repo.repo, plan.tag) for repo in plan.repos},
            changed=not plan.done,
            collection=collect(plan, opened, collection) if collection else None,
            verdict=_verified(release, plan, opened) if isinstance(hub, Rehearsal) else None,
        )


def _check_signer(signer: "Signer | None", hub: "Hub | Rehearsal | None") -> None:
    if signer is None:
        return
    if isinstance(hub, Rehearsal) and signer.key is None:
        raise ConfigError(
            "signing without a key writes to Sigstore's public log; a rehearsal publishes nothing",
            hint="rehearse with a key (--key FILE), or without a signature",
        )
    signer.check()


def _check_passes(release: "Release") -> None:
    verdict = check(release.folder)
    if verdict.verdict != "pass":
        worst = verdict.findings[0]
        raise RefusedError(
            f"the release does not pass `nla-release check`: {worst.code} {worst.message}",
            hint=f"run `nla-release check {shlex.quote(str(release.folder))}` to see all findings",
        )


def _verified(release: "Release", plan: "PushPlan", hub: "Hub") -> "Verdict":
    from nla_release.hub.verify import VerifyOptions, verify_published

    verdict = verify_published(plan, hub, VerifyOptions.of(release))
    passed, skipped = verdict.totals["passed"], verdict.totals["skipped"]
    log.info(
        f"re-downloaded both repositories: files identical; {passed} rules passed,"
        f" {skipped} not applicable"
    )
    return verdict


@dataclass(frozen=True)
class RetractResult:
    """A retraction as planned, and what was done.

    Attributes:
        plan: both repositories with the files that change.
        commits: the new commit of each repository that was changed; empty after a dry run.
    """

    plan: "RetractionPlan"
    commits: "dict[Role, str]"


@_library_call
def retract(
    path: str | Path = ".",
    *,
    version: str,
    reason: str,
    successor: str | None = None,
    dry_run: bool = False,
    hub: "Hub | Rehearsal | None" = None,
) -> RetractResult:
    """Mark a published version as retracted on both model cards.

    Each repository gets one commit: a notice at the top of the card and an entry in HISTORY.md.
    Nothing is deleted, and the tag stays where it is. The same call continues a retraction that was
    interrupted; repeated with a successor, it adds the successor.

    Args:
        path: the folder of release.yaml, which names the repositories; `dist/` is not needed.
        version: the published version.
        reason: why nobody should use it, in one line.
        successor: the published version to use instead.
        dry_run: check what would change, and write nothing.
        hub: where it is published, as in `push`. With a `Rehearsal`, the local HISTORY.md stays as
            it is.

    Raises:
        ConfigError: release.yaml, a version or the reason is not valid.
        RefusedError: the version or the successor is not published, the successor is retracted, or
            a published file was changed so that it cannot be updated.
        EnvironmentProblem: there is no token, it may not write, or the Hub cannot be reached.
        PartlyPublishedError: one of these, after one repository was changed: call it again.
    """
    from nla_release.history.log import read_history
    from nla_release.hub.kept_history import keep_history, note_older_copies
    from nla_release.hub.retract import Retraction, examine, plan_retraction, retraction_lines
    from nla_release.hub.retract import retract as execute
    from nla_release.release.folder import ROLES, check_version, read_release

    if check_version(version) == successor:
        raise ConfigError("the successor is the version that is to be retracted")
    release = read_release(Path(path))
    repos = {role: release.repo_id(role, version) for role in ROLES}
    instead: dict[Role, str] = {}
    if successor is not None:
        instead = {role: release.repo_id(role, check_version(successor)) for role in ROLES}
    retraction = Retraction(version, reason, datetime.now(UTC).date(), successor, instead)
    with _opened(hub, writing=not dry_run) as opened:
        plan = plan_retraction(opened, repos, retraction, read_history(release.history))
        if dry_run:
            try:
                examine(plan, opened)
            except RefusedError:  # what would change shows where
                for line in retraction_lines(plan):
                    log.info(line)
                raise
            return RetractResult(plan, {})
        for line in retraction_lines(plan):
            log.info(line)
        if plan.note:
            log.note(plan.note)
        commits = execute(plan, opened)
    if not isinstance(hub, Rehearsal):
        keep_history(release, plan.history, plan.repos[0].repo)
        note_older_copies(release, plan.history)
    return RetractResult(plan, commits)


@_library_call
def verify(
    place: str,
    *,
    target: str | Path | None = None,
    pair: bool = False,
    expect: str | None = None,
    publisher: "Publisher | None" = None,
    base: Path | None = None,
    author: Path | None = None,
    measure: RemeasureOptions | None = None,
    load: bool = False,
    hub: "Hub | Rehearsal | None" = None,
) -> "VerifyResult":
    """Download a published release again and check it independently.

    Every byte is compared with release.json, every number is computed again from the evidence, and
    every rule of `check` is applied, with the default gates and without waivers.

    Args:
        place: one repository at a tag or commit, such as "someone/pair-av-v0_0_1@v0.0.1".
        target: an empty folder to download to; by default a temporary one that is deleted again.
        pair: download the partner too, and check both as a pair.
        expect: the release id that it must have.
        publisher: whose signature it must carry.
        base: a folder with a copy of the base: its tokenizer replays prompts, and `load` and
            `measure` load it.
        author: a folder of yours whose release.yaml gives gates and waivers.
        measure: also measure rows of the evidence again (NLA711); downloads the partner.
        load: also load it with PEFT, if it passes; needs the extra `engine`.
        hub: where it is published; by default the Hub of HF_ENDPOINT. Public repositories need no
            token.

    Returns:
        The verdict, the release id and the folders. Findings raise nothing.

    Raises:
        ConfigError: the place names no tag and no commit, `expect` is not a release id, the target
            is not empty, or the publisher's key cannot be used.
        NothingCheckedError: it contains no release.
        RefusedError: it contains unsafe file names, or files that release.json does not list.
        EnvironmentProblem: it cannot be downloaded, or the engine is not installed.
    """
    from nla_release.hub.verify import VerifyOptions
    from nla_release.hub.verify import verify as download_and_check
    from nla_release.hub_client.place import read_place
    from nla_release.release.folder import read_release

    # What can be wrong here is found before anything is downloaded.
    if measure is not None and measure.base is None:
        measure = replace(measure, base=base)
    measuring = measure.measure if measure else None
    if load:
        import nla_release.engine  # noqa: F401 - is it installed?
    if publisher is not None:
        publisher.check()
    if expect is not None:
        check_release_id(expect, "expect")
    _check_folder(base)
    try:
        where = read_place(place)
    except ConfigError as error:
        raise ConfigError(
            f"{place} is not a published release, NAMESPACE/NAME@TAG",
            hint=f"for a folder use `nla-release check {place}`"
            if Path(place).exists()
            else error.hint,
        ) from error
    options = VerifyOptions.of(read_release(author)) if author else VerifyOptions()
    tokenizer = base / "tokenizer.json" if base else options.tokenizer
    options = replace(options, tokenizer=tokenizer, expected=expect, publisher=publisher)
    with _opened(hub, writing=False) as opened, _download_folder(target) as folder:
        result = download_and_check(
            opened, where, folder, options, pair=pair or measure is not None, measure=measuring
        )
        if load and result.verdict.verdict == "pass":
            from nla_release.engine.pair import load_published

            result = replace(result, loaded=load_published(result.folders, base))
    return result if target else replace(result, folders={})


def check_release_id(text: str, option: str) -> None:
    """Check the form of a release id.

    Raises:
        ConfigError: it is none; the message names the option that holds it.
    """
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise ConfigError(
            f"{option} {text} is not a release id",
            hint="it is 64 hex digits; verify prints it of what passes",
        )


def _check_folder(base: Path | None) -> None:
    if base is not None and not base.is_dir():
        raise ConfigError(f"{base} is not a folder with a copy of the base")


@contextmanager
def _download_folder(target: str | Path | None) -> Iterator[Path]:
    if target is None:
        with tempfile.TemporaryDirectory(prefix="nla-release-") as name:
            yield Path(name)
        return
    folder = Path(target)
    make_folder(folder)
    if any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty", hint="name a new folder to download to")
    yield folder
