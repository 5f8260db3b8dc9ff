"""Keys: what each lets a client do, what is wrong in their file, and what a reload takes away."""

from __future__ import annotations

import logging
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import hubbub
from hubbub.apps.relay import relay
from hubbub.server import reloading
from hubbub.server.summary import describe

from support.helpers import Peer, Record, at, fall_behind, idle, serving
from support.keys import replace_in, secret_of, write_keys

DIGEST = sha256(b"x").hexdigest()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_keys(tmp_path / "keys.toml", boat="read write", screen="read", sensor="write", eye="watch")


def guarded(path: Path, handler: Any = relay, **place: Any) -> AbstractAsyncContextManager[tuple[Any, Record]]:
    """A server with a place that asks for a key, and one where everybody may come in."""
    options = {name: place.pop(name) for name in ("settings", "framing") if name in place}
    local = hubbub.Address("127.0.0.1", 0)
    asking = hubbub.Listener[Any](endpoint=local, authenticate=hubbub.Keys(path), **place)
    return serving(handler, listeners=[asking, hubbub.Listener(endpoint=local)], **options)


async def said_to(server: Any, said: bytes) -> bytes:
    """What somebody hears who says that first."""
    async with Peer.of(server) as peer:
        await peer.send(said + b"\n")
        return await peer.rest()


# Who comes in, and as what.


@pytest.mark.parametrize(
    ("name", "place", "role"),
    [
        ("boat", "both", "both"),
        ("boat", "read", "read"),
        ("boat", "write", "write"),
        ("screen", "both", "read"),
        ("screen", "read", "read"),
        ("sensor", "both", "write"),
        ("sensor", "write", "write"),
    ],
)
async def test_a_client_may_do_what_its_key_and_its_place_allow(path: Path, name: str, place: str, role: str) -> None:
    async with guarded(path, idle, role=place) as (server, record), Peer.of(server) as peer:
        await peer.send(secret_of(name) + b"\n")
        (client,) = await record.wait_for_clients(1)
        assert (client.key, client.role) == (name, role)
        assert (client in server.root) == client.role.hears


@pytest.mark.parametrize(
    ("name", "place", "reason"),
    [
        ("sensor", {"role": "read"}, "the key sensor may not read"),
        ("screen", {"role": "write"}, "the key screen may not write"),
        ("eye", {"role": "both"}, "the key eye may not read or write"),
        ("deck", {"room": "weather"}, "the key deck does not open the room weather"),
    ],
)
async def test_a_key_that_is_good_for_nothing_at_a_place_is_refused_with_the_reason(
    tmp_path: Path, name: str, place: Any, reason: str
) -> None:
    path = write_keys(tmp_path / "keys.toml", screen="read", sensor="write", eye="watch", deck="read: ais wx-*")
    async with guarded(path, **place) as (server, record):
        assert await said_to(server, secret_of(name)) == f"unauthenticated: {reason}\n".encode()
        (ending,) = await record.wait_for_refusals()
        assert (ending.code, ending.reason) == (hubbub.EndingCode.UNAUTHENTICATED, reason)
        assert not record.clients


async def test_what_is_no_key_is_refused_as_a_wrong_secret_is(path: Path) -> None:
    async with guarded(path) as (server, record):
        for said in (b"", b"boat", sha256(secret_of("boat")).hexdigest().encode(), secret_of("boat")[:-1]):
            assert await said_to(server, said) == b"unauthenticated: not authenticated\n"
        assert not record.clients


async def test_a_room_of_the_place_that_a_pattern_names_is_open(tmp_path: Path) -> None:
    path = write_keys(tmp_path / "keys.toml", deck="read: ais wx-*")
    async with guarded(path, idle, room="wx-north") as (server, record), Peer.of(server) as peer:
        await peer.send(secret_of("deck") + b"\n")
        (client,) = await record.wait_for_clients(1)
        assert client.room.name == "wx-north"
        # Where the app has it go beyond its place is the app's business.
        assert await client.join("elsewhere") in client.rooms


async def test_who_may_only_read_is_not_heard_and_who_may_only_write_hears_nothing(path: Path) -> None:
    async with guarded(path, replay="all") as (server, record), Peer.of(at(server, 1)) as open_peer:
        await server.broadcast("before")
        async with Peer.of(server) as screen, Peer.of(server) as sensor:
            await screen.send(secret_of("screen") + b"\nunheard\n")
            assert await screen.line() == b"before\n"
            await sensor.send(secret_of("sensor") + b"\nheard\n")
            assert await screen.line() == b"heard\n"
            assert await open_peer.line() == b"before\n"
            assert await open_peer.line() == b"heard\n"
            (client,) = [client for client in record.clients if client.key == "sensor"]
            assert client.role == "write"
            assert not client.rooms


