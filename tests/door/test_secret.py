"""A shared secret: which first messages are it, where it does not get to, and its file."""

from __future__ import annotations

import asyncio
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


class Says:
    """A stranger that says one thing, or leaves without a word."""

    def __init__(self, message: str | bytes | None) -> None:
        self._message = message

    async def receive(self) -> str | bytes:
        if self._message is None:
            raise hubbub.ConnectionClosed("127.0.0.1:1", None)
        return self._message


def lets_in(secret: hubbub.SharedSecret, message: str | bytes | None) -> bool:
    """Whether somebody whose first message is this comes in."""
    stranger: Any = Says(message)
    return asyncio.run(secret(stranger))


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def guarded(path: Path, handler: Any = relay, **options: Any) -> AbstractAsyncContextManager[tuple[Any, Record]]:
    """A server whose clients have to say a secret of a file."""
    listener = hubbub.Listener[Any](endpoint=hubbub.Address("127.0.0.1", 0), authenticate=hubbub.SharedSecret(path))
    return serving(handler, listeners=[listener], **options)


# Who comes in.


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r\r\n", "\r"])
def test_a_secret_may_end_in_any_way_in_which_a_line_does(secret_file: Path, end: str) -> None:
    secret = hubbub.SharedSecret(secret_file)
    assert lets_in(secret, SECRET.decode() + end)
    assert lets_in(secret, SECRET + end.encode())


@pytest.mark.parametrize(
    "said",
    [
        *("", "\n", "wrong", "OPEN SESAME", "open sesam", "open sesame!", " open sesame", "open sesame ", "\0", "é"),
        *("\nopen sesame", "wrong\nopen sesame", "\ufffdopen sesame", "\udcffopen sesame"),
    ],
)
def test_who_says_anything_else_first_does_not_come_in(secret_file: Path, said: str) -> None:
    secret = hubbub.SharedSecret(secret_file)
    assert not lets_in(secret, said)
    assert not lets_in(secret, said.encode(errors="surrogateescape"))


def test_who_leaves_without_a_word_does_not_come_in(secret_file: Path) -> None:
    with pytest.raises(hubbub.ConnectionClosed):
        lets_in(hubbub.SharedSecret(secret_file), None)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_each_of_several_secrets_will_do(secret_file: Path, end: str) -> None:
    secret_file.write_bytes(end.join(["", "first", "", "sécond", "third"]).encode())
    secret = hubbub.SharedSecret(secret_file)
    assert all(lets_in(secret, said) for said in ("first", "sécond", "third"))
    assert not any(lets_in(secret, said) for said in ("", "firstsécond", "firs", "fourth"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("said", ["sésame", "\ufeffsésame"])
def test_byte_order_marks_are_ignored(secret_file: Path, encoding: str, said: str) -> None:
    secret = hubbub.SharedSecret(written(secret_file, "sésame\r\n".encode(encoding)))
    assert lets_in(secret, said.encode())


@pytest.mark.parametrize("said", [SECRET, b"\xff\xfe"])
@pytest.mark.parametrize("framing", [hubbub.ByteLines(keepends=True), hubbub.LengthPrefixed(2)], ids=str)
async def test_a_secret_may_be_bytes_in_any_framing(
    secret_file: Path, framing: hubbub.Framing[bytes], said: bytes
) -> None:
    async with (
        guarded(written(secret_file, said + b"\n"), framing=framing) as (server, record),
        Peer.of(server) as peer,
        Peer.of(server) as other,
    ):
        await peer.send(framing.encode([said]))
        await record.wait_for_clients(1)
        await other.send(framing.encode([said + b"?"]))
        assert await other.rest() == framing.encode_text("unauthenticated: not authenticated")
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
        async with Peer.of(server) as peer:
            await peer.send(SECRET + b"\nhello\n")
            peer.end()
            assert await peer.rest() == b""
        async with Peer.of(server) as peer:
            await peer.send(b"a wrong secret\n" + SECRET + b"\n")
            assert await peer.rest() == b"unauthenticated: not authenticated\n"
        # The connections are forgotten, and all of them was told.
        await record.wait_for_endings(1)
        await record.wait_for_refusals(1)
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
        assert await peer.rest() == b"too-long: message longer than 100 bytes\n"
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


def test_after_a_reload_the_new_secret_counts_and_the_old_one_does_not(secret_file: Path) -> None:
    secret = hubbub.SharedSecret(secret_file)
    secret_file.write_text("another\n")
    assert lets_in(secret, SECRET)
    assert not lets_in(secret, "another")
    assert secret.reload() == f"the secrets of {secret_file} have changed"
    assert secret.reload() is None
    assert not lets_in(secret, SECRET)
    assert lets_in(secret, "another")


@pytest.mark.parametrize("content", [None, b"", b"\n"])
def test_after_a_reload_that_failed_the_old_secret_holds(secret_file: Path, content: bytes | None) -> None:
    secret = hubbub.SharedSecret(secret_file)
    secret_file.unlink()
    if content is not None:
        secret_file.write_bytes(content)
    with pytest.raises((OSError, ValueError), match=str(secret_file)):
        secret.reload()
    assert lets_in(secret, SECRET)
    assert not lets_in(secret, "")
    secret_file.write_text("another\n")
    assert secret.reload() is not None
