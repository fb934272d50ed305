"""base.json beside release.yaml: the base's facts, measured once."""

from nla_release.base_model.facts import BaseFacts, dump_base_facts, read_base_facts
from nla_release.base_model.measure import measure_base
from nla_release.errors import InputError
from nla_release.io.files import write_atomic
from nla_release.io.layout import BASE_FILE
from nla_release.release.folder import Release


def base_facts(release: Release) -> BaseFacts:
    """The facts of a release's base, measured and kept unless its own are there already.

    Raises:
        ConfigError: base_revision is not a commit.
        InputError: base.json is damaged, or the base is.
        EnvironmentProblem: neither base_path nor the Hub client's cache has the base, and the Hub
            cannot be reached or refuses; or base.json cannot be written.
    """
    config = release.config
    if (release.folder / BASE_FILE).exists():
        kept = read_base_facts(release.folder)
        if (kept.id, kept.revision) == (config.base_model, config.base_revision):
            return kept
    return _measure(release)


def measure_again(release: Release) -> tuple[BaseFacts | None, BaseFacts]:
    """What was kept of the base, if it was readable, and what is kept now.

    Raises:
        NlaReleaseError: as `base_facts`.
    """
    try:
        before = read_base_facts(release.folder)
    except InputError:  # missing, or damaged: both are mended here
        before = None
    return before, _measure(release)


def _measure(release: Release) -> BaseFacts:
    config = release.config
    facts = measure_base(config.base_model, config.base_revision, release.base_path)
    write_atomic(release.folder / BASE_FILE, dump_base_facts(facts))
    return facts