async def test_who_may_only_write_is_replayed_nothing_from_a_store(path: Path, tmp_path: Path) -> None:
    heard: list[tuple[str, int]] = []

    async def listen(client: hubbub.Client) -> None:
        heard.extend([(message, len(client.rooms)) async for message in client])

    listener = hubbub.Listener(endpoint=hubbub.Address("127.0.0.1", 0), authenticate=hubbub.Keys(path), replay="all")
    options: Any = {"settings": hubbub.Settings(retention=4096), "store": hubbub.SqliteStore(tmp_path / "log.db")}
    async with serving(listen, listeners=[listener], **options) as (server, _):
        for number in range(100):
            await server.broadcast(f"{number:0200}")
        async with Peer.of(server) as peer:
            await peer.send(secret_of("sensor") + b"\nheard\n")
            peer.end()
            assert await peer.rest() == b""
        assert heard == [("heard", 0)]


async def test_without_a_key_a_client_has_no_name_of_one(path: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("open sesame\n")
    shared = hubbub.SharedSecret(tmp_path / "secret")
    async with guarded(path) as (server, record), Peer.of(at(server, 1)):
        assert (await record.wait_for_clients(1))[0].key is None
    listener = hubbub.Listener[Any](endpoint=hubbub.Address("127.0.0.1", 0), authenticate=shared)
    async with serving(idle, listeners=[listener]) as (server, record), Peer.of(server) as peer:
        await peer.send(b"open sesame\n")
        (client,) = await record.wait_for_clients(1)
        assert (client.key, client.role) == (None, "both")
        assert str(client._reader) == client.name
        assert not [line for line in describe(server) if "key" in line]


async def test_an_own_check_can_ask_for_a_key_and_more(path: Path) -> None:
    keys = hubbub.Keys(path)
    seen: list[str | None] = []

    async def check(arrival: hubbub.Arrival[Any]) -> bool:
        seen.append(arrival.key)
        authentic = await keys(arrival)
        seen.append(arrival.key)
        return authentic and await arrival.receive() == "please"

    listener = hubbub.Listener[Any](endpoint=hubbub.Address("127.0.0.1", 0), authenticate=check)
    async with serving(idle, listeners=[listener]) as (server, record):
        async with Peer.of(server) as peer:
            await peer.send(secret_of("screen") + b"\nplease\n")
            (client,) = await record.wait_for_clients(1)
            assert (client.key, client.role, seen) == ("screen", "read", [None, "screen"])
        assert await said_to(server, secret_of("screen") + b"\nnow") == b"unauthenticated: not authenticated\n"


def test_keys_need_a_framing_that_ends_messages(path: Path) -> None:
    listener = hubbub.Listener[bytes](endpoint=hubbub.Address("127.0.0.1", 0), authenticate=hubbub.Keys(path))
    with pytest.raises(ValueError, match=r"a secret needs a framing that ends messages, and Raw\(\) does not"):
        hubbub.Server(relay, listeners=[listener], framing=hubbub.Raw())


# What is told of it.


async def test_the_name_of_a_key_is_told_and_its_secret_is_not(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with guarded(path, idle) as (server, record):
        async with Peer.of(server) as peer, Peer.of(server) as other:
            await peer.send(secret_of("boat") + b"\n")
            await other.send(secret_of("screen") + b"\n")
            first, second = await record.wait_for_clients(2)
            names = {first.key: first.name, second.key: second.name}
            lines = describe(server)
            assert "connections with keys: boat 1, screen 1" in lines
            for name in ("boat", "screen"):
                assert f"{names[name]} (key {name}) lags by 0 messages, 0 bytes" in lines
            # Of one that only reads, its end alone would end nothing.
            other.reset()
        await record.wait_for_endings(2)
        assert await said_to(server, b"a wrong secret")
        await record.wait_for_refusals(1)
    assert f"{names['boat']} (key boat) ended: left" in caplog.text
    told = caplog.text + repr([vars(record) for record in caplog.records]) + repr(vars(server.listeners[0]))
    assert "secret-of" not in told
    assert "a wrong secret" not in told


# The file.


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[boat\n", " is not valid TOML: Expected ']' at the end of a table declaration (at line 1, column 6)"),
        (f"a = {'[' * 10_000}", " is not valid TOML: "),
        ("# \udcff", " is not valid TOML: 'utf-8' codec can't decode byte 0xff"),
        ("\nsha256 = 'x'", ", line 2: sha256 is not the table of a key; write [NAME] above what belongs to a key"),
        ("[a]\n['my boat']", ", line 1: a has no sha256; `hubbub key new` makes keys"),
        ("\n['my boat']", ", line 2: 'my boat' is not a name for a key; use 1 to 64 of A-Z, a-z, 0-9, '_' and '-'"),
        ("[boat.crew]", ", line 1: a key has no 'crew'; it has sha256, may, rooms"),
        ("[boat]\n\nroom = 'ais'", ", line 3: a key has no 'room'; it has sha256, may, rooms"),
        ("[boat]\nsha256 = 'open sesame'", ", line 2: sha256 must be a SHA-256, as 64 hexadecimal digits in quotes"),
        ("[boat]\nsha256 = 5", ", line 2: sha256 must be a SHA-256, as 64 hexadecimal digits in quotes"),
        (f"[boat]\nsha256 = '{DIGEST}'", ", line 1: boat has no may; it must be a list of read, write, watch, or of "),
        *(
            (f"[boat]\nsha256 = '{DIGEST}'\nmay = {may}", f", line 3: may is {may}; it must be a list of read, write, ")
            for may in ("[]", "'read'", "['reed']", "[1]", "[['read']]")
        ),
        (
            f"[boat]\nsha256 = '{DIGEST}'\nmay = {{read = true}}",
            ", line 3: may is {'read': True}; it must be a list of ",
        ),
        *(
            (
                f"[boat]\nsha256 = '{DIGEST}'\nmay = ['read']\nrooms = {rooms}",
                f", line 4: rooms is {rooms}; write names",
            )
            for rooms in ("[]", "'ais'", "[1]")
        ),
        *(
            (
                f"[boat]\nsha256 = '{DIGEST}'\nmay = ['read']\nrooms = [\n'ais',\n'{room}']",
                f", line 4: no room can match '{room}'; write a name or a pattern, as in wx-*",
            )
            for room in ("", "a b", "wx/*")
        ),
        (
            f"[a]\r\nsha256 = '{DIGEST}'\r\nmay = ['read']\r\n[b]\r\nmay = ['read']\r\nsha256 = '{DIGEST.upper()}'",
            ", line 6: a has the same secret; each key needs its own",
        ),
    ],
)
def test_what_is_wrong_in_the_file_is_told_with_its_line_and_nothing_that_may_be_secret(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "keys.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=r"keys\.toml") as caught:
        hubbub.Keys(path)
    assert str(caught.value).startswith(f"{path}{message}")
    assert "sesame" not in str(caught.value)


async def test_a_file_without_keys_lets_nobody_in(tmp_path: Path) -> None:
    async with guarded(write_keys(tmp_path / "keys.toml")) as (server, _):
        assert await said_to(server, b"") == b"unauthenticated: not authenticated\n"


def test_a_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"keys\.toml"):
        hubbub.Keys(str(tmp_path / "keys.toml"))


# What a reload takes away.


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ({}, "the key boat is not valid any more"),
        ({"boat": "read"}, "the key boat may not write"),
        ({"boat": "read write: ais"}, "the key boat does not open the room root"),
    ],
)
async def test_a_connection_ends_that_its_key_would_not_let_in_any_more(path: Path, now: Any, reason: str) -> None:
    async with (
        guarded(path, idle) as (server, record),
        Peer.of(server) as boat,
        Peer.of(server) as screen,
        Peer.of(at(server, 1)) as stranger,
    ):
        await boat.send(secret_of("boat") + b"\n")
        await screen.send(secret_of("screen") + b"\n")
        await record.wait_for_clients(3)
        write_keys(path, screen="read", **now)
        assert server.reload() == [
            f"the keys of {path} have changed",
            "connections ended, because their keys do not let them in any more: 1",
        ]
        assert await boat.rest() == f"{reason}\n".encode()
        (ending,) = await record.wait_for_endings()
        assert (ending.code, ending.reason) == (hubbub.EndingCode.UNAUTHENTICATED, reason)
        assert not ending.code.worth_retrying
        # The others stay.
        await server.broadcast("Hey")
        assert await screen.line() == await stranger.line() == b"Hey\n"
        assert server.reload() == []


