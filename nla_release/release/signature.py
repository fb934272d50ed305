"""The signature of a release: over the bytes of both release.json, by a key or by an identity.

Each release.json lists every other byte of its repository, so one signature over both holds the
whole release. It is `release.sigstore.json` in both repositories, the same bytes in each, and
release.json does not list it. The format is that of the OpenSSF Model Signing specification (a
Sigstore bundle with an in-toto statement), as if av/release.json and ar/release.json were the files
of one model.

Reading which files a signature names needs no extra. Signing and verifying need the `sign` extra.
"""

import base64
import contextlib
import io
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nla_release.contract.sidecar import Role
from nla_release.errors import (
    ConfigError,
    EnvironmentProblem,
    InputError,
    install_hint,
    one_line,
    printable,
)
from nla_release.io.documents import parse_json
from nla_release.io.files import sha256_bytes, write_atomic
from nla_release.io.layout import MANIFEST_FILE, SIGNATURE_FILE
from nla_release.io.masking import known_secrets, masked, remember

# A bundle with a certificate and the proofs of a transparency log is under 20 kB.
MAX_BYTES = 256 * 1024
GITHUB = "https://token.actions.githubusercontent.com"

_MODEL = "release"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://model_signing/signature/v1.0"
_PASSWORD = "NLA_RELEASE_KEY_PASSWORD"  # noqa: S105 - a name
_AUDIENCE = "sigstore"
_NEW_KEY = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out FILE"

# The bytes of release.json, by role.
ManifestBytes = Mapping[Role, bytes]


@dataclass(frozen=True)
class Publisher:
    """Whose signature a reader demands: the holder of a key, or an identity of Sigstore.

    `key` is a public key (PEM); `identity` what a certificate names, such as the address of a
    workflow, and `issuer` who vouches for it. `trust` is a trust configuration of an own Sigstore.
    """

    key: Path | None = None
    identity: str | None = None
    issuer: str = GITHUB
    trust: Path | None = None

    @property
    def named(self) -> str:
        """The publisher, for messages."""
        return f"the key {self.key}" if self.key else f"{self.identity} ({self.issuer})"

    def problem(self, signature: bytes, released: ManifestBytes) -> str | None:
        """Why a signature is not this publisher's over these release.json, or None: it is.

        Raises:
            ConfigError: the key or the trust configuration cannot be used.
            EnvironmentProblem: the `sign` extra is missing, or Sigstore's keys cannot be had.
        """
        if wrong := mismatch(signature, released):
            return wrong
        verifying = self._verifying()
        with _model(released) as (model, path):
            path.write_bytes(signature)
            try:
                # The library prints a warning to stdout, which is for the verdict.
                with contextlib.redirect_stdout(io.StringIO()):
                    verifying.verify(model, path)
            except Exception as error:  # whatever third-party bytes make it raise
                return f"is not signed by {self.named}: {_reason(error)}"
        return None

    def check(self) -> None:
        """Find out now whether signatures of this publisher can be verified here.

        Raises:
            ConfigError, EnvironmentProblem: as `problem`.
        """
        self._verifying()

    def _verifying(self) -> Any:
        verifying = _extra("verifying").Config().set_hashing_config(_hashing())
        if self.key is not None:
            with _usable(self.key, "public", "openssl pkey -in PRIVATE -pubout -out FILE"):
                return verifying.use_elliptic_key_verifier(public_key=self.key)
        with _reachable():
            return verifying.use_sigstore_verifier(
                identity=self.identity, oidc_issuer=self.issuer, trust_config=self.trust
            )


