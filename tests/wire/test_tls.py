"""How a listener speaks TLS: its files, what is wrong with them, who is trusted, and what a reload changes."""

from __future__ import annotations

import gc
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import hubbub
from hubbub.wire.tls import SESSIONS_LIMIT, TlsFileError, describe_tls, name_in

from support.certificates import CLIENT_NAME, Certificates, TlsPeer
from support.helpers import serving
from support.programs import TerminalProgram

if TYPE_CHECKING:
    from wire.conftest import Tls


def encrypt_key(key: Path, to: Path) -> Path:
    """Write the same key with a passphrase."""
    subprocess.run(
        ["openssl", "pkey", "-in", str(key), "-aes256", "-passout", "pass:secret", "-out", str(to)],
        check=True,
        capture_output=True,
    )
    return to


# Files.


NO_CERTIFICATE = "has no certificate in PEM form; give another file$"
NO_KEY = "has no private key in PEM form"
BROKEN = "is not valid: a PEM block is missing or broken; give another file$"
CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
KEY = CERTIFICATE.replace(b"CERTIFICATE", b"PRIVATE KEY")


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("server", None, "cannot read .*/server.pem: No such file or directory"),
        ("server_key", None, "cannot read .*/server_key.pem: No such file or directory"),
        ("client_ca", None, "cannot read .*/client_ca.pem: No such file or directory"),
        ("server", b"", f"server.pem {NO_CERTIFICATE}"),
        ("server", KEY, f"server.pem {NO_CERTIFICATE}"),
        ("server", CERTIFICATE, f"server.pem {BROKEN}"),
        ("server_key", b"not PEM\n", f"server_key.pem {NO_KEY}; give another file$"),
        ("server_key", CERTIFICATE, f"server_key.pem {NO_KEY}; give another file$"),
        ("server_key", KEY, f"server_key.pem {BROKEN}"),
        ("client_ca", b"", f"client_ca.pem {NO_CERTIFICATE}"),
        ("client_ca", KEY, f"client_ca.pem {NO_CERTIFICATE}"),
        ("client_ca", CERTIFICATE, "client_ca.pem is not valid: .*; give another file$"),
    ],
)
def test_a_file_that_is_missing_or_broken_is_named(
    certificates: Certificates, name: str, content: bytes | None, complaint: str
) -> None:
    path: Path = getattr(certificates, name)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(TlsFileError, match=complaint) as caught:
        certificates.tls(mutual=True)
    assert caught.value.part == {"server": "certificate", "server_key": "key"}.get(name, name)


def test_a_certificate_without_a_key_and_one_that_is_swapped_with_it_say_what_to_do(certificates: Certificates) -> None:
    for key, what_to_do in (
        (None, "name the file that has it"),
        (certificates.server, "swap it with .*/server_key.pem"),
    ):
        certificate = certificates.server if key is None else certificates.server_key
        with pytest.raises(TlsFileError, match=f"server.pem {NO_KEY}; {what_to_do}$") as caught:
            hubbub.Tls(certificate, key)
        assert caught.value.part == "key"


def test_a_directory_is_no_certificate(certificates: Certificates, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"cannot read {tmp_path}: Is a directory"):
        hubbub.Tls(tmp_path, certificates.server_key)


def test_a_key_of_another_certificate_is_no_good(certificates: Certificates, tmp_path: Path) -> None:
    of_another_type = tmp_path / "ed25519.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(of_another_type)], check=True)
    for key in (certificates.other_key, of_another_type):
        with pytest.raises(
            ValueError, match=f"^{key} is not the key of .*/server.pem; give the key that belongs to it$"
        ):
            hubbub.Tls(certificates.server, key)