async def test_a_connection_stays_whose_key_still_lets_it_in_as_it_is(path: Path) -> None:
    async with guarded(path, idle) as (server, record), Peer.of(server) as peer:
        await peer.send(secret_of("screen") + b"\n")
        (client,) = await record.wait_for_clients(1)
        for now in ("read write watch", "read: r*"):
            write_keys(path, screen=now)
            assert server.reload() == [f"the keys of {path} have changed"]
        # It may have another name by then.
        replace_in(path, "[screen]", "[display]")
        assert server.reload() == [f"the keys of {path} have changed"]
        assert (client.key, client.role, client.ending) == ("display", "read", None)
        write_keys(path)
        assert len(server.reload()) == 2
        assert await peer.rest() == b"the key display is not valid any more\n"


async def test_a_new_secret_of_a_key_ends_those_who_had_the_old_one(path: Path) -> None:
    async with guarded(path, idle) as (server, record), Peer.of(server) as peer:
        await peer.send(secret_of("boat") + b"\n")
        await record.wait_for_clients(1)
        replace_in(path, sha256(secret_of("boat")).hexdigest(), DIGEST)
        assert len(server.reload()) == 2
        assert await peer.rest() == b"the key boat is not valid any more\n"
        assert await said_to(server, secret_of("boat")) == b"unauthenticated: not authenticated\n"


