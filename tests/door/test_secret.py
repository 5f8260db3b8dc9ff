"""A shared secret, said over real connections as the first message."""

from __future__ import annotations

import logging
import os
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

import hubbub
from hubbub.apps.relay import relay

from support.helpers import Peer, Record, serving

SECRET = b"open sesame"
REFUSED = b"not authenticated\n"


def guarded(path: Path, handler: Any = relay, **options: Any) -> AbstractAsyncContextManager[tuple[Any, Record]]:
    """A server whose clients have to say a secret of a file."""
    listener = hubbub.Listener[Any](endpoint=hubbub.Address("127.0.0.1", 0), authenticate=hubbub.SharedSecret(path))
    return serving(handler, listeners=[listener], **options)


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


def reload(server: hubbub.Server[Any]) -> str | None:
    """Have the server read its secrets again, and no other file."""
    (listener,) = server.listeners
    secret: Any = listener.authenticate
    return secret.reload()  # type: ignore[no-any-return]


# Who comes in.


async def test_who_says_the_secret_comes_in_and_is_a_client_like_any_other(secret_file: Path) -> None:
    async with guarded(secret_file) as (server, record), Peer.of(server) as alice, Peer.of(server) as bob:
        for peer in (alice, bob):
            await peer.send(SECRET + b"\n")
        await record.wait_for_clients(2)
        await alice.send(b"hello\n")
        assert await bob.line() == b"hello\n"


@pytest.mark.parametrize("end", [[b"\n"], [b"\r\n"], [b"\r\r\n"], [b"\r"], [b""], [b"\r", b"\n"]])
async def test_a_secret_may_end_in_any_way_in_which_a_line_does_and_come_in_pieces(
    secret_file: Path, end: list[bytes]
) -> None:
    async with guarded(secret_file) as (server, record):
        assert await is_let_in(server, record, SECRET[:4], SECRET[4:], *end)


@pytest.mark.parametrize(
    "said",
    [
        b"\n",
        b"\r\n",
        b"wrong\n",
        SECRET.upper() + b"\n",
        SECRET[:-1] + b"\n",
        SECRET + b"!\n",
        b" " + SECRET + b"\n",
        SECRET + b" \n",
        b"\n" + SECRET + b"\n",
        b"wrong\n" + SECRET + b"\n",
        b"\xff\xfe" + SECRET + b"\n",
        b"\x00\n",
        "\udcff".encode(errors="surrogatepass") + b"\n",
        "é".encode() + b"\n",
    ],
)
async def test_who_says_anything_else_first_does_not_come_in(secret_file: Path, said: bytes) -> None:
    async with guarded(secret_file) as (server, record):
        assert not await is_let_in(server, record, said)
        assert not record.clients


async def test_who_leaves_without_a_word_does_not_come_in(secret_file: Path) -> None:
    async with guarded(secret_file) as (server, record):
        assert not await is_let_in(server, record)
        async with Peer.of(server) as peer:
            await peer.send(SECRET[:4])
            peer.reset()
            (ending,) = await record.wait_for_refusals()
        assert ending.code in {hubbub.EndingCode.LOST, hubbub.EndingCode.LEFT, hubbub.EndingCode.UNAUTHENTICATED}
        assert not record.clients


@pytest.mark.parametrize("end", ["\n", "\r\n"])
async def test_each_of_several_secrets_will_do(secret_file: Path, end: str) -> None:
    put(secret_file, end.join(["", "first", "", "sécond", "third"]).encode())
    async with guarded(secret_file) as (server, record):
        for secret in ("first", "sécond", "third"):
            assert await is_let_in(server, record, secret.encode() + b"\r\n")
        for wrong in ("", "firstsécond", "firs", "fourth"):
            assert not await is_let_in(server, record, wrong.encode() + b"\n")


