"""How a listener speaks TLS: its files, what is wrong with them, who is trusted, and what a reload changes."""

from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import hubbub
from hubbub.wire.tls import describe_tls, name_in

from support.certificates import CLIENT_NAME, Certificates, TlsPeer, make_certificates
from support.helpers import Record, dial, serving
from support.programs import TerminalProgram


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path)


def encrypt_key(key: Path, to: Path) -> Path:
    """Write the same key with a passphrase."""
    subprocess.run(
        ["openssl", "pkey", "-in", str(key), "-aes256", "-passout", "pass:secret", "-out", str(to)],
        check=True,
        capture_output=True,
    )
    return to


# Files.


@pytest.mark.parametrize("missing", ["server", "server_key", "client_ca"])
def test_a_file_that_cannot_be_read_is_named(certificates: Certificates, missing: str) -> None:
    path: Path = getattr(certificates, missing)
    path.unlink()
    with pytest.raises(ValueError, match=f"cannot read {path}: No such file or directory"):
        certificates.tls(mutual=True)


def test_a_directory_is_no_certificate(certificates: Certificates, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"cannot read {tmp_path}: Is a directory"):
        hubbub.Tls(tmp_path, certificates.server_key)


@pytest.mark.parametrize(
    "garbage", [b"", b"not PEM\n", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
)
def test_a_certificate_that_is_none_is_named(certificates: Certificates, garbage: bytes) -> None:
    certificates.server.write_bytes(garbage)
    with pytest.raises(ValueError, match=f"{certificates.server} and its key are not good: ") as failed:
        certificates.tls()
    # In words, and without the line of OpenSSL's source.
    assert "_ssl.c" not in str(failed.value)


def test_a_key_that_is_none_is_named(certificates: Certificates) -> None:
    certificates.server_key.write_bytes(b"not PEM\n")
    with pytest.raises(ValueError, match=f"{certificates.server} and its key are not good: "):
        certificates.tls()


def test_a_key_of_another_certificate_is_no_good(certificates: Certificates) -> None:
    with pytest.raises(ValueError, match="its key are not good: key values mismatch"):
        hubbub.Tls(certificates.server, certificates.other_key)


@pytest.mark.parametrize("garbage", [b"", b"not PEM\n"])
def test_authorities_that_are_none_are_named(certificates: Certificates, garbage: bytes) -> None:
    certificates.client_ca.write_bytes(garbage)
    with pytest.raises(ValueError, match=f"{certificates.client_ca} is no list of certificates: "):
        certificates.tls(mutual=True)


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
    with pytest.raises(ValueError, match="the key has a passphrase, and nobody is there to be asked"):
        hubbub.Tls(certificates.server, key)


def test_a_key_with_a_passphrase_never_asks_at_the_terminal(certificates: Certificates, tmp_path: Path) -> None:
    key = encrypt_key(certificates.server_key, tmp_path / "encrypted.pem")
    program = f"import hubbub\ntry:\n  hubbub.Tls({str(certificates.server)!r}, {str(key)!r})\nexcept ValueError: pass"
    with TerminalProgram(sys.executable, "-c", program) as terminal:
        assert terminal.wait() == 0
        assert terminal.output.rest() == b""


# Who is trusted, and how they speak.


async def test_a_client_without_a_certificate_is_refused_where_one_is_asked_for(certificates: Certificates) -> None:
    async with serving(listeners=[certificates.listener(mutual=True)]) as (server, record):
        for context in (certificates.client_context(), certificates.client_context(certificates.stranger)):
            with pytest.raises(ssl.SSLError):
                async with TlsPeer.of(server, context) as peer:
                    await peer.rest()
        assert server.statistics().endings == {hubbub.EndingCode.BAD_TLS: 2}
        assert not record.clients


async def test_a_client_is_known_by_the_name_in_its_certificate(certificates: Certificates) -> None:
    async with (
        serving(listeners=[certificates.listener(mutual=True)]) as (server, record),
        TlsPeer.of(server, certificates.client_context(certificates.client)) as peer,
    ):
        (client,) = await record.wait_for_clients(1)
        assert client.certificate_name == CLIENT_NAME
        assert client.name == peer.name
        peer.reset()
        await client.wait_closed()
        # Who says goodbye for it can still say who it was.
        assert client.certificate_name == CLIENT_NAME


async def test_a_client_that_is_not_asked_for_a_certificate_has_no_name_of_one(certificates: Certificates) -> None:
    async with (
        serving(listeners=[certificates.listener()]) as (server, record),
        TlsPeer.of(server, certificates.client_context(certificates.client)),
    ):
        (client,) = await record.wait_for_clients(1)
        assert client.certificate_name is None


async def test_a_plain_client_has_no_name_of_a_certificate() -> None:
    async with serving() as (server, record):
        with await dial(server):
            (client,) = await record.wait_for_clients(1)
            assert client.certificate_name is None


def test_the_name_in_a_certificate_is_the_common_name_or_the_first_other() -> None:
    organization, common = (("organizationName", "boats"),), (("commonName", "sensor-7"),)
    others = (("DNS", "sensor.test"), ("DNS", "other.test"))
    assert name_in({"subject": (organization, common), "subjectAltName": others}) == "sensor-7"
    assert name_in({"subject": (organization,), "subjectAltName": others}) == "sensor.test"
    assert name_in({"subject": (organization,)}) is None
    assert name_in({"subjectAltName": others}) == "sensor.test"
    assert name_in({}) is None
    assert name_in(None) is None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_the_versions_that_are_spoken(certificates: Certificates, version: ssl.TLSVersion) -> None:
    async with (
        serving(listeners=[certificates.listener()]) as (server, record),
        TlsPeer.of(server, certificates.client_context(version=version)) as peer,
    ):
        await record.wait_for_clients(1)
        assert peer.tls.version() == version.name.replace("_", ".")
        await server.broadcast("Hey")
        assert await peer.line() == b"Hey\n"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_a_version_that_is_too_old_is_refused(certificates: Certificates) -> None:
    context = certificates.client_context(version=ssl.TLSVersion.TLSv1_1)
    # OpenSSL itself is not to be what refuses it.
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    record = Record()
    async with serving(listeners=[certificates.listener()], observer=record) as (server, _):
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


def test_what_broke_a_handshake_is_said_in_words() -> None:
    assert describe_tls(ConnectionResetError("the client left")) == "the client left"