@dataclass(frozen=True)
class Signer:
    """Who signs: the holder of a private key (PEM), or without one the CI job that runs this."""

    key: Path | None = None
    trust: Path | None = None

    @property
    def named(self) -> str:
        """The signer, for messages."""
        return f"the key {self.key}" if self.key else "the identity of this CI job"

    def check(self) -> None:
        """Find out now whether there is something to sign with.

        Raises:
            ConfigError: the key cannot be used.
            EnvironmentProblem: the `sign` extra is missing, or this is no CI job with an identity.
        """
        self._signing()

    def sign(self, released: ManifestBytes) -> bytes:
        """A signature over both release.json.

        Raises:
            ConfigError, EnvironmentProblem: as `check`, or Sigstore cannot be reached.
        """
        signing = self._signing().set_hashing_config(_hashing())
        with _model(released) as (model, path), _reachable():
            signing.sign(model, path)
            return path.read_bytes()

    def made(self, signature: bytes, released: ManifestBytes) -> bool:
        """Whether a signature is over these release.json and may be this signer's own.

        A key's signature is verified. Of a job's only the statement is: who signed it is found out
        by readers, who name the identity.
        """
        if mismatch(signature, released):
            return False
        material = _document(signature).get("verificationMaterial", {})
        if self.key is None:
            return isinstance(material, dict) and "certificate" in material
        with tempfile.TemporaryDirectory(prefix="nla-release-") as name:
            public = Path(name) / "public.pem"
            public.write_bytes(self._public())
            return Publisher(key=public).problem(signature, released) is None

    def _signing(self) -> Any:
        signing = _extra("signing").Config()
        if self.key is not None:
            with _usable(self.key, "private", _NEW_KEY):
                return signing.use_elliptic_key_signer(private_key=self.key, password=_password())
        proof = _proof()
        with _reachable():
            return signing.use_sigstore_signer(identity_token=proof, trust_config=self.trust)

    def _public(self) -> bytes:
        from cryptography.hazmat.primitives import serialization

        assert self.key is not None, "asked of a key"
        private = serialization.load_pem_private_key(self.key.read_bytes(), _password())
        return private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


def read_released(folders: Mapping[Role, Path]) -> dict[Role, bytes]:
    """The bytes of each release.json.

    Raises:
        InputError: one cannot be read.
    """
    try:
        return {role: (path / MANIFEST_FILE).read_bytes() for role, path in folders.items()}
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}") from error


def read_signature(folder: Path) -> bytes | None:
    """The signature in a repository's folder, or None.

    Raises:
        InputError: it is no regular file, cannot be read, or is too large to be one.
    """
    path = folder / SIGNATURE_FILE
    if not path.is_symlink() and not path.exists():
        return None
    if path.is_symlink() or not path.is_file():
        raise InputError(f"{path} is not a regular file, and is not read")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} is larger than {MAX_BYTES} bytes and is not read")
    return path.read_bytes()


def write_signature(folders: Mapping[Role, Path], signature: bytes) -> None:
    """Put a signature into both repositories' folders.

    Raises:
        EnvironmentProblem: a folder cannot be written.
    """
    for folder in folders.values():
        write_atomic(folder / SIGNATURE_FILE, signature)


def mismatch(signature: bytes, released: ManifestBytes) -> str | None:
    """Why a signature is not over these release.json, as a clause, or None: it names their bytes.

    Whether it is valid, and whose, is for `Publisher` to say. With one release.json of the two only
    that one is compared.
    """
    try:
        named = _named_files(signature)
    except InputError as error:
        return error.message
    if sorted(named) != [_name("ar"), _name("av")]:
        listing = ", ".join(sorted(named)[:4]) or "nothing"
        return f"signs {printable(listing)}, not the release.json of an AV and an AR"
    for role, content in released.items():
        if named[_name(role)] != sha256_bytes(content):
            return (
                f"signs another release.json of the {role.upper()}: sha256"
                f" {printable(named[_name(role)][:12])}, here {sha256_bytes(content)[:12]}"
            )
    return None


