"""Clients that change their keys: a few times is their right, on and on is an attack, and so is renegotiation."""

from __future__ import annotations

import asyncio
import hmac
import ssl
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import hubbub
from hubbub.values.fixed_limits import TLS_BARREN_LIMIT, TLS_BARREN_RATE

from support.certificates import Certificates, TlsPeer
from support.helpers import eventually, serving
from support.programs import Program, require_program

if TYPE_CHECKING:
    from wire.conftest import Tls

KIB = 1024


def expand(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446, 7.1), of no more than one block."""
    info = size.to_bytes(2, "big") + bytes([6 + len(label)]) + b"tls13 " + label + b"\0"
    return hmac.digest(secret, info + b"\1", "sha384")[:size]


def sealed(secret: bytes, content: bytes, number: int = 0) -> bytes:
    """A record, encrypted with the keys of `secret`, the one of that number (RFC 8446, 5.2 and 5.3)."""
    header = b"\x17\x03\x03" + (len(content) + 16).to_bytes(2, "big")
    nonce = int.from_bytes(expand(secret, b"iv", 12), "big") ^ number
    return header + AESGCM(expand(secret, b"key", 32)).encrypt(nonce.to_bytes(12, "big"), content, header)


class Keys:
    """A client whose secret is known, so that it can send what OpenSSL would not (RFC 8446, 4.6.3 and 7.2).

    Attributes:
        context: how it speaks TLS.
        secret: that of its keys.
    """

    def __init__(self, certificates: Certificates, log: Path) -> None:
        self._log = log
        self.context = certificates.client_context(version=ssl.TLSVersion.TLSv1_3)
        self.context.keylog_filename = str(log)
        self.secret = b""

    def learn(self, peer: TlsPeer) -> None:
        """Learn the secret of its first keys."""
        assert peer.tls.cipher() == ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256)
        logged = [line.split() for line in self._log.read_text().splitlines()]
        (self.secret,) = [bytes.fromhex(words[2]) for words in logged if words[0] == "CLIENT_TRAFFIC_SECRET_0"]

    def update(self, number: int = 0, *, asked: bool = True) -> bytes:
        """A record that announces the next keys, the one of that number with those before.

        Args:
            number: how many records were sent with these keys.
            asked: whether the server is asked for new keys, too.
        """
        record = sealed(self.secret, b"\x18\0\0\1" + bytes([asked]) + b"\x16", number)
        self.secret = expand(self.secret, b"traffic upd", 48)
        return record

    def updates(self, count: int, *, asked: bool = True) -> bytes:
        return b"".join([self.update(asked=asked) for _ in range(count)])


@pytest.fixture
def keys(certificates: Certificates, tmp_path: Path) -> Keys:
    return Keys(certificates, tmp_path / "keys")


TOO_MANY_KEYS = hubbub.Ending(
    hubbub.EndingCode.LOST, "the client sends too many TLS records without data, such as key updates"
)


@pytest.mark.parametrize("asked", [False, True])
async def test_g3_a_client_that_changes_keys_on_and_on_is_ended_and_costs_little_until_then(
    tls: Tls, keys: Keys, asked: bool
) -> None:
    async with tls.talk(first={"context": keys.context}) as at:
        keys.learn(at.peer)
        await at.peer.send_plain(keys.updates(10, asked=asked))
        # A client that changes them now and then goes on.
        await at.server.broadcast("Hey")
        assert await at.peer.line() == b"Hey\n"
        records = keys.updates(2000, asked=asked)
        # As the event loop does when all of them arrive at once.
        at.transport.get_buffer(-1)[: len(records)] = records
        at.transport.buffer_updated(len(records))
        # OpenSSL has been given two portions: all would hold the loop for 25 to 50 ms.
        assert len(at.transport._records.arrived) + at.transport._incoming.pending > len(records) - 3 * KIB
        assert await at.record.wait_for_endings() == [TOO_MANY_KEYS]


async def test_g3_a_client_that_changes_keys_between_its_messages_is_ended_too(tls: Tls, keys: Keys) -> None:
    async with tls.talk(first={"context": keys.context}, framing=hubbub.ByteLines()) as at:
        keys.learn(at.peer)
        client = at.client
        start = time.monotonic()
        with suppress(ConnectionError):
            for number in range(100):
                # The last record with these keys, and the first with the next.
                update = keys.update(min(number, 1), asked=False)
                await at.peer.send_plain(update + sealed(keys.secret, b"x\n\x17"))
                await eventually(lambda: client.ending is not None or client.messages_received > number)  # noqa: B023 (it is awaited here)
        assert await at.record.wait_for_endings() == [TOO_MANY_KEYS]
        # Records without data are counted two at a time, and the last ones bring their message before they are counted.
        assert client.messages_received <= TLS_BARREN_LIMIT + 2 + TLS_BARREN_RATE * (time.monotonic() - start)


async def test_g3_a_stranger_that_changes_keys_on_and_on_does_not_get_the_time_of_a_handshake(
    certificates: Certificates, keys: Keys
) -> None:
    async def listen(client: hubbub.Client) -> bool:
        return await client.receive() == "open"

    listener = certificates.listener(authenticate=listen)
    async with (
        serving(listeners=[listener], settings=hubbub.Settings(handshake_time=60)) as (server, record),
        TlsPeer.of(server, keys.context) as peer,
    ):
        keys.learn(peer)
        with suppress(ConnectionError):
            await peer.send_plain(keys.updates(2000))
        assert await record.wait_for_refusals() == [TOO_MANY_KEYS]


async def test_a_client_that_does_not_take_the_answers_to_its_key_updates_is_stalled(tls: Tls, keys: Keys) -> None:
    async with tls.talk(first={"context": keys.context}, settings=hubbub.Settings(patience=0.2)) as at:
        keys.learn(at.peer)
        # As the TCP transport does when its socket is full.
        at.transport.pause_writing()
        # OpenSSL answers each with the next.
        await at.peer.send_plain(keys.updates(2))
        stalled = hubbub.Ending(hubbub.EndingCode.STALLED, "took nothing for 0.2 s")
        assert await at.record.wait_for_endings() == [stalled]


# Real programs.


def s_client(server: hubbub.Server[Any], certificates: Certificates, *options: str) -> Program:
    return Program(
        require_program("openssl"),
        "s_client",
        *("-connect", str(server.addresses[0]), "-CAfile", str(certificates.ca), "-verify_return_error"),
        *options,
    )


@pytest.mark.real
async def test_a_client_may_ask_for_new_keys(tls: Tls) -> None:
    async with tls.talk() as at:
        with s_client(at.server, tls.certificates, "-tls1_3") as program:
            await at.record.wait_for_clients(2)
            for key in (b"K", b"k", b"K"):
                program.send(key + b"\n")
                await asyncio.to_thread(program.errors.expect, rb"KEYUPDATE\n")
                program.send(b"Hey\n")
                assert await at.peer.line() == b"Hey\n"
                await at.peer.send(b"Ho\n")
                await asyncio.to_thread(program.output.expect, rb"Ho\n")
            program.end()
            endings = await at.record.wait_for_endings()
            assert endings[0].code is hubbub.EndingCode.LEFT


@pytest.mark.real
async def test_g7_a_client_that_renegotiates_harms_nobody_else(tls: Tls) -> None:
    async with tls.talk(clients=2) as at:
        with s_client(at.server, tls.certificates, "-tls1_2") as program:
            await at.record.wait_for_clients(3)
            program.send(b"Hey\n")
            assert await at.peer.line() == b"Hey\n"
            program.send(b"R\n")
            await at.record.wait_for_endings()
            await at.peer.send(b"Ho\n")
            assert await at.other.line() == b"Hey\n"
            assert await at.other.line() == b"Ho\n"
