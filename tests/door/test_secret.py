"""A shared secret, said over real connections as the first message."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import hubbub
from hubbub.apps.relay import relay

from support.helpers import Peer, Record, serving

SECRET = "correct horse battery staple"
REFUSED = b"not authenticated\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with a secret."""
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    return path


@asynccontextmanager
async def guarded(path: Path, handler: Any = relay, **options: Any) -> AsyncIterator[tuple[hubbub.Server[Any], Record]]:
    """A server whose clients have to say a secret of a file."""
    listener = hubbub.Listener[Any](endpoint=hubbub.Address("127.0.0.1", 0), authenticate=hubbub.SharedSecret(path))
    record = Record()
    async with serving(handler, listeners=[listener], observer=record, **options) as (server, _):
        yield server, record


async def is_let_in(server: hubbub.Server[Any], record: Record, *pieces: bytes) -> bool:
    """Whether somebody who says this comes in; whoever does not must be told so."""
    before, refused = len(record.clients), len(record.refusals)
    async with Peer.of(server) as peer:
        for piece in pieces:
            await peer.send(piece)
        peer.end()
        said = await peer.rest()
    if len(record.clients) > before:
        assert said == b""
        return True
    assert said == REFUSED
    (*_, ending) = await record.wait_for_refusals(refused + 1)
    assert ending == hubbub.Ending(hubbub.EndingCode.UNAUTHENTICATED, "not authenticated")
    return False


def put(path: Path, content: bytes | None) -> None:
    """Write a file; None: there is to be none."""
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


def secret_of(server: hubbub.Server[Any]) -> hubbub.SharedSecret:
    """What the server would read again."""
    (listener,) = server.listeners
    (shared,) = (part for part in listener.files if isinstance(part, hubbub.SharedSecret))
    return shared


# Who comes in.


async def test_who_says_the_secret_comes_in_and_is_a_client_like_any_other(path: Path) -> None:
    async with guarded(path) as (server, record), Peer.of(server) as alice, Peer.of(server) as bob:
        for peer in (alice, bob):
            await peer.send(SECRET.encode() + b"\n")
        await record.wait_for_clients(2)
        await alice.send(b"hello\n")
        assert await bob.line() == b"hello\n"


async def test_before_the_secret_nothing_is_heard(path: Path) -> None:
    async with guarded(path) as (server, record), Peer.of(server) as peer:
        await server.broadcast("not for everybody")
        assert not server.clients
        await peer.send(SECRET.encode() + b"\n")
        await record.wait_for_clients(1)
        await server.broadcast("for members")
        assert await peer.line() == b"for members\n"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r\r\n", b"\r", b""])
async def test_a_secret_may_end_in_any_way_in_which_a_line_does(path: Path, end: bytes) -> None:
    async with guarded(path) as (server, record):
        assert await is_let_in(server, record, SECRET.encode() + end)


async def test_a_secret_may_come_in_pieces(path: Path) -> None:
    async with guarded(path) as (server, record):
        assert await is_let_in(server, record, *[bytes([byte]) for byte in SECRET.encode()], b"\r", b"\n")


@pytest.mark.parametrize(
    "said",
    [
        b"\n",
        b"\r\n",
        b"wrong\n",
        SECRET.upper().encode() + b"\n",
        SECRET[:-1].encode() + b"\n",
        SECRET.encode() + b"!\n",
        b" " + SECRET.encode() + b"\n",
        SECRET.encode() + b" \n",
        b"\n" + SECRET.encode() + b"\n",
        b"wrong\n" + SECRET.encode() + b"\n",
        b"\xff\xfe" + SECRET.encode() + b"\n",
        b"\x00\n",
        "\udcff".encode(errors="surrogatepass") + b"\n",
        "é".encode() + b"\n",
    ],
)
async def test_who_says_anything_else_first_does_not_come_in(path: Path, said: bytes) -> None:
    async with guarded(path) as (server, record):
        assert not await is_let_in(server, record, said)
        assert not record.clients


async def test_who_leaves_without_a_word_does_not_come_in(path: Path) -> None:
    async with guarded(path) as (server, record):
        assert not await is_let_in(server, record)
        async with Peer.of(server) as peer:
            await peer.send(SECRET.encode()[:4])
            peer.reset()
            (ending,) = await record.wait_for_refusals()
        assert ending.code in {hubbub.EndingCode.LOST, hubbub.EndingCode.LEFT, hubbub.EndingCode.UNAUTHENTICATED}
        assert not record.clients


@pytest.mark.parametrize("end", ["\n", "\r\n"])
async def test_each_of_several_secrets_will_do(path: Path, end: str) -> None:
    put(path, end.join(["", "first", "", "sécond", SECRET]).encode())
    async with guarded(path) as (server, record):
        for secret in ("first", "sécond", SECRET):
            assert await is_let_in(server, record, secret.encode() + b"\r\n")
        for wrong in ("", "firstsécond", "firs", "third"):
            assert not await is_let_in(server, record, wrong.encode() + b"\n")


