"""A base on the Hub at one commit, read in ranges."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, OfflineModeIsEnabled, RevisionNotFoundError
from huggingface_hub.utils import build_hf_headers, get_session

from nla_release.errors import ConfigError, EnvironmentProblem, InputError, NlaReleaseError
from nla_release.hub_client.client import reading_client
from nla_release.hub_client.client_errors import translated

_ELSEWHERE = (
    "run `nla-release base` where there is a network, and copy base.json next to release.yaml"
)


@dataclass(frozen=True)
class HubFiles:
    """The files of a base on the Hub that HF_ENDPOINT names, read with the token of the machine.

    Every request names the commit, and the Hub must confirm that its answer is of that commit.
    """

    repo: str
    commit: str

    def place(self, name: str) -> str:
        """Repository, commit and name, for messages."""
        return f"{self.repo}@{self.commit[:7]}/{name}"

    def cached(self, name: str) -> Path | None:
        """A file of the commit in the client's cache.

        Raises:
            ConfigError: the repository's id is invalid.
        """
        with self._translated():
            path = try_to_load_from_cache(self.repo, name, revision=self.commit)
        return Path(path) if isinstance(path, str) else None

    def size(self, name: str) -> int | None:
        """A file's length in bytes, or None when the commit has no such file.

        Raises:
            ConfigError: there is no such commit.
            EnvironmentProblem: the Hub cannot be reached, or refuses.
        """
        with self._translated():
            try:
                metadata = get_hf_file_metadata(self._url(name))
            except EntryNotFoundError:
                return None
        if metadata.commit_hash != self.commit:
            raise ConfigError(
                f"{self.repo}: the Hub gives commit {metadata.commit_hash} for {self.commit}",
                hint="write the commit into release.yaml, and into both sidecars",
            )
        if metadata.size is None:
            raise EnvironmentProblem(f"{self.place(name)}: the Hub does not report its size")
        return metadata.size

    def read(self, name: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes of a file, from byte `start`; never more is received.

        Raises:
            InputError: the file ends before.
            EnvironmentProblem: the Hub cannot be reached, or refuses.
        """
        if length == 0:
            return b""
        headers = build_hf_headers(library_name="nla_release") | {
            "Accept-Encoding": "identity",
            "Range": f"bytes={start}-{start + length - 1}",
        }
        data = bytearray()
        with (
            self._translated(),
            get_session().stream(
                "GET",
                self._url(name),
                headers=headers,
                timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
            ) as answer,
        ):
            # A server without ranges answers 200 and sends the whole file: its beginning will do.
            if answer.status_code != 206 and not (answer.status_code == 200 and start == 0):
                raise EnvironmentProblem(
                    f"{self.place(name)}: the Hub answered {answer.status_code} to a ranged request"
                )
            for piece in answer.iter_raw():
                data += piece
                if len(data) >= length:
                    return bytes(data[:length])
        raise InputError(f"{self.place(name)} ends {length - len(data)} bytes too early")

    def _url(self, name: str) -> str:
        return hf_hub_url(self.repo, name, revision=self.commit)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the client's exceptions into errors with hints for reading a base."""
        reading_client()
        try:
            with translated(self.repo):
                yield
        except NlaReleaseError as error:
            if isinstance(error.__cause__, RevisionNotFoundError):
                raise ConfigError(
                    f"{self.repo} has no commit {self.commit}",
                    hint="correct base_revision in release.yaml, and in both sidecars",
                ) from error
            if isinstance(error.__cause__, OfflineModeIsEnabled):
                raise EnvironmentProblem(
                    f"HF_HUB_OFFLINE is set, and the cache does not hold the card, configuration"
                    f" and weights of {self.repo} at {self.commit}",
                    hint=_ELSEWHERE,
                ) from error
            if isinstance(error, EnvironmentProblem):
                hint = f"{error.hint}; or {_ELSEWHERE}" if error.hint else _ELSEWHERE
                raise EnvironmentProblem(error.message, hint=hint) from error
            raise
