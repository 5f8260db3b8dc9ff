"""What `hubbub serve` prints about what happens."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
import trustme

from hubbub import Address, Observer
from hubbub.cli.report import CONTINUED, SAID_LIMIT, QuietReporter, reporting
from hubbub.cli.writer import QUEUE_LIMIT

from bench.peer import free_port
from support.certificates import CLIENT_NAME, SERVER_NAME, Certificates, make_certificates
from support.programs import (
    HUBBUB,
    WAIT_TIME,
    Output,
    ServerProgram,
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
        raise ValueError(message)

async def decoding_handler(client: hubbub.Client) -> None:
    async for message in client:
        raise ValueError(message.decode())
"""


class Speaker:
    """As much of a client as a report needs."""

    name = "192.0.2.1:40000"
    address = "192.0.2.1"
    certificate_name = None

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
        assert server.stop() == ""
        assert server.errors.rest() == b""


def test_the_first_line_is_where_the_server_listens() -> None:
    with hubbub_serve() as server:
        assert re.fullmatch(rb"Server started at: 127\.0\.0\.1:[1-9]\d*\n", server.started)


def test_a_client_that_the_server_ends_at_its_own_end_just_disconnects() -> None:
    with hubbub_serve() as server, server.new_peer() as peer:
        assert server.stop() == f"{peer.name} disconnected.\n"


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


def test_a_stream_that_ends_within_a_message_says_so() -> None:
    with hubbub_serve("relay", "--framing", "length2") as server, server.new_peer() as peer:
        peer.send(b"\0\5abc")
        peer.end()
        reason = "the stream ended 2 bytes before the end of a message"
        assert server.output.line().decode() == f"{peer.name} disconnected (incomplete: {reason}).\n"


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


def test_messages_of_bytes_are_shown_readably() -> None:
    with hubbub_serve("relay") as server, server.new_peer() as peer:
        peer.send("Grüße\r\n".encode() + b"\xff\0\x1b\n")
        assert server.output.lines(2) == [f"{peer.name} said: Grüße", rf"{peer.name} said: \xff\x00\x1b"]


def test_more_lines_than_anybody_reads_are_counted_instead_of_shown() -> None:
    with hubbub_serve("relay") as server:
        start = time.monotonic()
        with server.new_peer() as peer:
            peer.send(b"line\n" * 100_000)
        output = server.output.expect(rb".*disconnected\.\n")[0].decode()
        seconds = time.monotonic() - start
        shown = output.count(f"{peer.name} said: line\n")
        counts = re.findall(r"^(\d+) more messages not shown\.\n", output, re.MULTILINE)
        assert shown + sum(map(int, counts)) == 100_000
        assert 1_000 <= shown <= 1_000 * (seconds + 1)


def test_what_was_counted_is_told_when_there_is_time_again() -> None:
    with hubbub_serve("relay") as server, server.new_peer() as peer:
        peer.send(b"line\n" * 50_000)

        def is_told() -> bool:
            peer.send(b"one more\n")
            return b"more messages not shown.\n" in server.output.unread

        wait_until(is_told, "count")
        server.output.expect(rb"not shown\.\n%s said: one more\n" % peer.name.encode())


def test_only_messages_that_are_shown_are_decoded(capfd: pytest.CaptureFixture[str]) -> None:
    speaker: Any = Speaker()
    some, more, none = LazyMessages(SAID_LIMIT - 1), LazyMessages(1_000_000), LazyMessages(1_000_000)
    with reporting("text", quiet=False, verbose=False) as reporter:
        for messages in (some, more, none):
            reporter.received(speaker, messages)
    assert (some.decoded, more.decoded, none.decoded) == (SAID_LIMIT - 1, 1, 0)
    assert capfd.readouterr().out.count(" said: message ") == SAID_LIMIT


def test_messages_cost_a_quiet_server_nothing() -> None:
    # A server does not tell an observer of messages that does not override this.
    assert QuietReporter.received is Observer.received


def test_as_json_the_number_of_dropped_lines_is_an_object_too() -> None:
    speaker: Any = Speaker()
    with piped_standard_output() as reading, reporting("json", quiet=False, verbose=False) as reporter:
        # More than its queue and the pipe hold.
        for _ in range(QUEUE_LIMIT + 2_000):
            reporter.connected(speaker)
        output = Output(reading)

        def is_reported() -> bool:
            reporter.connected(speaker)
            return b'"dropped"' in output.unread

        wait_until(is_reported, "report of dropped lines")
        events = [parse(line) for line in output.expect(rb'.*"event": "dropped"[^\n]*\n')[0].splitlines()]
    assert events[-1]["event"] == "dropped"
    assert int(str(events[-1]["count"])) >= 1


