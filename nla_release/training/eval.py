"""`nla-release train eval RECIPE`: the release tool's round trip on checkpoints.

The finished pair is measured, and so is each chosen checkpoint with the finished other half: AV
checkpoints with the finished AR, AR checkpoints with the finished AV. What was measured of the same
files is not measured again. Each round trip is a release of its own in `trajectory/`, with its
evidence, and its results are in `trajectory.jsonl` and `trajectory.md`. How many pairs were
measured is filled into release.yaml as `evaluation.attempts`, unless a person wrote it there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nla_release.adapter.training_log import read_log
from nla_release.calibration.calibrate import calibrate
from nla_release.contract.sidecar import Role, contract_digest, read_sidecar
from nla_release.engine.roundtrip import roundtrip
from nla_release.errors import ConfigError
from nla_release.io.files import dump_json, dump_yaml, sha256_bytes, sha256_file, write_atomic
from nla_release.io.layout import ADAPTER_FILE, RELEASE_FILE, SIDECAR_FILE
from nla_release.io.log import log
from nla_release.release.folder import ROLES, Release, read_release
from nla_release.training.checkpoints import kept_steps
from nla_release.training.dataset import checked_sidecar, data_path, reference_path, training_files
from nla_release.training.recipe import Recipe
from nla_release.training.record import base_inputs, check_inputs, forget, read_record, write_record
from nla_release.training.skeleton import NO_LICENCE, fill_in, measured_pairs, release_document
from nla_release.training.trajectory import (
    FOLDER_NAME,
    JSONL_NAME,
    TABLE_NAME,
    Point,
    point,
    read_points,
    write_points,
)

_OTHER: dict[Role, Role] = {"av": "ar", "ar": "av"}


@dataclass(frozen=True)
class Pairing:
    """An AV and an AR to be measured together, and how many steps each was trained."""

    adapters: dict[Role, Path]
    steps: dict[Role, int]

    @property
    def name(self) -> str:
        """Of the folder that its round trip is kept in."""
        return f"av-{self.steps['av']:06d}-ar-{self.steps['ar']:06d}"


def evaluate(
    recipe: Recipe, folder: Path, *, device: str | None = None, again: bool = False
) -> list[Point]:
    """Measure the finished pair and the recipe's choice of checkpoints; gives a point of each.

    With `again`, what was measured of the same files counts for nothing. Points of other pairs stay
    written down for as long as their adapters are there: they were tried too.

    Raises:
        ConfigError: the recipe names a step that no checkpoint was kept of.
        DataError: the pair is not finished, or not of this recipe or this base.
        NlaReleaseError: a round trip fails; see `nla_release.engine.roundtrip`.
    """
    inputs = check_inputs("eval", recipe, folder, list(_needed(folder))) | base_inputs(recipe)
    trained_on = read_sidecar(folder / "pair" / "av", "av").nla_release.base
    checked_sidecar(data_path(folder, "eval"), recipe, trained_on.revision)
    forget(folder, "eval")
    pairings = chosen(recipe, folder)
    known = {_pair_of(it): it for it in _still_there(folder)}
    points: list[Point] = []
    for number, pairing in enumerate(pairings, start=1):
        release = _release(recipe, folder, pairing)
        wanted = _measured_with(release)
        found = next((it for it in known.values() if it.measured_with == wanted), None)
        if found is None or again:
            log.info(f"eval: {pairing.name}, {number} of {len(pairings)}")
            found = _measure(release, pairing, wanted, device, again=again)
        known[_pair_of(found)] = found
        points.append(found)
        write_points(folder, list(known.values()), len(measured_pairs(folder)))
    fill_in(folder)
    outputs = [folder / JSONL_NAME, folder / TABLE_NAME]
    write_record("eval", recipe, folder, inputs=inputs, outputs=outputs)
    return points


def chosen(recipe: Recipe, folder: Path) -> list[Pairing]:
    """What is measured: checkpoints in the order of their steps, and the finished pair.

    Raises:
        ConfigError: the recipe names a step that no checkpoint was kept of.
    """
    finished: dict[Role, Path] = {role: folder / "pair" / role for role in ROLES}
    steps: dict[Role, int] = {role: read_log(finished[role])[-1].step for role in ROLES}
    kept: dict[Role, dict[int, Path]] = {
        role: {at: it for at, it in kept_steps(folder, role).items() if at < steps[role]}
        for role in ROLES
    }
    wanted = recipe.eval.checkpoints
    if isinstance(wanted, list):
        there = {*kept["av"], *kept["ar"], *steps.values()}
        if missing := sorted(set(wanted) - there):
            raise ConfigError(
                f"eval.checkpoints names {missing}, kept are {sorted(there)}",
                hint="set checkpoint_every under av and ar, and train again",
            )
    found = [
        Pairing(
            {role: path, _OTHER[role]: finished[_OTHER[role]]},
            {role: at, _OTHER[role]: steps[_OTHER[role]]},
        )
        for role in ROLES
        for at, path in kept[role].items()
        if wanted == "all" or (isinstance(wanted, list) and at in wanted)
    ]
    return [*found, Pairing(finished, steps)]


def _pair_of(it: Point) -> tuple[str, ...]:
    """Which adapters a point is of."""
    return tuple(it.adapter_sha256[role] for role in ROLES)


def _still_there(folder: Path) -> list[Point]:
    """The points of adapters that still exist: not trained again since."""
    places = [folder / "pair" / role for role in ROLES]
    places += [place for role in ROLES for place in kept_steps(folder, role).values()]
    there = {sha256_file(place / ADAPTER_FILE) for place in places}
    return [it for it in read_points(folder) if there.issuperset(_pair_of(it))]


def _needed(folder: Path) -> Iterator[str]:
    """What the round trips read that other steps wrote, from the folder."""
    for path in (data_path(folder, "eval"), reference_path(folder), *training_files(folder)):
        yield path.relative_to(folder).as_posix()
    for role in ROLES:
        record = read_record(folder, role)
        yield from record.outputs if record else [f"pair/{role}/{ADAPTER_FILE}"]


def _release(recipe: Recipe, folder: Path, pairing: Pairing) -> Release:
    """A release of a pairing, in a folder of its own."""
    place = folder / FOLDER_NAME / pairing.name
    document = release_document(recipe, folder, place, pairing.adapters)
    document |= {
        "name": pairing.name,
        "namespace": "trajectory",
        "title": f"{recipe.name}, {pairing.name}",
        **NO_LICENCE,
    }
    document["evaluation"]["rows"] = recipe.eval.rows
    write_atomic(place / RELEASE_FILE, dump_yaml(document))
    return read_release(place)


def _measured_with(release: Release) -> str:
    """What a point follows from: data, settings, and all files in both adapters' folders."""
    files = [release.evaluation_data, release.reference]
    files += [release.folder / path for path in release.config.evaluation.training]
    hashes = {f"{at} {path.name}": sha256_file(path) for at, path in enumerate(files)}
    for role in ROLES:
        folder = release.adapter(role)
        for path in (it for it in folder.rglob("*") if it.is_file()):
            name = path.relative_to(folder).as_posix()
            hashes[f"{role}/{name}"] = (
                contract_digest(read_sidecar(folder, role))
                if name == SIDECAR_FILE
                else sha256_file(path)
            )
    settings = release.config.evaluation.model_dump(mode="json")
    return sha256_bytes(dump_json(hashes | settings).encode())


def _measure(
    release: Release, pairing: Pairing, wanted: str, device: str | None, *, again: bool
) -> Point:
    calibration = calibrate(roundtrip(release, device=device, fresh=again))
    write_atomic(release.calibration, calibration.dump())
    return point(
        calibration,
        steps=pairing.steps,
        loss={role: read_log(release.adapter(role))[-1].loss for role in ROLES},
        adapter_sha256={role: sha256_file(release.adapter(role) / ADAPTER_FILE) for role in ROLES},
        measured_with=wanted,
    )
