"""What is a request, and what is not."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.web.requests import Problem, Request, Requests

HEAD = b"GET /root/sse?since=3 HTTP/1.1\r\nHost: localhost\r\nX-Name: a\r\n\r\n"
READ = Request("GET", "/root/sse?since=3", {"host": "localhost", "x-name": "a"})


def fed(*pieces: bytes, limit: int = 1000) -> Requests:
    requests = Requests(limit)
    for piece in pieces:
        requests.feed(piece)
    return requests


def problem_of(data: bytes, *, limit: int = 1000) -> Problem:
    with pytest.raises(Problem) as caught:
        fed(data, limit=limit).next()
    return caught.value


@given(st.lists(st.integers(0, len(HEAD)), max_size=6))
def test_requests_are_found_wherever_they_are_cut(cuts: list[int]) -> None:
    requests, found = fed(), []
    stream = HEAD + b"\r\n" + HEAD
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(stream)], strict=True):
        requests.feed(stream[start:end])
        while request := requests.next():
            found.append(request)
    assert found == [READ, READ]
    assert not requests.begun


def test_what_is_said_again_is_parsed_once_unless_it_has_a_state() -> None:
    plain = fed(HEAD * 2)
    assert plain.next() is plain.next()
    chunked = fed((HEAD[:-2] + b"Transfer-Encoding: chunked\r\n\r\n") * 2)
    first, second = chunked.next(), chunked.next()
    assert first == second
    assert first is not second


def test_a_part_of_a_request_is_none_yet() -> None:
    requests = fed(HEAD[:-1])
    assert requests.next() is None
    assert requests.begun


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("target", ["/ais/raw", "/ais/raw?since=0123456789abcdef:7"])
def test_a_line_without_a_version_asks_for_the_bare_stream(target: str, end: bytes) -> None:
    assert fed(b"GET %b" % target.encode() + end).next() == Request("GET", target, bare=True, closes=True)


@pytest.mark.parametrize(
    "line", [b"GET /ais/json", b"get /ais/raw", b"POST /ais/raw", b"GET /raw", b"GET  /ais/raw", b"GET /ais/raw x"]
)
def test_no_other_line_is_answered_without_a_version(line: bytes) -> None:
    assert fed(line + b"\n").next() is None
    assert problem_of(line + b"\r\n\r\n").status == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize(
    ("data", "last"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Close\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", True),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", True),
    ],
)
def test_nothing_follows_a_request_that_ends_its_connection_or_has_a_body(data: bytes, last: bool) -> None:
    request = fed(data).next()
    assert request is not None
    assert request.last is last


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
        b"\x16\x03\x01\x02\r\n\r\n",
    ],
)
def test_what_others_could_read_in_another_way_is_no_request(head: bytes) -> None:
    assert problem_of(head).status == HTTPStatus.BAD_REQUEST


def test_a_transfer_encoding_that_is_not_known_is_not_implemented() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"
    assert problem_of(head).status == HTTPStatus.NOT_IMPLEMENTED


@pytest.mark.parametrize("data", [HEAD, HEAD[:-4], b"x" * len(HEAD)])
def test_a_head_is_as_long_as_it_may_be(data: bytes) -> None:
    assert problem_of(data, limit=len(data) - 1).status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


def test_a_line_that_may_be_a_bare_request_in_many_ways_is_looked_at_once() -> None:
    data = b"GET /" + b"/raw?" * 13_000
    assert problem_of(data).status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    assert problem_of(data + b"\r\n").status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    assert fed(data, limit=len(data)).next() is None


def test_a_head_may_come_byte_by_byte() -> None:
    requests = fed()
    for byte in HEAD[:-1]:
        requests.feed(bytes((byte,)))
        assert requests.next() is None
    requests.feed(HEAD[-1:])
    assert requests.next() == READ


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a/b?c/d", "/a/b"),
        ("http://localhost:80/a/b?c", "/a/b"),
        ("http://localhost", "/"),
        ("//[", "//["),
        ("*", "//"),
        ("//\u2100", "//\u2100"),
    ],
)
def test_a_target_has_a_path_whatever_it_is(target: str, path: str) -> None:
    assert Request("GET", target).path == path


def test_a_head_of_the_limit_is_read() -> None:
    assert fed(HEAD, limit=len(HEAD)).next() == READ


def test_a_query_has_parameters_that_are_known_each_once() -> None:
    assert Request("GET", "/a/b?since=2026-11-28T08:00:00+01:00&poll=").query({"since", "poll"}) == {
        "since": "2026-11-28T08:00:00+01:00",
        "poll": "",
    }
    for target, reason in (
        ("/a/b?sinse=1", "the parameter 'sinse' is not known; use poll, since"),
        ("/a/b?poll=1&poll=0", "a parameter occurs twice"),
    ):
        with pytest.raises(Problem) as caught:
            Request("GET", target).query({"since", "poll"})
        assert caught.value.reason == reason


PARTS = [
    b"GET ",
    b"/",
    b"[",
    b"//",
    b"?a=",
    b"%",
    b" HTTP/1.1",
    b"\r\n",
    b"\n",
    b"\r",
    b":",
    b"Host: a",
    b"\xe2\x84\x80",
    b"/raw",
]


@given(st.lists(st.sampled_from(PARTS)).map(b"".join), st.binary(max_size=50))
def test_bytes_are_a_request_a_problem_or_a_part(first: bytes, second: bytes) -> None:
    requests = fed()
    for data in (first, second):
        requests.feed(data)
        try:
            while (request := requests.next()) is not None:
                assert request.path.startswith("/")
                request.query({"a"})
        except Problem:
            return