def test_quiet_prints_only_where_the_server_listens() -> None:
    with hubbub_serve("relay", "--quiet") as server:
        assert_relays(server.endpoint)
        assert server.stop() == ""


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
            {"event": "started", "address": str(server.endpoint)},
            {"event": "connected", "client": peer.name, "address": "127.0.0.1", "certificate": None},
            {"event": "said", "client": peer.name, "message": 'say "\x1b"'},
            {
                "event": "disconnected",
                "client": peer.name,
                "address": "127.0.0.1",
                "messages": 1,
                "bytes": 9,
                "lag_messages": ANY,
                "lag_bytes": ANY,
                "code": "left",
                "reason": "the client closed the connection",
            },
        ]


def parse(line: bytes | str) -> dict[str, object]:
    """An event, without its time; that is one of the last minute."""
    event: dict[str, object] = json.loads(line)
    age = datetime.now(UTC) - datetime.fromisoformat(str(event.pop("time")))
    assert timedelta() <= age < timedelta(minutes=1)
    assert 0 <= float(str(event.pop("duration", 0))) < 60
    return event


def test_verbose_logs_why_each_client_ended() -> None:
    with hubbub_serve("--verbose") as server:
        with server.new_peer() as peer:
            pass
        assert server.errors.line().decode() == f"{peer.name} ended: left: the client closed the connection\n"


