"""What `hubbub serve` prints about what happens."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import ANY

import pytest

from hubbub import Address, Observer
from hubbub.cli import report
from hubbub.cli.report import CONTINUED, REFUSED_LIMIT, SAID_LIMIT, LogFormat, QuietReporter, reporting
from hubbub.cli.writer import QUEUE_LIMIT, UNREAD
from hubbub.door.acceptor import LOG_INTERVAL
from hubbub.values.ending import Ending, EndingCode

from bench.peer import free_port
from support.programs import (
    HUBBUB,
    Output,
    ServerProgram,
    TerminalProgram,
    address_in,
    assert_relays,
    hubbub_serve,
    refuses,
    wait_until,
)

HANDLER = """
import hubbub

async def handler(client: hubbub.Client) -> None:
    async for message in client:
        raise ValueError(message.decode())
"""


class Speaker:
    """As much of a client as a report needs."""

    name = "192.0.2.1:40000"
    address = "192.0.2.1"
    key = None

    def __init__(self, certificate_name: str | None = None) -> None:
        self.certificate_name = certificate_name

    def __str__(self) -> str:
        return self.name


class LazyMessages(Sequence[str]):
    """Messages that are decoded when they are looked at.

    Attributes:
        decoded: how many were.
    """

    def __init__(self, count: int) -> None:
        self._numbers = range(count)
        self.decoded = 0

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: Any) -> Any:
        numbers = self._numbers[index]
        self.decoded += len(numbers) if isinstance(numbers, range) else 1
        return [f"message {number}" for number in numbers] if isinstance(numbers, range) else f"message {numbers}"


@contextmanager
def piped_standard_output() -> Iterator[int]:
    """A pipe that is standard output meanwhile; the end at which it is read."""
    reading, writing = os.pipe()
    before = os.dup(1)
    os.dup2(writing, 1)
    os.close(writing)
    try:
        yield reading
    finally:
        os.dup2(before, 1)
        os.close(before)


def test_the_output_is_that_of_the_tutorial() -> None:
    with hubbub_serve("chat") as server:
        assert server.started.decode() == f"Server started at: tcp://127.0.0.1:{server.endpoint.port}\n"
        with server.new_peer() as alice:
            alice.send(b"Hey\r\n")
            assert server.output.line().decode() == f"{alice.name} said: Hey\n"
            with server.new_peer() as bob:
                bob.send(b"Ho\n")
                assert server.output.line().decode() == f"{bob.name} said: Ho\n"
            assert server.output.line().decode() == f"{bob.name} disconnected.\n"
            # To close a socket that holds unread data is to reset the connection.
            alice.end()
            assert alice.rest().endswith(b" disconnected.\n")
        assert server.output.line().decode() == f"{alice.name} disconnected.\n"
        with server.new_peer() as carol:
            # One that the server ends at its own end just disconnects.
            assert server.stop() == f"{carol.name} disconnected.\n"
        assert server.errors.rest() == b""


def test_an_abnormal_ending_says_why() -> None:
    with hubbub_serve() as server:
        with server.new_peer() as peer:
            peer.send(b"x" * 70_000)
            limit = "message longer than 65536 bytes"
            assert server.output.line().decode() == f"{peer.name} disconnected (too-long: {limit}).\n"
            assert peer.line().decode() == f"{limit}\n"
        peer = server.new_peer()
        peer.reset()
        assert server.output.line().decode() == (f"{peer.name} disconnected (lost: Connection reset by peer).\n")


def test_control_characters_from_the_network_are_shown_escaped() -> None:
    shown = {
        "\x1b]0;mine\x07": r"\x1b]0;mine\x07",
        "\x9b31m": r"\x9b31m",
        "up\rover": r"up\rover",
        "\u202eback": r"\u202eback",
        "to\there é 語": "to\there é 語",
    }
    with hubbub_serve() as server, server.new_peer() as peer:
        peer.send("".join(f"{line}\n" for line in shown).encode())
        assert server.output.lines(len(shown)) == [f"{peer.name} said: {text}" for text in shown.values()]
    with hubbub_serve("relay") as server, server.new_peer() as peer:
        peer.send("Grüße\r\n".encode() + b"\xff\0\x1b\n")
        assert server.output.lines(2) == [f"{peer.name} said: Grüße", rf"{peer.name} said: \xff\x00\x1b"]


@pytest.mark.parametrize(
    ("log_format", "shown"),
    [
        ("text", r" connected with the certificate of mine\x1b[2J\n."),
        ("json", r'"certificate": "mine\u001b[2J\n", "key": null}'),
    ],
)
def test_a_certificates_name_cannot_act_on_a_terminal(
    log_format: LogFormat, shown: str, capfd: pytest.CaptureFixture[str]
) -> None:
    speaker: Any = Speaker("mine\x1b[2J\n")
    with reporting(log_format, quiet=False, verbose=False) as reporter:
        reporter.noticed(speaker)
    assert capfd.readouterr().out.endswith(f"{shown}\n")


def test_only_messages_that_are_shown_are_decoded(capfd: pytest.CaptureFixture[str]) -> None:
    speaker: Any = Speaker()
    some, more, none = LazyMessages(SAID_LIMIT - 1), LazyMessages(1_000_000), LazyMessages(1_000_000)
    with reporting("text", quiet=False, verbose=False) as reporter:
        for messages in (some, more, none):
            reporter.received(speaker, messages)
    assert (some.decoded, more.decoded, none.decoded) == (SAID_LIMIT - 1, 1, 0)
    assert capfd.readouterr().out.count(" said: message ") == SAID_LIMIT


@pytest.mark.parametrize(
    ("code", "limit", "time"),
    [(None, SAID_LIMIT, 1.0), (EndingCode.DENIED, REFUSED_LIMIT, 1.0), (EndingCode.OVERLOADED, 1, LOG_INTERVAL)],
)
def test_more_than_anybody_reads_is_counted_and_told_when_there_is_time_again(
    code: EndingCode | None, limit: int, time: float, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    now = 1_000.0
    monkeypatch.setattr(report, "time", SimpleNamespace(monotonic=lambda: now))
    speaker: Any = Speaker()
    server: Any = None
    with reporting("json", quiet=False, verbose=False) as reporter:

        def happen(count: int) -> None:
            for _ in range(count):
                if code is None:
                    reporter.received(speaker, ["Hey"])
                else:
                    reporter.refused(Address("192.0.2.1", 40_000), Ending(code, "no"))

        happen(limit + 5)
        now += time - 0.1
        happen(1)
        now += 0.2
        happen(limit + 3)
        reporter.closing(server)
    events = [parse(line) for line in capfd.readouterr().out.splitlines()]
    shown = ["refused" if code else "said"] * limit
    assert [event["event"] for event in events] == [*shown, "not shown", *shown, "not shown"]
    what = "connections that were not let in" if code else "messages"
    told = [(event["count"], event["what"]) for event in events if event["event"] == "not shown"]
    assert told == [(6, what), (3, what)]


def test_messages_cost_a_quiet_server_nothing() -> None:
    # A server does not tell an observer of messages that does not override this.
    assert QuietReporter.received is Observer.received


def test_as_json_the_number_of_dropped_lines_is_an_object_too() -> None:
    speaker: Any = Speaker()
    with piped_standard_output() as reading, reporting("json", quiet=False, verbose=False) as reporter:
        # More than its queue and the pipe hold.
        for _ in range(QUEUE_LIMIT + 2_000):
            reporter.noticed(speaker)
        output = Output(reading)

        def is_reported() -> bool:
            reporter.noticed(speaker)
            return b'"dropped"' in output.unread

        wait_until(is_reported, "report of dropped lines")
        events = [parse(line) for line in output.expect(rb'.*"event": "dropped"[^\n]*\n')[0].splitlines()]
    assert (events[-1]["event"], events[-1]["reason"]) == ("dropped", UNREAD)
    assert int(str(events[-1]["count"])) >= 1


def test_as_json_each_line_is_an_object() -> None:
    with hubbub_serve("relay", "--log-format", "json", "--verbose") as server:
        with server.peer() as peer:
            peer.send(b'say "\x1b"\r\n')
            peer.end()
            assert peer.rest() == b""
        # Whether what it said last was flushed before it ended decides about its lag.
        message = f"{peer.name} ended: left: the client closed the connection"
        assert parse(server.errors.line()) == {"event": "log", "level": "debug", "logger": "hubbub", "message": message}
        assert [parse(line) for line in (server.started.decode(), *server.stop().splitlines())] == [
            {"event": "started", "url": f"tcp://{server.endpoint}", "address": str(server.endpoint)},
            {"event": "connected", "client": peer.name, "address": "127.0.0.1", "certificate": None, "key": None},
            {"event": "said", "client": peer.name, "message": 'say "\x1b"'},
            {
                "event": "disconnected",
                "client": peer.name,
                "address": "127.0.0.1",
                "key": None,
                "messages": 1,
                "bytes": 9,
                "lag_messages": ANY,
                "lag_bytes": ANY,
                "code": "left",
                "reason": "the client closed the connection",
            },
        ]


def test_each_line_can_begin_with_the_time() -> None:
    with hubbub_serve("relay", "--log-format", "timed", "--verbose") as server:
        with server.peer() as peer:
            peer.end()
            assert peer.rest() == b""
        lines = [server.started.decode(), server.errors.line().decode(), *server.stop().splitlines()]
    times, texts = zip(*(line.rstrip("\n").split(" ", maxsplit=1) for line in lines), strict=True)
    assert all(is_recent(time) for time in times)
    assert texts == (
        f"Server started at: tcp://{server.endpoint}",
        f"{peer.name} ended: left: the client closed the connection",
        f"{peer.name} connected.",
        f"{peer.name} disconnected.",
    )


TLS = ["--tls-cert=server.pem", "--tls-key=server_key.pem"]


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (["--port=0"], rb"Ctrl-C stops; try: telnet 127\.0\.0\.1 %s\r\n$"),
        (["--listen=tcp://0.0.0.0:0"], rb"Ctrl-C stops; try: telnet 127\.0\.0\.1 %s\r\n$"),
        (["--listen=unix://hub.sock"], rb"Ctrl-C stops; try: nc -U \./hub\.sock\r\n$"),
        (["--port=0", *TLS], rb"Ctrl-C stops; try: openssl s_client -quiet -connect 127\.0\.0\.1:%s\r\n$"),
        (["relay", "--port=0", "--framing=length2"], rb"Ctrl-C stops\.\r\n$"),
        (["--port=0", "--proxy-from=127.0.0.1"], rb"Ctrl-C stops\.\r\n$"),
        (["--port=0", "--quiet"], rb""),
        (["--port=0", "--log-format=json"], rb""),
    ],
)
def test_a_person_at_a_terminal_is_told_what_to_do(options: list[str], hint: bytes, directory: Path) -> None:
    with TerminalProgram(*HUBBUB, "serve", *options, cwd=directory) as server:
        started = server.output.expect(rb"[^\n]*?(\d*)\"?\}?\r\n")
        if hint:
            server.output.expect(hint.replace(b"%s", started[1]))
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert server.output.rest() == b""


def is_recent(text: str) -> bool:
    """Whether a time is one of the last minute."""
    return timedelta() <= datetime.now(UTC) - datetime.fromisoformat(text) < timedelta(minutes=1)


def parse(line: bytes | str) -> dict[str, object]:
    """An event, without its time; that is one of the last minute."""
    event: dict[str, object] = json.loads(line)
    assert is_recent(str(event.pop("time")))
    assert 0 <= float(str(event.pop("duration", 0))) < 60
    return event


def test_quiet_and_verbose_print_only_where_the_server_listens_and_log_why_each_client_ended() -> None:
    with hubbub_serve("relay", "--quiet", "--verbose") as server:
        with server.peer() as peer:
            peer.end()
            assert peer.rest() == b""
        assert server.errors.line().decode() == f"{peer.name} ended: left: the client closed the connection\n"
        assert server.stop() == ""


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_client_cannot_forge_lines_or_act_on_a_terminal_through_the_exception_of_a_handler(
    log_format: str, tmp_path: Path
) -> None:
    forged = "x\x1b[2J\nERROR forged\n127.0.0.1:1 disconnected."
    (tmp_path / "module.py").write_text(HANDLER)
    options = ["--framing", "nul", "--log-format", log_format, "--verbose"]
    with hubbub_serve("module:handler", *options, cwd=tmp_path) as server:
        with server.peer() as peer:
            peer.send(f"{forged}\0".encode())
            server.output.expect(rb"disconnected[^\n]*ValueError[^\n]*\n")
        out, err = server.output._data.decode() + server.stop(), server.errors.rest().decode()
    assert "\x1b" not in out + err
    quoted = forged.replace("\x1b", r"\x1b").replace("\n", r"\n")
    reason = f"failed: the handler raised ValueError: {quoted}"
    records = [f"the handler of {peer.name} raised", f"{peer.name} ended: {reason}"]
    if log_format == "json":
        messages = [str(parse(line)["message"]) for line in err.splitlines()]
        assert [message.split("\n")[0] for message in messages] == records
        assert messages[0].endswith(f"ValueError: {forged}")
    else:
        assert f"{peer.name} disconnected ({reason}).\n" in out
        # Each record is a line, and what belongs to it is indented.
        assert [line for line in err.splitlines() if not line.startswith(CONTINUED)] == records
        assert f"\n{CONTINUED}ERROR forged\n{CONTINUED}127.0.0.1:1 disconnected.\n" in err


def test_a_full_pipe_that_nobody_reads_does_not_stop_the_server() -> None:
    reading, writing = os.pipe()
    with (
        os.fdopen(reading, "rb") as pipe,
        ServerProgram(*HUBBUB, "serve", "relay", "--port", "0", stdout=writing) as server,
    ):
        os.close(writing)
        server.endpoint = address_in(pipe.readline())
        with server.peer() as alice, server.peer() as bob:
            # Who connected first is known once the second is heard.
            for peer, other in ((bob, alice), (alice, bob)):
                # Much more than the pipe holds.
                peer.send((b"x" * 9_999 + b"\n") * 100)
                assert len(other.exactly(1_000_000)) == 1_000_000
        assert server.stop() == ""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_standard_streams_that_are_closed_do_not_stop_the_server(closed: str) -> None:
    script = f'exec "$0" "$@" {closed}'
    endpoint = Address("127.0.0.1", free_port())
    with ServerProgram("sh", "-c", script, *HUBBUB, "serve", "relay", "--port", str(endpoint.port)) as server:
        wait_until(lambda: not refuses(endpoint), "server")
        assert_relays(endpoint)
        server.stop()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_connection_that_is_not_let_in_is_shown_with_the_reason(log_format: str) -> None:
    reason = "127.0.0.1 may not connect here"
    with hubbub_serve("--deny", "127.0.0.0/8", "--log-format", log_format) as server, server.peer() as peer:
        assert peer.rest().decode() == f"denied: {reason}\n"
        line = server.output.line().decode()
        fields = {"client": peer.name, "address": "127.0.0.1", "code": "denied", "reason": reason}
        if log_format == "json":
            assert parse(line) == {"event": "refused", **fields}
        else:
            assert line == f"{peer.name} was not let in (denied: {reason}).\n"
        assert server.stop() == ""


def test_as_json_the_end_of_a_client_that_lags_tells_how_far() -> None:
    with hubbub_serve("relay", "--log-format", "json") as server:
        reader = server.peer(receive_buffer=65_536)
        server.output.expect(rb'"connected", "client": "%s"' % reader.name.encode())
        with server.peer() as sender:
            sender.send(b"%d\n" % 10**99 * 60_000)
            sender.end()
            server.output.expect(rb'"disconnected", "client": "%s"' % sender.name.encode())
            # What is left of that line.
            server.output.line()
        reader.reset()
        event = parse(server.output.line())
        assert (event["event"], event["client"], event["code"]) == ("disconnected", reader.name, "lost")
        lag = int(str(event["lag_messages"])), int(str(event["lag_bytes"]))
        assert 0 < lag[0] < 60_000
        assert lag[0] * 101 <= lag[1]
