"""Files on their way into a commit, as the client wants them.

On huggingface.co the client's own path (Xet) is used. Any other endpoint may not speak Xet, and the
client does not fall back by itself (huggingface_hub#4786), but it uses LFS for open files; so files
are opened there.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from huggingface_hub import CommitOperationAdd
from huggingface_hub.lfs import UploadInfo

from nla_release.release.manifest import FileRecord

# Files to add to a commit, by their names in the repository.
Payload = dict[str, FileRecord]

_SAMPLE_BYTES = 512  # by which the Hub tells text from binary


@contextmanager
def additions(folder: Path, payload: Payload, *, xet: bool) -> Iterator[list[CommitOperationAdd]]:
    """What adds files of a folder to a commit; valid inside the block, and for one commit.

    Their hashes are those of the payload: the client does not read the files for them.
    """
    with ExitStack() as stack:
        made = []
        for name, record in payload.items():
            path = folder / name
            opened = stack.enter_context(path.open("rb"))
            addition = CommitOperationAdd(name, b"")
            addition.upload_info = UploadInfo(
                sha256=bytes.fromhex(record.sha256),
                size=record.size,
                sample=opened.peek(_SAMPLE_BYTES)[:_SAMPLE_BYTES],
            )
            addition.path_or_fileobj = str(path) if xet else opened
            made.append(addition)
        yield made


def batches(made: list[CommitOperationAdd]) -> list[list[CommitOperationAdd]]:
    """The additions in an order in which equal files are not sent at once.

    The client would read both through one of them. The second time, the Hub has the bytes.
    """
    first = {addition.upload_info.sha256: addition for addition in reversed(made)}
    once = [each for each in made if first[each.upload_info.sha256] is each]
    again = [each for each in made if first[each.upload_info.sha256] is not each]
    return [batch for batch in (once, again) if batch]
