"""How a listener speaks TLS: its certificate, and whose certificates it trusts."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path
from typing import Any


class TlsFileError(ValueError):
    """A file of `Tls` cannot be read, or is not what it should be; the message names it.

    Attributes:
        file: which one.
    """

    def __init__(self, file: Path, message: str) -> None:
        super().__init__(message)
        self.file = file


class Tls:
    """A certificate with its key, and optionally the authority whose certificates clients must have (mTLS).

    TLS 1.2 is the oldest version that is spoken.

    Args:
        certificate: a PEM file with the certificate and those between it and its authority.
        key: a PEM file with its private key, without a passphrase; None: it is in the file of the certificate.
        client_ca: a PEM file with the authorities of clients; None: clients are not asked for a certificate.

    Raises:
        ValueError: a file cannot be read, or is not what it should be; the message names it.
    """

    def __init__(
        self, certificate: str | Path, key: str | Path | None = None, *, client_ca: str | Path | None = None
    ) -> None:
        self.certificate = Path(certificate)
        self.key = Path(key) if key is not None else None
        self.client_ca = Path(client_ca) if client_ca is not None else None
        self.context = self._load()
        self._digest = self._digest_files()

    def reload(self) -> str | None:
        """Read the files again, for new connections; what has changed, if anything has.

        Raises:
            ValueError: they are not good; the old ones hold.
        """
        self.context = self._load()
        before, self._digest = self._digest, self._digest_files()
        return None if self._digest == before else f"the certificate of {self.certificate} has changed"

    def _files(self) -> list[Path]:
        return [path for path in (self.certificate, self.key, self.client_ca) if path is not None]

    def _digest_files(self) -> bytes:
        return hashlib.sha256(b"\0".join(path.read_bytes() for path in self._files())).digest()

    def _load(self) -> ssl.SSLContext:
        for path in self._files():
            try:
                path.read_bytes()
            except OSError as error:
                raise TlsFileError(path, f"cannot read {path}: {error.strerror}") from error
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # What a client could ask for again and again, at the server's cost.
        context.options |= ssl.OP_NO_RENEGOTIATION
        # Ours has no use for resumption, and each ticket is a write before the first message.
        context.num_tickets = 0
        try:
            # Without the last argument, OpenSSL would ask at the terminal.
            context.load_cert_chain(self.certificate, self.key, password=_refuse_passphrase)
        except (ssl.SSLError, ValueError) as error:
            message = f"{self.certificate} and its key are not good: {describe_tls(error)}"
            raise TlsFileError(self.certificate, message) from error
        if self.client_ca is not None:
            try:
                context.load_verify_locations(self.client_ca)
            except ssl.SSLError as error:
                message = f"{self.client_ca} is no list of certificates: {describe_tls(error)}"
                raise TlsFileError(self.client_ca, message) from error
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def name_in(certificate: dict[str, Any] | None) -> str | None:
    """The name in a verified certificate, as `SSLObject.getpeercert` gives it: the common name, or the first other."""
    if not certificate:
        return None
    subject = [field for part in certificate.get("subject", ()) for field in part]
    names = [value for kind, value in subject if kind == "commonName"]
    names += [value for _, value in certificate.get("subjectAltName", ())]
    return names[0] if names else None


def describe_tls(error: Exception) -> str:
    """What OpenSSL found wrong, in its words and without its line numbers."""
    reason = getattr(error, "reason", None)
    words = str(reason).replace("_", " ").lower() if reason else str(error)
    return words.removeprefix("[SSL] ").partition(" (_ssl.c")[0]


def _refuse_passphrase() -> str:
    raise ValueError("the key has a passphrase, and nobody is there to be asked")