async def test_the_key_may_be_in_the_file_of_the_certificate(certificates: Certificates, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(certificates.server_key.read_bytes() + certificates.server.read_bytes())
    listener: hubbub.Listener[Any] = hubbub.Listener(endpoint=hubbub.Address("127.0.0.1", 0), tls=hubbub.Tls(str(both)))
    async with (
        serving(listeners=[listener]) as (server, record),
        TlsPeer.of(server, certificates.client_context()),
    ):
        await record.wait_for_clients(1)


def test_a_key_with_a_passphrase_is_refused(certificates: Certificates, tmp_path: Path) -> None:
    key = encrypt_key(certificates.server_key, tmp_path / "encrypted.pem")
    with pytest.raises(ValueError, match=f"^{key} has a passphrase, .* with: openssl pkey -in {key} -out NEW$"):
        hubbub.Tls(certificates.server, key)


def test_a_key_with_a_passphrase_never_asks_at_the_terminal(certificates: Certificates, tmp_path: Path) -> None:
    key = encrypt_key(certificates.server_key, tmp_path / "encrypted.pem")
    program = f"import hubbub\ntry:\n  hubbub.Tls({str(certificates.server)!r}, {str(key)!r})\nexcept ValueError: pass"
    with TerminalProgram(sys.executable, "-c", program) as terminal:
        assert terminal.wait() == 0
        assert terminal.output.rest() == b""


# Who is trusted, and how they speak.


@pytest.mark.parametrize("mutual", [False, True])
async def test_a_client_that_is_asked_for_a_certificate_is_known_by_the_name_in_it(
    certificates: Certificates, mutual: bool
) -> None:
    async with (
        serving(listeners=[certificates.listener(mutual=mutual)]) as (server, record),
        TlsPeer.of(server, certificates.client_context(certificates.client)) as peer,
    ):
        (client,) = await record.wait_for_clients(1)
        assert client.certificate_name == (CLIENT_NAME if mutual else None)
        assert client.name == peer.name
        peer.reset()
        await client.wait_closed()
        # Who says goodbye for it can still say who it was.
        assert client.certificate_name == (CLIENT_NAME if mutual else None)


def test_the_name_in_a_certificate_is_the_common_name_or_the_first_other() -> None:
    organization, common = (("organizationName", "boats"),), (("commonName", "sensor-7"),)
    others = (("DNS", "sensor.test"), ("DNS", "other.test"))
    assert name_in({"subject": (organization, common), "subjectAltName": others}) == "sensor-7"
    assert name_in({"subject": (organization,), "subjectAltName": others}) == "sensor.test"
    assert name_in({"subject": (organization,)}) is None
    assert name_in({"subjectAltName": others}) == "sensor.test"
    assert name_in({}) is None
    assert name_in(None) is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_a_version_that_is_too_old_is_refused(certificates: Certificates) -> None:
    context = certificates.client_context(version=ssl.TLSVersion.TLSv1_1)
    # OpenSSL itself is not to be what refuses it.
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    async with serving(listeners=[certificates.listener()]) as (server, record):
        with pytest.raises(ssl.SSLError):
            async with TlsPeer.of(server, context):
                raise AssertionError("it was let in")
        (refusal,) = await record.wait_for_refusals()
        assert refusal == hubbub.Ending(hubbub.EndingCode.BAD_TLS, "the TLS handshake failed: unsupported protocol")


# Reload.


def replace(certificates: Certificates) -> None:
    """Put the other certificate where the server's was, as whoever renews it does."""
    certificates.other.replace(certificates.server)
    certificates.other_key.replace(certificates.server_key)


async def test_after_a_reload_new_connections_get_the_new_certificate_and_old_ones_go_on(
    certificates: Certificates,
) -> None:
    context = certificates.client_context()
    listener = certificates.listener()
    async with serving(listeners=[listener]) as (server, record), TlsPeer.of(server, context) as old:
        replace(certificates)
        async with TlsPeer.of(server, context) as before:
            assert before.tls.getpeercert(binary_form=True) == old.tls.getpeercert(binary_form=True)
        assert server.reload() == [f"the certificate of {certificates.server} has changed"]
        async with TlsPeer.of(server, context) as new:
            assert new.tls.getpeercert(binary_form=True) != old.tls.getpeercert(binary_form=True)
            await record.wait_for_clients(3)
            await old.send(b"Hey\n")
            assert await new.line() == b"Hey\n"
            await new.send(b"Ho\n")
            assert await old.line() == b"Ho\n"
        assert server.reload() == []


@pytest.mark.parametrize("broken", [b"not PEM\n", None])
async def test_what_cannot_be_reloaded_leaves_the_old_certificate_in_use(
    certificates: Certificates, broken: bytes | None
) -> None:
    context = certificates.client_context()
    async with serving(listeners=[certificates.listener()]) as (server, _):
        if broken is None:
            certificates.server.unlink()
        else:
            certificates.server.write_bytes(broken)
        (complaint,) = server.reload()
        assert str(certificates.server) in complaint
        assert complaint.endswith("; what was read before holds")
        async with TlsPeer.of(server, context):
            pass
        replace(certificates)
        assert server.reload() == [f"the certificate of {certificates.server} has changed"]


async def test_a_reload_changes_whose_clients_are_trusted(certificates: Certificates) -> None:
    async with serving(listeners=[certificates.listener(mutual=True)]) as (server, record):
        certificates.client_ca.write_bytes(certificates.ca.read_bytes())
        assert server.reload() == [f"the certificate of {certificates.server} has changed"]
        with pytest.raises(ssl.SSLError):
            async with TlsPeer.of(server, certificates.client_context(certificates.client)) as peer:
                await peer.rest()
        assert not record.clients


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionResetError("the client left"), "the client left"),
        (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
        (ConnectionResetError(), "ConnectionResetError"),
        (ValueError("the key has a passphrase"), "the key has a passphrase"),
        (ssl.SSLError(1, "[SSL: NO_SHARED_CIPHER] no shared cipher (_ssl.c:1006)"), "no shared cipher"),
        (
            ssl.SSLError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: expired (_ssl.c:1006)"),
            "certificate verify failed: expired",
        ),
        (ssl.SSLError(1, "[SSL] PEM lib (_ssl.c:3905)"), "a PEM block is missing or broken"),
        (
            ssl.SSLError(1, "[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca (_ssl.c:1)"),
            "the client refused: unknown ca",
        ),
        (
            ssl.SSLError(6, "TLS/SSL connection has been closed (EOF) (_ssl.c:1006)"),
            "TLS/SSL connection has been closed (EOF)",
        ),
    ],
)
def test_what_went_wrong_is_said_in_words(error: Exception, words: str) -> None:
    assert describe_tls(error) == words


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_what_a_handshake_failed_of_is_said_as_precisely_as_openssl_does(
    certificates: Certificates, version: ssl.TLSVersion
) -> None:
    # The one has no certificate, the other one of a stranger, and the third does not trust the server.
    contexts = [
        certificates.client_context(version=version),
        certificates.client_context(certificates.stranger, version=version),
        ssl.create_default_context(cafile=certificates.client_ca),
    ]
    async with serving(listeners=[certificates.listener(mutual=True)]) as (server, record):
        for context in contexts:
            with pytest.raises(ssl.SSLError):
                async with TlsPeer.of(server, context) as peer:
                    await peer.rest()
        refusals = await record.wait_for_refusals(3)
        assert server.statistics().endings == {hubbub.EndingCode.BAD_TLS: 3}
        assert not record.clients
    assert [refusal.reason.removeprefix("the TLS handshake failed: ") for refusal in refusals] == [
        "peer did not return a certificate",
        "certificate verify failed: unable to get local issuer certificate",
        "the client left during the handshake",
    ]