def _named_files(signature: bytes) -> dict[str, str]:
    """The sha256 that a signature's statement gives each file.

    Raises:
        InputError: it is no signature of this format.
    """
    try:
        envelope = _document(signature)["dsseEnvelope"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        statement = parse_json(payload, "the statement of a signature")
        kind = (statement["_type"], statement["predicateType"])
        resources = statement["predicate"]["resources"]
        named = {str(each["name"]): str(each["digest"]) for each in resources}
        plain = all(each["algorithm"] == "sha256" for each in resources)
    except (InputError, ValueError, LookupError, TypeError) as error:
        raise InputError("is no signature of the Model Signing format") from error
    if kind != (_STATEMENT, _PREDICATE) or not plain or len(named) != len(resources):
        raise InputError("is no signature of the Model Signing format, version 1.0")
    return named


def _document(signature: bytes) -> dict[str, Any]:
    if len(signature) > MAX_BYTES:
        raise InputError(f"is larger than {MAX_BYTES} bytes")
    document = parse_json(signature, "a signature")
    if not isinstance(document, dict):
        raise TypeError("not an object")
    return document


def _name(role: Role) -> str:
    return f"{role}/{MANIFEST_FILE}"


@contextlib.contextmanager
def _model(released: ManifestBytes) -> Iterator[tuple[Path, Path]]:
    """Both release.json as the files of one model, and where its signature is."""
    with tempfile.TemporaryDirectory(prefix="nla-release-") as name:
        model = Path(name) / _MODEL
        for role, content in released.items():
            (model / role).mkdir(parents=True)
            (model / role / MANIFEST_FILE).write_bytes(content)
        yield model, Path(name) / SIGNATURE_FILE


def _hashing() -> Any:
    from model_signing import hashing

    config: Any = hashing.Config
    return config().use_file_serialization(hashing_algorithm="sha256", allow_symlinks=False)


def _extra(module: str) -> Any:
    """A module of model_signing.

    Raises:
        EnvironmentProblem: the `sign` extra is not installed.
    """
    try:
        import model_signing.signing
        import model_signing.verifying
    except ImportError as error:
        raise EnvironmentProblem(
            f"signatures need the sign extra ({error.name} is not installed)",
            hint=install_hint("sign"),
        ) from error
    return {"signing": model_signing.signing, "verifying": model_signing.verifying}[module]


def _password() -> bytes | None:
    """The password of an encrypted key."""
    if secret := os.environ.get(_PASSWORD):
        remember(secret)
        return secret.encode()
    return None


def _proof() -> str:
    """The ID token of this CI job, for Sigstore.

    Raises:
        EnvironmentProblem: it has none.
    """
    from sigstore.oidc import IdentityError, detect_credential

    try:
        proof = detect_credential(_AUDIENCE)
    except IdentityError as error:
        raise EnvironmentProblem(
            f"this job cannot prove which one it is: {_reason(error)}",
            hint="a GitHub job needs `permissions: id-token: write`; or sign with --key FILE",
        ) from error
    if proof is None:
        raise EnvironmentProblem(
            "there is nothing to sign with: this is no CI job with an identity, and no --key",
            hint=f"add --key FILE, a private key; `{_NEW_KEY}` makes one",
        )
    remember(proof)
    return proof


@contextlib.contextmanager
def _usable(key: Path, kind: str, command: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{key} cannot be read: {error.strerror or error}") from error
    # cryptography raises TypeError for a password that is missing, or that is not needed
    except Exception as error:
        if isinstance(error, TypeError):
            raise ConfigError(
                f"{key} needs a password, or was given one that it does not have",
                hint=f"set {_PASSWORD} for an encrypted key only",
            ) from error
        if kind == "private" and os.environ.get(_PASSWORD):
            raise ConfigError(
                f"{key} cannot be read with the password in {_PASSWORD}",
                hint=f"correct {_PASSWORD}, or name another key",
            ) from error
        raise ConfigError(
            f"{key} is no {kind} key that signs (PEM, elliptic curve P-256, P-384 or P-521)",
            hint=f"`{command}` writes one",
        ) from error


@contextlib.contextmanager
def _reachable() -> Iterator[None]:
    """Say which of Sigstore's services failed, without what was sent to it."""
    try:
        yield
    except Exception as error:
        raise EnvironmentProblem(
            f"Sigstore cannot be used: {_reason(error)}",
            hint="check the network and --trust-config",
        ) from error


def _reason(error: Exception) -> str:
    words = masked(one_line(error), known_secrets())[:200]  # a server may repeat what it was sent
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
