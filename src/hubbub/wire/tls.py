"""How a listener speaks TLS: its certificate, and whose certificates it trusts."""

from __future__ import annotations

import hashlib
import re
import ssl
from pathlib import Path
from typing import Any, Final

SESSIONS_LIMIT: Final = 16
"""How many sessions OpenSSL keeps before they are dropped: 1 KiB each, 6 KiB with a client's certificate."""

_FRAME: Final = re.compile(r"^\[[^]]*\] | \(_ssl\.c:\d+\)$")
"""What Python puts around the words of OpenSSL: the error's name, and a line of Python's own source."""

_ALERT: Final = re.compile(r"^(?:sslv3|tlsv1|tlsv13) alert ")
"""How OpenSSL begins an error that is an alert of the peer."""


_CERTIFICATE: Final = re.compile(rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----")
_KEY: Final = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )?PRIVATE KEY-----")
"""How the PEM blocks of a certificate and of a private key begin (RFC 7468)."""

_MISMATCHES: Final = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}
"""What OpenSSL says of a key that belongs to another certificate: of the same type, or of another one."""

_GIVE_ANOTHER: Final = "give another file"


class TlsFileError(ValueError):
    """A file of one side's TLS cannot be read, or is not what it should be; the message names it.

    Attributes:
        part: the argument that is to blame, of `Tls` or of `client_context`.
    """

    def __init__(self, part: str, message: str) -> None:
        super().__init__(message)
        self.part = part


class Tls:
    """A certificate with its key, and optionally the authorities whose certificates clients must have (mTLS).

    TLS 1.2 is the oldest version that is accepted.

    Args:
        certificate: a PEM file with the certificate and those between it and its authority.
        key: a PEM file with the certificate's private key, without a passphrase; None: the key is in the file of the
            certificate.
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
        self.context: ssl.SSLContext = self._load()
        self._digest = self._digest_files()

    def reload(self) -> str | None:
        """Read the files again, for new connections.

        Returns:
            What has changed; None if nothing has.

        Raises:
            ValueError: a file cannot be read, or is not what it should be. What was read before stays in use.
        """
        self.context = self._load()
        before, self._digest = self._digest, self._digest_files()
        return None if self._digest == before else f"the certificate of {self.certificate} has changed"

    def _digest_files(self) -> bytes:
        files = (self.certificate, self.key, self.client_ca)
        return hashlib.sha256(b"\0".join(path.read_bytes() for path in files if path is not None)).digest()

    def _load(self) -> ssl.SSLContext:
        context = _Context(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # A client could ask for a renegotiation again and again, and the server would do the work.
        context.options |= ssl.OP_NO_RENEGOTIATION
        # We do not support session resumption, and each ticket is a write before the first message.
        context.num_tickets = 0
        load_certificate(context, self.certificate, self.key)
        if self.client_ca is not None:
            load_authorities(context, self.client_ca, "client_ca")
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def load_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    """Let a side show a certificate.

    Raises:
        TlsFileError: the "certificate" or the "key" cannot be read, or is not what it should be.
    """
    _check_files(certificate, key)
    try:
        # Without the last argument, OpenSSL would ask at the terminal.
        context.load_cert_chain(certificate, key, password=_refuse_passphrase)
    except (ssl.SSLError, _PassphraseError) as error:
        raise _explain(error, certificate, key or certificate) from error


def load_authorities(context: ssl.SSLContext, path: Path, part: str) -> None:
    """Let a side trust the authorities in a file.

    Raises:
        TlsFileError: it cannot be read, or has none; `part` is to blame.
    """
    if not _CERTIFICATE.search(_read(part, path)):
        raise TlsFileError(part, f"{path} has no certificate in PEM form; {_GIVE_ANOTHER}")
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise TlsFileError(part, f"{path} is not valid: {describe_tls(error)}; {_GIVE_ANOTHER}") from error


def _check_files(certificate_file: Path, key_file: Path | None) -> None:
    """See that each file has what it is for: OpenSSL names no file."""
    certificate, key = _read("certificate", certificate_file), _read("key", key_file or certificate_file)
    if not _KEY.search(key):
        message = f"{key_file or certificate_file} has no private key in PEM form"
        if key_file is None:
            raise TlsFileError("key", f"{message}; name the file that has it")
        swapped = _KEY.search(certificate) and _CERTIFICATE.search(key)
        raise TlsFileError("key", f"{message}; {f'swap it with {certificate_file}' if swapped else _GIVE_ANOTHER}")
    if not _CERTIFICATE.search(certificate):
        raise TlsFileError("certificate", f"{certificate_file} has no certificate in PEM form; {_GIVE_ANOTHER}")


def _explain(error: Exception, certificate: Path, key: Path) -> TlsFileError:
    """What is wrong with the certificate or its key, which have been found to be what they are for."""
    if isinstance(error, _PassphraseError):
        advice = f"remove it, as with: openssl pkey -in {key} -out NEW"
        return TlsFileError("key", f"{key} has a passphrase, and hubbub cannot ask for it; {advice}")
    if isinstance(error, ssl.SSLError) and error.reason in _MISMATCHES:
        return TlsFileError("key", f"{key} is not the key of {certificate}; give the key that belongs to it")
    # The same error for both of them.
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(certificate)
    except ssl.SSLError:
        part, path = "certificate", certificate
    else:
        part, path = "key", key
    return TlsFileError(part, f"{path} is not valid: {describe_tls(error)}; {_GIVE_ANOTHER}")


class _Context(ssl.SSLContext):
    """A server's context that forgets its sessions.

    OpenSSL keeps the session of each TLS 1.2 client without tickets for two hours, and up to 20,480 of them: 20 MiB, or
    120 MiB with clients' certificates. Python's `ssl` cannot turn that off. But OpenSSL keeps a session in the context
    that its connection was made with, even if the connection has another one by then. So each connection is made with a
    bare context (13 KiB), which is replaced once it has kept `SESSIONS_LIMIT` sessions, and goes with the last
    connection that was made with it.
    """

    _bare: ssl.SSLContext | None = None

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """As that of every context."""
        if self._bare is None or self._bare.session_stats()["number"] >= SESSIONS_LIMIT:
            self._bare = self._make_bare()
        connection = self._bare.wrap_bio(*args, **options)
        connection.context = self
        return connection

    def _make_bare(self) -> ssl.SSLContext:
        """A context with all that a connection does not take from the context that it is given later."""
        bare = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        bare.minimum_version = self.minimum_version
        bare.options = self.options
        bare.num_tickets = self.num_tickets
        bare.verify_mode = self.verify_mode
        return bare


def name_in(certificate: dict[str, Any] | None) -> str | None:
    """The name in a verified certificate, as `SSLObject.getpeercert` gives it: the common name, or the first other."""
    if not certificate:
        return None
    subject = [field for part in certificate.get("subject", ()) for field in part]
    names = [value for kind, value in subject if kind == "commonName"]
    names += [value for _, value in certificate.get("subjectAltName", ())]
    return names[0] if names else None


def describe_tls(error: Exception) -> str:
    """What went wrong, in the words of OpenSSL or of the system, without numbers and places in their source."""
    words = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    words = _FRAME.sub("", words)
    if words == "PEM lib":
        return "a PEM block is missing or broken"
    return _ALERT.sub("the client refused: ", words)


def _read(part: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsFileError(part, f"cannot read {path}: {error.strerror}") from error


class _PassphraseError(Exception):
    """The key has a passphrase."""


def _refuse_passphrase() -> str:
    raise _PassphraseError
