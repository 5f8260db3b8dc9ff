"""The kinds of listeners, and that a new one is one file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import hubbub
from hubbub.apps.echo import echo
from hubbub.cli.listeners import make_listeners
from hubbub.cli.places import parse
from hubbub.door import kinds

from support.helpers import Peer

# It listens at a number of its own type, with a key of its own.
NEW_KIND = """
import socket
from typing import NamedTuple
from hubbub.door.kind import Kind, prepare

class Number(NamedTuple):
    host: str
    backlog: int

class Loop(Kind):
    forms = ("loop://NUMBER",)
    endpoint = Number
    keys = {"backlog": "backlog is a number, and for loop:// only"}

    def parse(self, url, query):
        return {"endpoint": Number(f"127.0.0.{url.netloc}", int(query["backlog"]))}

    async def bind(self, place, settings):
        address = (place.endpoint.host, 0)
        return [prepare(socket.create_server(address, backlog=place.endpoint.backlog), settings)]

KIND = Loop()
"""


def test_the_kinds_are_the_files_of_the_folder() -> None:
    folder = Path(kinds.__file__).parent
    files = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    assert [type(kind).__module__ for kind in kinds.found()] == [f"{kinds.__name__}.{name}" for name in files]
    assert [kind.schemes for kind in kinds.found()] == [["fd"], ["tcp", "tls", "http", "https"], ["unix"]]


def test_no_two_kinds_share_a_scheme_or_a_key() -> None:
    for words in (
        [scheme for kind in kinds.found() for scheme in kind.schemes],
        [key for kind in kinds.found() for key in kind.keys],
    ):
        assert len(words) == len(set(words))


async def test_a_new_kind_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loop.py").write_text(NEW_KIND)
    monkeypatch.setattr(kinds, "__path__", [*kinds.__path__, str(tmp_path)])
    try:
        listeners = make_listeners([parse("loop://7?backlog=8")], {})
        async with hubbub.Server(echo, listeners=listeners) as server:
            (address,) = server.addresses
            assert address.host == "127.0.0.7"
            async with Peer.of(server) as peer:
                await peer.send(b"hi\n")
                assert await peer.line() == b"We got your message: hi\n"
        with pytest.raises(
            ValueError, match=r"^it must begin with fd://, tcp://, tls://, http://, https://, unix:// or loop://$"
        ):
            parse("ws://7")
        with pytest.raises(ValueError, match=r"^backlog is a number, and for loop:// only$"):
            parse("tcp://h:1?backlog=8")
        with pytest.raises(TypeError, match=r"give one of these types: int, Address, Path or Number$"):
            hubbub.Listener(endpoint=None)  # type: ignore[arg-type]
    finally:
        sys.modules.pop("hubbub.door.kinds.loop", None)


def test_an_endpoint_of_no_kind_is_refused_with_the_types_that_there_are() -> None:
    with pytest.raises(TypeError, match=r"^nothing can listen at '/run/x'; .*: int, Address or Path$"):
        hubbub.Listener(endpoint="/run/x")  # type: ignore[arg-type]