# Sessions.


def sessions_kept() -> int:
    """How many sessions OpenSSL keeps in all contexts of this program."""
    gc.collect()
    contexts = [thing for thing in gc.get_objects() if isinstance(thing, ssl.SSLContext)]
    return sum(context.session_stats()["number"] for context in contexts)


@pytest.mark.parametrize("mutual", [False, True])
async def test_g5_sessions_of_clients_that_have_gone_are_not_kept(certificates: Certificates, mutual: bool) -> None:
    """OpenSSL would keep those of TLS 1.2 without tickets for two hours, up to 20,480 of them."""
    context = certificates.client_context(certificates.client if mutual else None, version=ssl.TLSVersion.TLSv1_2)
    context.options |= ssl.OP_NO_TICKET
    before = sessions_kept()
    async with serving(listeners=[certificates.listener(mutual=mutual)]) as (server, record):
        for number in range(3 * SESSIONS_LIMIT):
            async with TlsPeer.of(server, context) as peer:
                await peer.end()
                assert await peer.rest() == b""
            await record.wait_for_endings(number + 1)
        assert sessions_kept() - before <= SESSIONS_LIMIT
        # The same bound, and not that a session is never made.
        assert sessions_kept() > before


async def test_a_client_that_stays_goes_on_while_the_sessions_of_others_are_dropped(tls: Tls) -> None:
    context = tls.certificates.client_context(version=ssl.TLSVersion.TLSv1_2)
    context.options |= ssl.OP_NO_TICKET
    async with tls.talk(first={"context": context}) as at:
        for _ in range(2 * SESSIONS_LIMIT):
            async with TlsPeer.of(at.server, context):
                pass
        await at.record.wait_for_endings(2 * SESSIONS_LIMIT)
        async with TlsPeer.of(at.server, context) as new:
            await at.record.wait_for_clients(2 * SESSIONS_LIMIT + 2)
            await at.peer.send(b"Hey\n")
            assert await new.line() == b"Hey\n"
            await new.send(b"Ho\n")
            assert await at.peer.line() == b"Ho\n"