@pytest.mark.parametrize(
    "framing",
    [hubbub.ByteLines(), hubbub.ByteLines(keepends=True), hubbub.Delimited(b"\0"), hubbub.LengthPrefixed(2)],
    ids=str,
)
@pytest.mark.parametrize("secret", [SECRET.encode(), b"\xff\xfe"])
async def test_a_secret_may_be_bytes_in_any_framing(path: Path, framing: hubbub.Framing[bytes], secret: bytes) -> None:
    put(path, secret + b"\n")
    async with guarded(path, framing=framing) as (server, record), Peer.of(server) as peer, Peer.of(server) as other:
        await peer.send(framing.encode([secret]))
        await record.wait_for_clients(1)
        await other.send(framing.encode([secret + b"?"]))
        assert await other.rest() == framing.encode_text("not authenticated")
        assert len(record.clients) == 1


# What is told of it.


async def test_a_secret_reaches_neither_observer_nor_handler_nor_any_log(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    heard: list[str] = []

    async def listen(client: hubbub.Client) -> None:
        heard.extend([message async for message in client])

    async with guarded(path, listen) as (server, record):
        assert await is_let_in(server, record, SECRET.encode() + b"\nhello\n")
        assert not await is_let_in(server, record, b"a wrong secret\n" + SECRET.encode() + b"\n")
        # The connections are forgotten, and all of them was told.
        await record.wait_for_endings(1)
    assert heard == ["hello"]
    assert list(record.received_from.values()) == [["hello"]]
    assert caplog.records
    told = caplog.text + repr([vars(record) for record in caplog.records])
    assert SECRET not in told
    assert "a wrong secret" not in told


async def test_a_secret_in_a_broken_message_reaches_no_log(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    limits = hubbub.Settings(message_limit=100)
    async with guarded(path, settings=limits) as (server, record), Peer.of(server) as peer:
        await peer.send(SECRET.encode() * 10 + b"\n")
        assert await peer.rest() == b"message longer than 100 bytes\n"
        (ending,) = await record.wait_for_refusals()
        assert ending.code is hubbub.EndingCode.TOO_LONG
    assert not record.received_from
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("pieces", "wanted"),
    [
        ([b"one\ntwo\n"], ["one", "two"]),
        ([b"one\r\ntw", b"o\n"], ["one", "two"]),
        ([b"", b"one\n", b"two\n"], ["one", "two"]),
        ([b"one\ntwo"], ["one", "two"]),
    ],
)
async def test_messages_right_behind_the_secret_reach_handler_and_observer_in_order(
    path: Path, pieces: Sequence[bytes], wanted: list[str]
) -> None:
    heard: list[str] = []

    async def listen(client: hubbub.Client) -> None:
        heard.extend([message async for message in client])

    async with guarded(path, listen) as (server, record), Peer.of(server) as peer:
        await peer.send(SECRET.encode() + b"\n" + pieces[0])
        for piece in pieces[1:]:
            await peer.send(piece)
        peer.end()
        await record.wait_for_endings(1)
        assert record.received_from == {peer.name: wanted}
    assert heard == wanted


# The file.


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n\r\n"])
def test_a_file_without_a_secret_is_refused_and_named(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"there is no secret in {path}; write one into it"):
        hubbub.SharedSecret(path)


def test_a_file_that_cannot_be_read_is_refused_and_named(path: Path) -> None:
    path.unlink()
    with pytest.raises(FileNotFoundError, match=str(path)):
        hubbub.SharedSecret(path)


def test_the_file_may_be_given_as_text(path: Path) -> None:
    assert hubbub.SharedSecret(os.fspath(path)).path == path


def test_a_reload_says_whether_the_secrets_have_changed_and_not_what_they_are(path: Path) -> None:
    secret = hubbub.SharedSecret(path)
    assert secret.reload() is None
    path.write_text("another\n")
    assert secret.reload() == f"the secrets of {path} have changed"
    assert secret.reload() is None


async def test_after_a_reload_the_new_secret_counts_and_the_old_one_does_not(path: Path) -> None:
    async with guarded(path) as (server, record):
        put(path, b"another\n")
        assert await is_let_in(server, record, SECRET.encode())
        assert not await is_let_in(server, record, b"another")
        assert secret_of(server).reload() is not None
        assert not await is_let_in(server, record, SECRET.encode())
        assert await is_let_in(server, record, b"another")


@pytest.mark.parametrize("content", [None, b"", b"\n"])
async def test_after_a_reload_that_failed_the_old_secret_holds(path: Path, content: bytes | None) -> None:
    async with guarded(path) as (server, record):
        put(path, content)
        with pytest.raises((OSError, ValueError), match=str(path)):
            secret_of(server).reload()
        assert await is_let_in(server, record, SECRET.encode())
        assert not await is_let_in(server, record, b"")
        put(path, b"another\n")
        assert secret_of(server).reload() is not None
