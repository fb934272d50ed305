"""Sigstore on this machine: Fulcio, Rekor, an OpenID provider and a CI job's ID tokens, by HTTP.

Each answers one request as the real service does, with keys that are made for a test. What a client
is to trust is in `trust`, a trust configuration. Sources: RFC 6962 (certificate transparency), the
API of Fulcio v2 and Rekor v1, C2SP's signed note for the checkpoint.
"""

import base64
import hashlib
import json
import struct
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import jwt
import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ISSUER = "https://token.actions.githubusercontent.com"
WORKFLOW = "https://github.com/someone/pair/.github/workflows/publish.yml@refs/heads/main"
REQUEST_TOKEN = "request-token-of-the-job-0123456789"
_ORIGIN = "log.test"
_SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_ISSUER_V2 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")


class LocalSigstore:
    """All of it, for the length of a `with` block, next to what was asked of it."""

    def __init__(self, folder, identity=WORKFLOW):
        self.identity = identity
        self.asked = []
        self.broken = None  # a path that answers 500
        self._ca, self._ct, self._log = (ec.generate_private_key(ec.SECP256R1()) for _ in "123")
        self._root = self._root_certificate()
        self.trust = folder / "trust.json"

    def __enter__(self):
        sigstore = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self._answer(b"")

            def do_POST(self):
                self._answer(self.rfile.read(int(self.headers["content-length"])))

            def _answer(self, body):
                path = urlsplit(self.path).path
                sigstore.asked.append((path, dict(self.headers), self.path))
                status, document = sigstore.answer(path, body, self)
                content = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments):
                """The test's output is for the test."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.trust.write_text(json.dumps(self._trust()))
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    @property
    def environment(self):
        """What GitHub gives a job with `permissions: id-token: write`."""
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}/id-token?job=1",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": REQUEST_TOKEN,
        }

    def answer(self, path, body, request):
        if path == self.broken:
            return 500, {"message": f"cannot {request.headers.get('Authorization')}"}
        if path == "/id-token":
            if request.headers["Authorization"].lower() != f"bearer {REQUEST_TOKEN}":
                return 403, {}
            (audience,) = parse_qs(urlsplit(request.path).query)["audience"]
            return 200, {"value": self.id_token(audience)}
        if path == "/.well-known/openid-configuration":
            endpoints = ("authorization_endpoint", "token_endpoint")
            return 200, {name: f"{self.url}/{name}" for name in endpoints}
        if path == "/api/v2/signingCert":
            asked = json.loads(body)["certificateSigningRequest"]
            csr = x509.load_pem_x509_csr(base64.b64decode(asked))
            chain = [_pem(self._certificate(csr.public_key())), _pem(self._root)]
            return 200, {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}
        if path == "/api/v1/log/entries":
            return 201, self._entry(json.loads(body)["spec"]["proposedContent"])
        return 404, {}

    def id_token(self, audience="sigstore"):
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": "repo:someone/pair", "aud": audience}
        times = {"iat": now - 5, "nbf": now - 5, "exp": now + 600}
        return jwt.encode({**claims, **times}, "a key that nobody checks, of 32 bytes", "HS256")

    def _root_certificate(self):
        name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "local sigstore")])
        key = self._ca.public_key()
        return (
            _builder(name, name, key, self._ca, days=365)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .sign(self._ca, hashes.SHA256())
        )

    def _certificate(self, key):
        """A certificate for the job, with the promise of the transparency log in it."""
        code = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
        san = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(self.identity)])
        issuer = ISSUER.encode()
        builder = (
            _builder(self._root.subject, x509.Name([]), key, self._ca, days=0)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(code, critical=False)
            .add_extension(san, critical=True)
            .add_extension(x509.UnrecognizedExtension(_ISSUER, issuer), critical=False)
            .add_extension(
                x509.UnrecognizedExtension(_ISSUER_V2, b"\x0c" + bytes([len(issuer)]) + issuer),
                critical=False,
            )
        )

        def issued(signature):
            sct = x509.UnrecognizedExtension(_SCT_LIST, self._sct_list(signature, at))
            return builder.add_extension(sct, critical=False).sign(self._ca, hashes.SHA256())

        at = int(time.time()) * 1000
        unsigned = issued(b"\0" * 70).tbs_precertificate_bytes
        entry = hashlib.sha256(_der(self._ca)).digest() + struct.pack("!I", len(unsigned))[1:]
        data = struct.pack("!BBQH", 0, 0, at, 1) + entry + unsigned + struct.pack("!H", 0)
        return issued(self._ct.sign(data, ec.ECDSA(hashes.SHA256())))

    def _sct_list(self, signature, at):
        log = hashlib.sha256(_der(self._ct)).digest()
        sct = b"\0" + log + struct.pack("!QH", at, 0) + b"\4\3"
        sct += struct.pack("!H", len(signature)) + signature
        listed = struct.pack("!H", len(sct)) + sct
        listed = struct.pack("!H", len(listed)) + listed
        length = bytes([len(listed)]) if len(listed) < 128 else bytes([0x81, len(listed)])
        return b"\x04" + length + listed

    def _entry(self, proposed):
        """A log of one entry: its hash is the root."""
        envelope = json.loads(proposed["envelope"])
        body = rfc8785.dumps(
            {
                "apiVersion": "0.0.1",
                "kind": "dsse",
                "spec": {
                    "envelopeHash": _hash(proposed["envelope"].encode()),
                    "payloadHash": _hash(base64.b64decode(envelope["payload"])),
                    "signatures": [
                        {"signature": each["sig"], "verifier": proposed["verifiers"][0]}
                        for each in envelope["signatures"]
                    ],
                },
            }
        )
        log, root = hashlib.sha256(_der(self._log)).digest(), hashlib.sha256(b"\0" + body).digest()
        note = f"{_ORIGIN}\n1\n{_b64(root)}\n"
        signed_note = log[:4] + self._log.sign(note.encode(), ec.ECDSA(hashes.SHA256()))
        entry = {
            "body": _b64(body),
            "integratedTime": int(time.time()),
            "logID": log.hex(),
            "logIndex": 0,
        }
        promise = self._log.sign(rfc8785.dumps(entry), ec.ECDSA(hashes.SHA256()))
        proof = {
            "logIndex": 0,
            "treeSize": 1,
            "rootHash": root.hex(),
            "hashes": [],
            "checkpoint": f"{note}\n\u2014 {_ORIGIN} {_b64(signed_note)}\n",
        }
        promised = {"signedEntryTimestamp": _b64(promise), "inclusionProof": proof}
        return {"0" * 64: {**entry, "verification": promised}}

    def _trust(self):
        start = {"start": "2020-01-01T00:00:00Z"}

        def log(key):
            public = {"rawBytes": _b64(_der(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
            return {
                "baseUrl": self.url,
                "hashAlgorithm": "SHA2_256",
                "publicKey": {**public, "validFor": start},
                "logId": {"keyId": _b64(hashlib.sha256(_der(key)).digest())},
            }

        service = [{"url": self.url, "majorApiVersion": 1, "validFor": start, "operator": "test"}]
        root = _b64(self._root.public_bytes(serialization.Encoding.DER))
        media = "application/vnd.dev.sigstore"
        return {
            "mediaType": f"{media}.clienttrustconfig.v0.1+json",
            "trustedRoot": {
                "mediaType": f"{media}.trustedroot+json;version=0.1",
                "tlogs": [log(self._log)],
                "ctlogs": [log(self._ct)],
                "timestampAuthorities": [],
                "certificateAuthorities": [
                    {
                        "subject": {"organization": "test", "commonName": "local sigstore"},
                        "uri": self.url,
                        "certChain": {"certificates": [{"rawBytes": root}]},
                        "validFor": start,
                    }
                ],
            },
            "signingConfig": {
                "mediaType": f"{media}.signingconfig.v0.2+json",
                "caUrls": service,
                "oidcUrls": service,
                "rekorTlogUrls": service,
                "rekorTlogConfig": {"selector": "ANY"},
                "tsaUrls": [],
                "tsaConfig": {"selector": "ANY"},
            },
        }


def _builder(issuer, subject, key, signing, *, days):
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=days, minutes=10))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()),
            critical=False,
        )
    )


def _usage(**used):
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**(dict.fromkeys(names, False) | used))


def _hash(data):
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}


def _b64(data):
    return base64.b64encode(data).decode()


def _der(key):
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