@pytest.mark.parametrize(
    "framing",
    [hubbub.ByteLines(), hubbub.ByteLines(keepends=True), hubbub.Delimited(b"\0"), hubbub.LengthPrefixed(2)],
    ids=str,
)
@pytest.mark.parametrize("secret", [SECRET, b"\xff\xfe"])
async def test_a_secret_may_be_bytes_in_any_framing(
    secret_file: Path, framing: hubbub.Framing[bytes], secret: bytes
) -> None:
    put(secret_file, secret + b"\n")
    async with (
        guarded(secret_file, framing=framing) as (server, record),
        Peer.of(server) as peer,
        Peer.of(server) as other,
    ):
        await peer.send(framing.encode([secret]))
        await record.wait_for_clients(1)
        await other.send(framing.encode([secret + b"?"]))
        assert await other.rest() == framing.encode_text("not authenticated")
        assert len(record.clients) == 1


# What is told of it.


async def test_a_secret_reaches_neither_observer_nor_handler_nor_any_log(
    secret_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    heard: list[str] = []

    async def listen(client: hubbub.Client) -> None:
        heard.extend([message async for message in client])

    async with guarded(secret_file, listen) as (server, record):
        assert await is_let_in(server, record, SECRET + b"\nhello\n")
        assert not await is_let_in(server, record, b"a wrong secret\n" + SECRET + b"\n")
        # The connections are forgotten, and all of them was told.
        await record.wait_for_endings(1)
    assert heard == ["hello"]
    assert list(record.received_from.values()) == [["hello"]]
    assert caplog.records
    told = caplog.text + repr([vars(record) for record in caplog.records])
    assert SECRET.decode() not in told
    assert "a wrong secret" not in told


async def test_a_secret_in_a_broken_message_reaches_no_log(secret_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    limits = hubbub.Settings(message_limit=100)
    async with guarded(secret_file, settings=limits) as (server, record), Peer.of(server) as peer:
        await peer.send(SECRET * 10 + b"\n")
        assert await peer.rest() == b"message longer than 100 bytes\n"
        (ending,) = await record.wait_for_refusals()
        assert ending.code is hubbub.EndingCode.TOO_LONG
    assert not record.received_from
    assert SECRET.decode() not in caplog.text


# The file.


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n\r\n"])
def test_a_file_without_a_secret_is_refused_and_named(secret_file: Path, content: bytes) -> None:
    secret_file.write_bytes(content)
    with pytest.raises(ValueError, match=f"there is no secret in {secret_file}; write one into it"):
        hubbub.SharedSecret(secret_file)


def test_a_file_that_is_missing_is_named_even_if_it_is_given_as_text(secret_file: Path) -> None:
    assert hubbub.SharedSecret(os.fspath(secret_file)).path == secret_file
    secret_file.unlink()
    with pytest.raises(FileNotFoundError, match=str(secret_file)):
        hubbub.SharedSecret(os.fspath(secret_file))


async def test_after_a_reload_the_new_secret_counts_and_the_old_one_does_not(secret_file: Path) -> None:
    async with guarded(secret_file) as (server, record):
        put(secret_file, b"another\n")
        assert await is_let_in(server, record, SECRET)
        assert not await is_let_in(server, record, b"another")
        assert reload(server) == f"the secrets of {secret_file} have changed"
        assert reload(server) is None
        assert not await is_let_in(server, record, SECRET)
        assert await is_let_in(server, record, b"another")


@pytest.mark.parametrize("content", [None, b"", b"\n"])
async def test_after_a_reload_that_failed_the_old_secret_holds(secret_file: Path, content: bytes | None) -> None:
    async with guarded(secret_file) as (server, record):
        put(secret_file, content)
        with pytest.raises((OSError, ValueError), match=str(secret_file)):
            reload(server)
        assert await is_let_in(server, record, SECRET)
        assert not await is_let_in(server, record, b"")
        put(secret_file, b"another\n")
        assert reload(server) is not None
