"""The bodies of requests: where they end, and what is no body."""

from __future__ import annotations

from http import HTTPStatus
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.web.body import FEED_SIZE, PARTS_LIMIT, Body
from hubbub.web.requests import Problem, Request, Requests

HEAD = b"POST /root HTTP/1.1\r\nHost: a\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def sized(body: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end


def read(*pieces: bytes, limit: int = 1000) -> tuple[bytes, bool, Requests]:
    """The body of the first request in a stream of pieces, whether it is complete, and what comes behind it."""
    requests = Requests(limit)
    request: Request | None = None
    body: Body | None = None
    found = b""
    for piece in pieces:
        requests.feed(piece)
        if body is None and (request := requests.next()) is not None:
            body = Body(request, requests)
        while body is not None and not body.complete and (data := body.next()):
            found += data
    assert body is not None
    return found, body.complete, requests


def problem_of(*pieces: bytes, limit: int = 1000) -> Problem:
    with pytest.raises(Problem) as caught:
        read(*pieces, limit=limit)
    return caught.value


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(each % (len(stream) + 1) for each in cuts), len(stream)]
    return [stream[start:end] for start, end in pairwise(places)]


STREAMS = [
    (sized(b"one\ntwo"), b"one\ntwo"),
    (sized(b""), b""),
    (chunked(b"one\n", b"t", b"wo"), b"one\ntwo"),
    (chunked(), b""),
    (chunked(b"one", end=b"0;x=y\r\nX-Sum: 7\r\nY: z\r\n\r\n"), b"one"),
    (chunked(b"\r\n\r\n", b"0\r\n\r\n"), b"\r\n\r\n0\r\n\r\n"),
]


@pytest.mark.parametrize(("stream", "body"), STREAMS)
@given(cuts=st.lists(st.integers(0, 1000), max_size=6))
def test_a_body_is_found_wherever_it_is_cut_and_what_follows_it_stays(
    stream: bytes, body: bytes, cuts: list[int]
) -> None:
    for pieces in (cut(stream + NEXT, cuts), [bytes((byte,)) for byte in stream + NEXT], [stream + NEXT], [stream]):
        found, complete, requests = read(*pieces)
        assert (found, complete) == (body, True)
        request = requests.next()
        assert (request is None) is (pieces == [stream])
        assert not requests.begun


@pytest.mark.parametrize("stream", [sized(b"one")[:-1], chunked(b"one")[:-1], chunked(b"one", end=b"")])
def test_a_part_of_a_body_is_given_out_and_not_complete(stream: bytes) -> None:
    found, complete, _ = read(stream)
    assert (found, complete) == (b"one"[: 2 if b"Length" in stream else 3], False)


def test_many_small_chunks_are_given_out_together_and_not_all_at_once() -> None:
    requests = Requests(1000)
    requests.feed(chunked(*[b"x"] * 2 * PARTS_LIMIT))
    request = requests.next()
    assert request is not None
    body = Body(request, requests)
    assert [body.next(), body.next(), body.next()] == [b"x" * PARTS_LIMIT, b"x" * PARTS_LIMIT, b""]
    assert body.complete


def test_a_body_may_be_larger_than_what_the_parser_is_given_at_once() -> None:
    large = b"x" * 3 * FEED_SIZE
    for stream in (sized(large), chunked(large), chunked(large[1:], b"x")):
        assert read(stream + NEXT)[:2] == (large, True)


@pytest.mark.parametrize(
    "stream",
    [
        CHUNKED + b"4\r\nonexx\r\n0\r\n\r\n",
        CHUNKED + b"4\r\none\n\n0\r\n\r\n",
        CHUNKED + b"3\none\r\n0\r\n\r\n",
        CHUNKED + b"-3\r\none\r\n0\r\n\r\n",
        CHUNKED + b"+3\r\none\r\n0\r\n\r\n",
        CHUNKED + b"0x3\r\none\r\n0\r\n\r\n",
        CHUNKED + b" 3\r\none\r\n0\r\n\r\n",
        CHUNKED + b"\r\none\r\n0\r\n\r\n",
        CHUNKED + b"f" * 21 + b"\r\none\r\n0\r\n\r\n",
        CHUNKED + b"3;a\nb\r\none\r\n0\r\n\r\n",
        # These end in another place for a program that wants CR LF.
        chunked(b"one", end=b"0\r\n\n"),
        chunked(b"one", end=b"0\r\nX: y\n\n"),
        chunked(b"one", end=b"0\r\nX: y\n\r\n"),
        chunked(b"one", end=b"0\r\nX y\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("bytewise", [False, True])
def test_what_others_could_read_in_another_way_is_no_body(stream: bytes, bytewise: bool) -> None:
    pieces = [bytes((byte,)) for byte in stream] if bytewise else [stream]
    assert problem_of(*pieces).status == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("stream", [CHUNKED + b"3;" + b"x" * 2000, chunked(end=b"0\r\nX: " + b"y" * 2000)])
def test_what_chunks_have_beside_their_data_is_bounded(stream: bytes) -> None:
    assert problem_of(stream).status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    assert read(stream, limit=2100)[1] is False


def test_what_comes_before_an_error_is_given_out_first() -> None:
    requests = Requests(1000)
    requests.feed(chunked(b"one", end=b"x\r\n"))
    request = requests.next()
    assert request is not None
    body = Body(request, requests)
    assert body.next() == b"one"
    for _ in range(2):
        with pytest.raises(Problem, match="illegal chunk header"):
            body.next()
    assert not body.complete


PARTS = [b"3", b"0", b"\r\n", b"\n", b"\r", b";x", b"one", b"X: y", b"fffffff", b"\0"]


@given(st.lists(st.sampled_from(PARTS), max_size=20).map(b"".join), st.lists(st.integers(0, 1000), max_size=4))
def test_bytes_are_the_same_body_or_problem_wherever_they_are_cut(data: bytes, cuts: list[int]) -> None:
    outcomes: set[object] = set()
    for pieces in (cut(data, cuts), [bytes((byte,)) for byte in data], [data]):
        try:
            found, complete, requests = read(CHUNKED, *pieces)
            outcomes.add((found, complete, requests.begun if complete else None))
        except Problem as problem:
            outcomes.add(problem.status)
    assert len(outcomes) == 1
