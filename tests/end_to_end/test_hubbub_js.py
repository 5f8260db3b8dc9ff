"""`hubbub.js` in Node: it comes back by itself, and goes on where it was."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import Any

import pytest

from support.hubbub_js import MODULE, Answer, NodeProgram, answering
from support.keys import replace_in, secret_of, write_keys
from support.programs import Peer, finish, require_program, wait_until
from support.web_programs import WebProgram, web_program

pytestmark = pytest.mark.real


def connections(server: WebProgram) -> list[dict[str, Any]]:
    """Those of a server."""
    connection = HTTPConnection(*server.web)
    connection.request("GET", "/status")
    rows: list[dict[str, Any]] = json.load(connection.getresponse())["connections"]
    connection.close()
    return rows


def test_the_module_is_valid_and_short(tmp_path: Path) -> None:
    # Node takes the file for a module by its name.
    path = tmp_path / "hubbub.mjs"
    path.write_bytes(MODULE.read_bytes())
    assert finish(require_program("node"), "--check", str(path)).errors == ""
    lines = MODULE.read_text().splitlines()
    assert len(lines) < 220
    assert max(map(len, lines)) <= 120


@pytest.mark.long
def test_node_reads_and_publishes(tmp_path: Path) -> None:
    with (
        web_program() as server,
        NodeProgram(server.origin, "publish") as speaker,
        NodeProgram(server.origin, "subscribe", since="all") as reader,
    ):
        assert reader.expect_state("live") is None
        for line in ("Hey, é and 語", "<b>no tag</b>"):
            speaker.send(f"{line}\n".encode())
            kind, position = speaker.next()
            entry = reader.entry()
            assert (kind, entry["message"], entry["position"]) == ("position", line, position)
            assert entry["time"].endswith("Z")
            assert entry["sender"].startswith("127.0.0.1:")
        with NodeProgram(server.origin, "subscribe", since=1) as other:
            assert other.entry() == entry
        with NodeProgram(server.origin, "subscribe", since=position) as other:
            other.expect_state("live")
            server.say("more")
            assert other.messages(1) == reader.messages(1) == ["more"]


@pytest.mark.parametrize("how", ["abort", pytest.param("leave", marks=pytest.mark.long)])
def test_a_loop_that_ends_closes_its_connection(how: str) -> None:
    with web_program() as server, NodeProgram(server.origin, "subscribe") as reader:
        reader.expect_state("live")
        wait_until(lambda: len(connections(server)) == 1, "reader")
        reader.command(how)
        if how == "leave":
            server.say("last", "not taken")
            assert reader.messages(1) == ["last"]
        assert reader.next() == ["over"]
        # The program has not ended: Node would close its connections.
        wait_until(lambda: not connections(server), "end of the connection")
        assert reader.running


@pytest.mark.long
def test_abort_ends_a_loop_that_holds_an_entry_or_waits_for_its_next_try() -> None:
    held = ({"first": "a:0"}, {"position": "a:1", "message": "one"}, {"position": "a:2", "message": "two"})
    with (
        answering(Answer(objects=held, stays=True)) as server,
        NodeProgram(server.url, "subscribe", stalled=True) as reader,
    ):
        reader.expect_state("live")
        assert reader.messages(1) == ["one"]
        reader.command("abort")
        reader.command("go")
        assert reader.next() == ["over"]
    refused = Answer(503, {"Retry-After": "3000"})
    with answering(refused) as server, NodeProgram(server.url, "subscribe") as reader:
        reader.expect_state("waiting")
        reader.command("abort")
        assert reader.next() == ["over"]
        assert len(server.asked) == 1


@pytest.mark.long
def test_a_key_opens_a_room_and_one_that_is_taken_away_ends_the_loop(tmp_path: Path) -> None:
    keys = write_keys(tmp_path / "keys.toml", boat="read write", desk="read")
    boat, desk = (secret_of(name).decode() for name in ("boat", "desk"))
    with web_program(f"--keys={keys}") as server:
        with NodeProgram(server.origin, "subscribe") as reader:
            words = "a key is needed here; send Authorization: Bearer KEY"
            assert reader.next() == ["error", True, words, {"status": 401, "unknown": False}]
        with (
            NodeProgram(server.origin, "subscribe", key=desk) as reader,
            NodeProgram(server.origin, "publish", key=desk) as other,
            NodeProgram(server.origin, "publish", key=boat) as speaker,
        ):
            reader.expect_state("live")
            other.send(b"no\n")
            assert other.next()[-1] == {"status": 403, "unknown": False}
            speaker.send(b"Hey\n")
            assert speaker.next()[0] == "position"
            entry = reader.entry()
            assert (entry["message"], entry["sender"]) == ("Hey", "boat")
            replace_in(keys, "[desk]", "[other]")
            replace_in(keys, '[other]\nsha256 = "', '[other]\nsha256 = "' + "0" * 64 + '" #')
            server.program.signal(signal.SIGHUP)
            kind, own, _, facts = reader.next()
            assert (kind, own, facts) == ("error", True, {"end": "unauthenticated", "unknown": False})


@pytest.mark.long
@pytest.mark.parametrize(
    ("room", "since", "status"), [("nowhere", None, 404), ("root", "yesterday", 400), ("root/x", None, 404)]
)
def test_what_cannot_change_is_an_error(room: str, since: str | None, status: int) -> None:
    with web_program() as server, NodeProgram(server.origin, "subscribe", room=room, since=since or 0) as reader:
        assert reader.next()[-1] == {"status": status, "unknown": False}


@pytest.mark.long
def test_a_gap_is_an_entry_and_reading_goes_on_behind_it() -> None:
    with web_program() as server:
        server.say("one", "two")
        with NodeProgram(server.origin, "subscribe", since=f"{'0' * 16}:5") as reader:
            gap = reader.entry()
            assert gap["missed"] is None
            assert reader.messages(2) == ["one", "two"]
            with NodeProgram(server.origin, "subscribe", since=gap["position"]) as other:
                assert other.messages(2) == ["one", "two"]


@contextmanager
def speaking(server: WebProgram, numbers: Iterator[int], acknowledged: list[int]) -> Iterator[None]:
    """A sender that says one number after the other, and notes those whose commit was acknowledged."""
    stop = Event()

    def speak() -> None:
        while not stop.is_set():
            number = next(numbers)
            connection = HTTPConnection(*server.web)
            try:
                connection.request("POST", "/root", str(number))
                if connection.getresponse().status == 201:
                    acknowledged.append(number)
            except (OSError, ValueError):
                return
            finally:
                connection.close()

    thread = Thread(target=speak)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("kills", [1, pytest.param(8, marks=pytest.mark.long)])
def test_nothing_is_missed_and_nothing_comes_twice_when_the_server_is_killed_while_a_sender_speaks(
    kills: int, tmp_path: Path
) -> None:
    random = Random(kills)
    options = (f"--store={tmp_path / 'hubbub.db'}", "--durable=ack")
    acknowledged: list[int] = []
    numbers = iter(range(1_000_000))
    with ExitStack() as stack:
        with web_program(*options) as server:
            reader = stack.enter_context(NodeProgram(server.origin, "subscribe"))
            reader.expect_state("live")
            speak_and_kill(server, numbers, acknowledged, random)
        for _ in range(kills - 1):
            with web_program(*options, ports=server.ports) as server:
                speak_and_kill(server, numbers, acknowledged, random)
        stack.enter_context(web_program(*options, ports=server.ports))
        with speaking(server, numbers, acknowledged):
            goal = len(acknowledged) + 10
            wait_until(lambda: len(acknowledged) >= goal, "acknowledgements")
        entries = [reader.entry()]
        while entries[-1].get("message") != str(acknowledged[-1]):
            entries.append(reader.entry())
    # What was heard and not committed before the kill is a gap: nobody had acknowledged it.
    heard = [int(entry["message"]) for entry in entries if "message" in entry]
    assert heard == sorted(set(heard))
    assert set(acknowledged) <= set(heard)
    assert len(entries) - len(heard) <= kills


def speak_and_kill(server: WebProgram, numbers: Iterator[int], acknowledged: list[int], random: Random) -> None:
    """Kill the server in the middle of what a sender says."""
    goal = len(acknowledged) + random.randrange(5, 100)
    with speaking(server, numbers, acknowledged):
        wait_until(lambda: len(acknowledged) >= goal, "acknowledgements")
        server.program.signal(signal.SIGKILL)
        server.program.wait()


@pytest.mark.long
def test_a_reader_that_has_heard_nothing_misses_nothing_either(tmp_path: Path) -> None:
    """It knows where its stream has begun, and not only where a message stood."""
    options = ("--store=hubbub.db",)
    with web_program(*options, cwd=tmp_path) as server:
        server.say("before")
        reader = NodeProgram(server.origin, "subscribe")
        reader.expect_state("live")
        server.program.signal(signal.SIGKILL)
        server.program.wait()
    with reader, web_program(*options, cwd=tmp_path, ports=server.ports) as server:
        server.say("after")
        reader.expect_state("waiting")
        entry = reader.entry()
        # "before" may not have been committed.
        entry = reader.entry() if "missed" in entry else entry
        assert entry["message"] == "after"


@pytest.mark.long
def test_a_server_that_has_forgotten_says_so_in_an_entry() -> None:
    with web_program() as server:
        reader = NodeProgram(server.origin, "subscribe")
        reader.expect_state("live")
        server.say("before")
        assert reader.messages(1) == ["before"]
        server.program.stop()
    assert reader.expect_state("waiting") == "shutdown: the server closed"
    with reader, web_program(ports=server.ports) as server:
        server.say("after")
        assert reader.entry()["missed"] is None
        assert reader.messages(1) == ["after"]


@pytest.mark.long
def test_a_program_that_takes_no_entry_holds_the_server_back_and_then_hears_all() -> None:
    count, size = 40_000, 1000
    with (
        web_program("--retention=128M", "--patience=60s") as server,
        NodeProgram(server.origin, "subscribe", stalled=True) as reader,
        Peer(server.program.endpoint) as speaker,
    ):
        reader.expect_state("live")
        for number in range(count):
            speaker.send(b"%0*d\n" % (size - 1, number))
        speaker.end()
        speaker.rest()
        # All but what the buffers of two kernels and of Node's own stream hold.
        (row,) = (row for row in connections(server) if row["via"] == "json")
        assert row["lag"]["bytes"] > count * size / 2
        assert reader.messages(1) == ["0".zfill(size - 1)]
        reader.command("go")
        assert [int(message) for message in reader.messages(count - 1)] == list(range(1, count))


# What servers and networks do that hubbub cannot be made to do at once.


@pytest.mark.long
def test_pauses_grow_and_retry_after_is_honoured() -> None:
    answers = [
        Answer(503, {"Retry-After": "7"}),
        # Who comes back at once would do so all the time.
        Answer(503, {"Retry-After": "0"}),
        *[Answer(500)] * 6,
        Answer(429, {"Retry-After": "99999999"}),
        Answer(429, {"Retry-After": "Sun, 29 Nov 2026 07:12:35 GMT"}),
        Answer(502, body=b"Bad Gateway\n"),
        Answer(403, body=b"no\n"),
    ]
    with answering(*answers) as server, NodeProgram(server.url, "subscribe", fast=True) as reader:
        pauses, reasons = [], []
        while (fields := reader.next())[0] != "error":
            if fields[0] == "pause":
                pauses.append(fields[1])
            elif fields[0] == "state":
                reasons.append(fields[2])
        assert fields[1:3] == [True, "no"]
    assert pauses.pop(0) == 0
    assert (pauses.pop(8), pauses.pop(0)) == (3600, 7)
    for pause, longest in zip(pauses, [2, 4, 8, 16, 30, 30, 30, 30, 30], strict=True):
        assert longest / 2 <= pause <= longest
    assert reasons == [*(f"the answer is {status}" for status in (503, 503, *[500] * 6, 429, 429)), "Bad Gateway"]


def test_a_stream_that_breaks_or_falls_silent_is_asked_for_again_where_it_was() -> None:
    first = {"first": "a:0"}
    answers = [
        Answer(objects=(first, {"position": "a:1", "message": "one"}, {"position": "a:2"}), cut=5),
        Answer(objects=({"first": "a:1"}, {}), stays=True),
        Answer(objects=({"missed": 3, "first": "a:4"}, {"first": "a:4"})),
        Answer(objects=({"end": "slow", "reason": "too slow", "retry": True},)),
        Answer(objects=({"position": "a:5", "message": "/w==", "base64": True},), stays=True),
        Answer(objects=({"end": "closed", "reason": "the room was closed", "retry": False},)),
    ]
    with answering(*answers) as server, NodeProgram(server.url, "subscribe", fast=True) as reader:
        told = []
        while (fields := reader.next()) != ["over"]:
            if fields[0] != "pause":
                told.append(fields)
            if fields[0] != "pause" and len(told) in (4, 10):
                reader.command("silence")
    targets = [target.partition("&since=")[2] for target in server.asked]
    assert targets == ["", *["a%3A1"] * 2, *["a%3A4"] * 2, "a%3A5"]
    live, over = ["state", "live", None], "the connection has ended"
    assert told == [
        live,
        ["entry", {"message": "one", "position": "a:1"}],
        ["state", "waiting", over],
        live,
        ["state", "waiting", "the connection is lost: This operation was aborted"],
        ["entry", {"missed": 3, "position": "a:4"}],
        live,
        ["state", "waiting", over],
        ["state", "waiting", "slow: too slow"],
        ["entry", {"message": [255], "position": "a:5"}],
        ["state", "waiting", "the connection is lost: This operation was aborted"],
    ]


@pytest.mark.long
def test_an_endless_line_and_what_is_no_stream_are_errors() -> None:
    html = {"Content-Type": "text/html"}
    for answer, words in (
        (Answer(body=b"x" * 17 * 1024 * 1024), "a line is longer than 16777216 characters"),
        (Answer(body=b"<html>\n"), "a line is no JSON: <html>"),
        (Answer(headers=html, body=b"<html>\n"), "the answer is text/html, and not application/x-ndjson"),
    ):
        with answering(answer) as server, NodeProgram(server.url, "subscribe") as reader:
            assert reader.next()[:3] == ["error", True, words]


@pytest.mark.long
def test_a_key_that_no_header_can_have_is_an_error_at_once() -> None:
    with answering() as server, NodeProgram(server.url, "subscribe", key="a\nb") as reader:
        assert reader.next()[0] == "error"
        assert not server.asked


@pytest.mark.long
def test_a_secret_may_have_any_letters_and_a_url_a_slash_at_its_end(tmp_path: Path) -> None:
    secret = "öffne dich, 語"
    (tmp_path / "secret").write_text(f"{secret}\n")
    with (
        web_program(f"--secret-file={tmp_path / 'secret'}") as server,
        NodeProgram(server.origin, "subscribe", room="root/", key=secret) as reader,
        NodeProgram(server.origin, "publish", room="root/", key=secret) as speaker,
    ):
        reader.expect_state("live")
        speaker.send(b"Hey\n")
        assert speaker.next()[0] == "position"
        assert reader.messages(1) == ["Hey"]


@pytest.mark.long
def test_what_is_posted_is_not_posted_again() -> None:
    with web_program() as server, NodeProgram(server.origin, "publish") as speaker:
        speaker.send(b"one\n")
        assert speaker.next()[0] == "position"
        server.program.signal(signal.SIGKILL)
        server.program.wait()
        speaker.send(b"two\n")
        kind, own, reason, facts = speaker.next()
        assert (kind, own, facts) == ("error", True, {"unknown": True})
        assert reason == "nobody knows whether it was published: there is no answer"