async def test_where_no_words_can_be_said_a_connection_ends_without_them(path: Path) -> None:
    async with guarded(path, idle, framing=hubbub.LengthPrefixed(2)) as (server, record), Peer.of(server) as peer:
        await peer.send(hubbub.LengthPrefixed(2).encode([secret_of("boat")]))
        await record.wait_for_clients(1)
        write_keys(path)
        assert len(server.reload()) == 2
        assert await peer.rest() == b""


async def test_of_many_whose_key_was_taken_away_some_end_in_each_turn(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloading, "ENDED_AT_ONCE", 2)
    async with guarded(path, idle) as (server, record), AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(Peer.of(server)) for _ in range(5)]
        for peer in peers:
            await peer.send(secret_of("boat") + b"\n")
        await record.wait_for_clients(5)
        await server.broadcast("Hey")
        for peer in peers:
            # Behind it nothing else looks at the key.
            assert await peer.line() == b"Hey\n"
        write_keys(path)
        assert server.reload()[1].endswith(": 5")
        assert len(server.clients) == 3
        for peer in peers:
            assert await peer.rest() == b"the key boat is not valid any more\n"


async def test_what_waits_for_a_client_whose_key_was_taken_away_is_dropped(path: Path) -> None:
    async with (
        guarded(path, idle, settings=hubbub.Settings(retention=2**20)) as (server, record),
        Peer.of(server, receive_buffer=4096) as peer,
    ):
        peer.stall()
        await peer.send(secret_of("boat") + b"\n")
        (client,) = await record.wait_for_clients(1)
        await fall_behind(client, server.root, "x" * 10_000)
        await server.broadcast("unheard")
        write_keys(path)
        server.reload()
        peer.resume()
        *lines, last = (await peer.rest()).removesuffix(b"\n").split(b"\n")
        assert last == b"the key boat is not valid any more"
        assert set(lines) == {b"x" * 10_000}


@pytest.mark.parametrize("head", ["[boat", "['my boat']"])
async def test_after_a_reload_that_failed_the_old_keys_hold(path: Path, head: str) -> None:
    async with guarded(path, idle) as (server, record), Peer.of(server) as peer:
        await peer.send(secret_of("boat") + b"\n")
        (client,) = await record.wait_for_clients(1)
        replace_in(path, "[boat]", head)
        (complaint,) = server.reload()
        assert complaint.endswith("; what was read before holds")
        assert client.ending is None


async def test_a_key_that_is_taken_away_while_its_client_is_let_in_does_not_let_it_in(path: Path) -> None:
    class Reloads(Record):
        def connected(self, client: hubbub.Client[Any]) -> None:
            super().connected(client)
            client._reader.held_key.become(None)  # type: ignore[union-attr] # it has one

    listener = hubbub.Listener[Any](endpoint=hubbub.Address("127.0.0.1", 0), authenticate=hubbub.Keys(path))
    async with serving(relay, listeners=[listener], observer=Reloads()) as (server, record):
        assert await said_to(server, secret_of("boat")) == b"the key boat is not valid any more\n"
        (ending,) = await record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.UNAUTHENTICATED
