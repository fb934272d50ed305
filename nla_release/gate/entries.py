"""The entries of a log that are the word of the version that is checked."""

from collections.abc import Iterator

from nla_release.gate.adapter import Adapter, reading
from nla_release.history.log import Entry, read_history, read_log
from nla_release.release.folder import Release


def new_entries(adapter: Adapter, release: Release | None) -> Iterator[Entry]:
    """The entries from fragments that the log as last published does not have.

    Those about this version are among them for ever, and so are all that stand after its own:
    without a release that is what there is to go by.
    """
    published = None if release is None else _published(release)
    begun = False
    for entry in adapter.log:
        begun = begun or entry.tag == adapter.manifest.tag
        record = entry.record
        if record and (
            begun
            or record.about == adapter.manifest.version
            or (published is not None and record.id not in published)
        ):
            yield entry


def _published(release: Release) -> set[str]:
    with reading(release.history, "NLA505"):
        log = read_log(read_history(release.history) or "")
    return {entry.record.id for entry in log if entry.record}
