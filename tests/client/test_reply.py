"""A request over HTTP and its answer, as bytes."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from hubbub.client.reply import Reply

OK = b"HTTP/1.1 200 OK\r\n"
TYPE = b"Content-Type: Application/X-NDJSON; charset=utf-8\r\n"


def asked() -> Reply:
    reply = Reply()
    reply.request("/ais/json?since=1", {b"Host": b"h", b"Authorization": b"Bearer secret"})
    return reply


def read(pieces: Iterable[bytes]) -> tuple[Reply, bytes]:
    reply = asked()
    return reply, b"".join([reply.feed(piece) for piece in pieces])


def read_however_cut(stream: bytes) -> tuple[Reply, bytes]:
    """An answer and its body: the same whole, byte by byte and cut at any one place."""
    reply, body = read([stream])
    cuts = [
        [stream[at : at + 1] for at in range(len(stream))],
        *([stream[:at], stream[at:]] for at in range(len(stream))),
    ]
    for pieces in cuts:
        other, found = read(pieces)
        assert (other.status, other.headers, other.ended, other.fault, found) == (
            reply.status,
            reply.headers,
            reply.ended,
            reply.fault,
            body,
        )
    return reply, body


def test_a_request_has_its_headers_and_no_body() -> None:
    request = Reply().request("/ais/json?since=1", {b"Host": b"h", b"Authorization": b"Bearer secret"})
    assert request == b"GET /ais/json?since=1 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer secret\r\n\r\n"


def test_a_body_goes_on_until_the_connection_ends() -> None:
    reply, body = read_however_cut(OK + TYPE + b"Connection: close\r\n\r\none\ntwo\n")
    assert (reply.status, reply.kind, reply.ended, reply.fault) == (200, "application/x-ndjson", False, None)
    assert body == b"one\ntwo\n"


@pytest.mark.parametrize(
    "body",
    [
        b"Transfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n4\r\ntwo\n\r\n0\r\n\r\n",
        b"Content-Length: 8\r\n\r\none\ntwo\n",
    ],
)
def test_a_body_may_say_where_it_ends(body: bytes) -> None:
    reply, found = read_however_cut(OK + TYPE + body + b"HTTP/1.1 408 Too late\r\n\r\n")
    assert (found, reply.ended, reply.status, reply.fault) == (b"one\ntwo\n", True, 200, None)


@pytest.mark.parametrize(
    ("stream", "ended", "reusable"),
    [
        (OK + b"Content-Length: 4\r\n\r\none\n", True, True),
        (OK + b"Content-Length: 4\r\nConnection: close\r\n\r\none\n", True, False),
        (OK + b"Content-Length: 4\r\n\r\none\nHTTP", True, False),
        (OK + b"\r\none\n", True, False),
        (OK + b"Content-Length: 5\r\n\r\none\n", False, False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\none\n", False, False),
        (OK, False, False),
        (b"", False, False),
        (b"Hello\r\n", False, False),
    ],
)
def test_what_the_end_of_the_connection_leaves(stream: bytes, *, ended: bool, reusable: bool) -> None:
    reply, _ = read([stream])
    assert reply.reusable is reusable
    assert reply.end() is reply.end() is reply.ended is ended
    assert reply.reusable is reusable


def test_what_comes_before_the_answer_is_none() -> None:
    reply, body = read_however_cut(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK + TYPE + b"\r\none\n")
    assert (reply.status, body) == (200, b"one\n")


@pytest.mark.parametrize(
    ("stream", "fault"),
    [
        (b"Hello\r\n", "the answer is not HTTP: it begins with 'H"),
        (b"\x16\x03\x01", r"the answer is not HTTP: it begins with '\\x16"),
        (b"HTTP/9.9 x\r\n\r\n", "the answer is not valid HTTP: "),
        (OK + b"a header\r\n\r\n", "the answer is not valid HTTP: "),
        (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "the answer is not valid HTTP: "),
        (OK + b"X: " + b"x" * 20_000, "the answer is not valid HTTP: "),
        (OK + TYPE + b"Transfer-Encoding: chunked\r\n\r\nno size\r\n", "the answer is not valid HTTP: "),
    ],
)
def test_what_is_not_an_answer_is_told(stream: bytes, fault: str) -> None:
    for pieces in ([stream], [stream[at : at + 1] for at in range(len(stream))]):
        reply, body = read(pieces)
        assert body == b""
        assert reply.fault is not None
        assert reply.fault.startswith(fault)


def test_what_came_before_a_fault_counts() -> None:
    reply, body = read_however_cut(OK + TYPE + b"Transfer-Encoding: chunked\r\n\r\n4\r\none\n\r\nno size\r\n")
    assert body == b"one\n"
    assert reply.fault


@pytest.mark.parametrize(
    ("status", "passing"),
    [
        *((status, False) for status in (204, 301, 400, 401, 403, 404, 405, 410, 426, 501, 505)),
        *((status, True) for status in (408, 425, 429, 500, 502, 503, 504, 507, 520)),
    ],
)
def test_a_status_says_whether_to_ask_again(status: int, passing: bool) -> None:
    reply, _ = read([b"HTTP/1.1 %d Words\r\nContent-Length: 0\r\n\r\n" % status])
    assert reply.passing is passing


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (b"", 0),
        (b"Retry-After: 7\r\n", 7),
        (b"Retry-After: -7\r\n", 0),
        (b"Retry-After: 1e9\r\n", 0),
        (b"Retry-After: " + b"9" * 400 + b"\r\n", 0),
        (b"Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n", 0),
    ],
)
def test_an_answer_may_say_when_to_ask_again(header: bytes, seconds: float) -> None:
    reply, _ = read([b"HTTP/1.1 503 Busy\r\n" + header + b"\r\n"])
    assert reply.retry_after == seconds


@pytest.mark.parametrize(
    ("head", "body", "words"),
    [
        (b"404 Not Found\r\nContent-Type: text/plain; charset=utf-8", b"no room\nmore", "404 Not Found: no room"),
        (b"404 Not Found\r\nContent-Type: text/plain", b"", "404 Not Found"),
        (b"502 Bad Gateway\r\nContent-Type: text/html", b"<html>", "502 Bad Gateway"),
        (b"404 \r\nContent-Type: text/plain", b"\x1b[2J\xff", "404: \\x1b[2J\ufffd"),
        (b"301 Moved\r\nLocation: https://h/ais", b"", "301 Moved; it points to https://h/ais"),
        (b"304 Not Modified", b"", "304 Not Modified"),
    ],
)
def test_an_answer_in_one_line(head: bytes, body: bytes, words: str) -> None:
    reply, _ = read([b"HTTP/1.1 " + head + b"\r\n\r\n"])
    assert reply.words(body) == words