def test_a_handler_that_raises_is_logged_with_what_the_client_said_escaped(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(HANDLER)
    with hubbub_serve("module:handler", cwd=tmp_path) as server, server.new_peer() as peer:
        peer.send(b"\x1b[2J\n")
        assert server.output.line().decode() == f"{peer.name} said: \\x1b[2J\n"
        reason = r"failed: the handler raised ValueError: \x1b[2J"
        assert server.output.line().decode() == f"{peer.name} disconnected ({reason}).\n"
        assert server.errors.line().decode() == f"the handler of {peer.name} raised\n"
        assert server.errors.line().decode() == f"{CONTINUED}Traceback (most recent call last):\n"
        server.errors.expect(rb"    raise ValueError\(message\)\n    ValueError: \\x1b\[2J\n")


FORGED = b"x\nERROR forged\n127.0.0.1:1 disconnected."


def test_a_client_cannot_forge_lines_through_the_exception_of_a_handler(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(HANDLER)
    with hubbub_serve("module:decoding_handler", "--framing", "nul", "--verbose", cwd=tmp_path) as server:
        with server.new_peer() as peer:
            peer.send(FORGED + b"\0")
            quoted = r"x\nERROR forged\n127.0.0.1:1 disconnected."
            assert server.output.line().decode() == f"{peer.name} said: {quoted}\n"
            reason = f"failed: the handler raised ValueError: {quoted}"
            assert server.output.line().decode() == f"{peer.name} disconnected ({reason}).\n"
        assert server.stop() == ""
        lines = server.errors.rest().decode().splitlines()
    # Each record is a line, and what belongs to it is indented.
    records = [line for line in lines if not line.startswith(CONTINUED)]
    assert records == [f"the handler of {peer.name} raised", f"{peer.name} ended: {reason}"]
    assert [f"{CONTINUED}{line}" in lines for line in ("ERROR forged", "127.0.0.1:1 disconnected.")] == [True, True]


def test_as_json_a_log_record_is_one_line_whatever_a_client_has_sent(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(HANDLER)
    options = ("--framing", "nul", "--log-format", "json")
    with hubbub_serve("module:decoding_handler", *options, cwd=tmp_path) as server:
        with server.peer() as peer:
            peer.send(FORGED + b"\0")
            server.output.expect(rb'"event": "disconnected".*?\n')
        assert server.stop() == ""
        (line,) = server.errors.rest().splitlines()
    assert str(parse(line)["message"]).endswith(f"ValueError: {FORGED.decode()}")


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


def test_a_pipe_that_its_reader_closes_does_not_stop_the_server() -> None:
    reading, writing = os.pipe()
    with ServerProgram(*HUBBUB, "serve", "relay", "--port", "0", stdout=writing) as server:
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            server.endpoint = address_in(pipe.readline())
        assert_relays(server.endpoint)
        assert server.stop() == ""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_standard_streams_that_are_closed_do_not_stop_the_server(closed: str) -> None:
    script = f'exec "$0" "$@" {closed}'
    endpoint = Address("127.0.0.1", free_port())
    with ServerProgram("sh", "-c", script, *HUBBUB, "serve", "relay", "--port", str(endpoint.port)) as server:
        wait_until(lambda: not refuses(endpoint), "server")
        assert_relays(endpoint)
        server.stop()


# Connections that were not let in.


def test_a_connection_that_is_not_let_in_is_shown_with_the_reason() -> None:
    with hubbub_serve("--deny", "127.0.0.0/8") as server, server.peer() as peer:
        assert peer.rest() == b"127.0.0.1 may not connect here\n"
        reason = "denied: 127.0.0.1 may not connect here"
        assert server.output.line().decode() == f"{peer.name} was not let in ({reason}).\n"
        assert server.stop() == ""


def test_of_many_that_are_not_let_in_ten_a_second_are_shown_and_the_rest_counted() -> None:
    with hubbub_serve("--deny", "127.0.0.0/8") as server:
        start = time.monotonic()
        for _ in range(200):
            with server.peer() as peer:
                peer.rest()
        seconds = time.monotonic() - start
        output = server.stop()
    shown = output.count(" was not let in (denied: ")
    counts = re.findall(r"^(\d+) more connections that were not let in not shown\.\n", output, re.MULTILINE)
    assert shown + sum(map(int, counts)) == 200
    assert 10 <= shown <= 10 * (seconds + 1)


def test_their_number_is_told_when_there_is_time_again() -> None:
    with hubbub_serve("--deny", "127.0.0.0/8") as server:

        def is_told() -> bool:
            with server.peer() as peer:
                peer.rest()
            return b"not let in not shown.\n" in server.output.unread

        wait_until(is_told, "count")
        server.output.expect(rb"not shown\.\n%s:\d+ was not let in " % server.endpoint.host.encode())


def test_as_json_those_are_objects_too() -> None:
    with hubbub_serve("--deny", "127.0.0.0/8", "--log-format", "json") as server:
        names = []
        for _ in range(12):
            with server.peer() as peer:
                names.append(peer.name)
                peer.rest()
        events = [parse(line) for line in server.stop().splitlines()]
    refusal = {"event": "refused", "address": "127.0.0.1", "code": "denied", "reason": "127.0.0.1 may not connect here"}
    refused = [event for event in events if event["event"] == "refused"]
    # All of the first second are.
    assert refused[:10] == [{**refusal, "client": name} for name in names[:10]]
    counted = [event for event in events if event["event"] == "not shown"]
    assert {str(event["what"]) for event in counted} == {"connections that were not let in"}
    assert len(refused) + sum(int(str(event["count"])) for event in counted) == 12


def test_verbose_logs_each_that_is_not_let_in() -> None:
    with hubbub_serve("--deny", "127.0.0.0/8", "--verbose", "--quiet") as server, server.peer() as peer:
        assert peer.rest() == b"127.0.0.1 may not connect here\n"
        reason = "denied: 127.0.0.1 may not connect here"
        assert server.errors.line().decode() == f"{peer.name} was not let in: {reason}\n"
        assert server.stop() == ""


# What is reported of each client.


@contextmanager
def tls_client(server: ServerProgram, certificates: Certificates, certificate: Path) -> Iterator[ssl.SSLSocket]:
    """A client of the server that has shown a certificate."""
    context = certificates.client_context(certificate)
    with (
        socket.create_connection(server.endpoint, WAIT_TIME) as plain,
        context.wrap_socket(plain, server_hostname=SERVER_NAME) as client,
    ):
        yield client


def mutual_tls(certificates: Certificates, client_ca: Path) -> list[str]:
    """Options of a server that asks for certificates of an authority."""
    return [
        f"--tls-cert={certificates.server}",
        f"--tls-key={certificates.server_key}",
        f"--tls-client-ca={client_ca}",
    ]


def test_as_json_the_name_in_the_certificate_is_told(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    with hubbub_serve("--log-format", "json", *mutual_tls(certificates, certificates.client_ca)) as server:
        with tls_client(server, certificates, certificates.client):
            event = parse(server.output.line())
        assert (event["event"], event["certificate"], event["address"]) == ("connected", CLIENT_NAME, "127.0.0.1")


def test_a_certificates_name_cannot_act_on_a_terminal(tmp_path: Path) -> None:
    certificates, authority = make_certificates(tmp_path), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    authority.issue_cert(common_name="mine\x1b[2J\n").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "evil.pem"
    )
    with hubbub_serve(*mutual_tls(certificates, tmp_path / "authority.pem")) as server:
        with tls_client(server, certificates, tmp_path / "evil.pem"):
            line = server.output.line().decode()
        assert line.endswith(r" connected with the certificate of mine\x1b[2J\n." + "\n")


def test_a_reason_that_quotes_a_client_cannot_act_on_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(HANDLER)
    with hubbub_serve("module:handler", "--log-format", "json", cwd=tmp_path) as server, server.peer() as peer:
        assert parse(server.output.line())["event"] == "connected"
        peer.send("\x1b[2J\u2028\n".encode())
        assert parse(server.output.line())["message"] == "\x1b[2J\u2028"
        line = server.output.line().decode()
        assert r"the handler raised ValueError: \u001b[2J\u2028" in line
        assert parse(line)["reason"] == "the handler raised ValueError: \x1b[2J\u2028"


def test_as_json_each_end_has_its_figures() -> None:
    with hubbub_serve("relay", "--log-format", "json") as server:
        with server.peer() as peer:
            server.output.line()
            start = time.monotonic()
            peer.send(b"one\ntwo\n")
            said = [parse(server.output.line())["message"] for _ in range(2)]
            assert said == ["one", "two"]
            peer.end()
            peer.rest()
            event: dict[str, object] = json.loads(server.output.line())
        assert 0 <= float(str(event["duration"])) <= time.monotonic() - start + 1
        assert (event["messages"], event["bytes"], event["code"]) == (2, 8, "left")
        assert (event["lag_messages"], event["lag_bytes"]) == (0, 0)


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
