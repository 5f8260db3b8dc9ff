"""Streams of JSON lines, beside a naive reading of the same lines, and fed in every way in which they can be cut."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub import Entry, Missed, Position
from hubbub.client.objects import End, Item, Objects
from hubbub.log.as_json import json_line, message_lines, missed_of
from hubbub.log.chunk import Batch, Mark

TERM = "0123456789abcdef"
OTHER = "fedcba9876543210"
TIME = "2026-11-29T07:12:35.662848Z"
AMPLE = 2**20
END = json_line({"end": "shutdown", "reason": "server is closing", "retry": True})

Outcome = tuple[list[Item], End | None, str | None]


def lines_of(messages: Sequence[str | bytes], *, first: int = 1, term: str = TERM, sender: str = "alice") -> bytes:
    """Messages of one batch, as the server writes them."""
    return message_lines(Batch(Mark(0, 0), 0, 1795960129.5, sender, 0, 0), term, first, messages)


def read(pieces: Iterable[bytes], limit: int = AMPLE) -> Outcome:
    objects = Objects(limit)
    items = [item for piece in pieces for item in objects.feed(piece)]
    return items, objects.end, objects.fault


def read_however_cut(stream: bytes, limit: int = AMPLE) -> Outcome:
    """What becomes of a stream: the same whole, byte by byte and cut at any one place."""
    outcome = read([stream], limit)
    assert read([stream[at : at + 1] for at in range(len(stream))], limit) == outcome
    for at in range(1, len(stream)):
        assert read([stream[:at], stream[at:]], limit) == outcome
    return outcome


def naive(stream: bytes) -> Outcome:
    """What the complete lines of a stream tell, in the slow and simple way; all of them are valid."""
    items: list[Item] = []
    for line in stream.split(b"\n")[:-1]:
        fields = json.loads(line)
        if "end" in fields:
            return items, End(fields["end"], fields["reason"], fields["retry"]), None
        if "missed" in fields:
            items.append(Missed(Position.parse(fields["first"]), fields["missed"]))
            continue
        message: Any = fields["message"]
        if fields.get("base64"):
            message = b64decode(message)
        time = datetime.fromisoformat(fields["time"]).timestamp()
        items.append(Entry(Position.parse(fields["position"]), time, fields["sender"], message))
    return items, None, None


TEXTS = st.text(max_size=8) | st.sampled_from(['"}', '", "message": "', "\\", "\x7f\u2028", "}\n", '"}\n{"end'])
BATCHES = st.builds(
    lines_of,
    st.lists(TEXTS | st.binary(max_size=4), min_size=1, max_size=4),
    first=st.integers(1, 12),
    term=st.sampled_from([TERM, OTHER]),
    sender=st.sampled_from(["", "alice"]) | TEXTS,
)
GAPS = st.builds(
    lambda count, seq: json_line(missed_of(count, Position(TERM, seq))),
    st.none() | st.integers(0, 99),
    st.integers(0, 99),
)


@given(st.lists(BATCHES | GAPS | st.just(END), max_size=5), st.data())
def test_a_stream_is_read_as_by_a_naive_reader_wherever_it_is_cut(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    assert read([stream[start:end] for start, end in pairwise([0, *cuts, len(stream)])]) == naive(stream)


@given(st.lists(st.sampled_from([lines_of(["a", "b"]), lines_of(["c"], first=3), END, b"{}\n", b"\xff", b"\n", b"x"])))
def test_what_is_wrong_is_found_at_the_same_place_wherever_it_is_cut(parts: list[bytes]) -> None:
    read_however_cut(b"".join(parts))


def test_messages_gaps_and_the_end() -> None:
    stream = lines_of(["one", "two"]) + json_line(missed_of(None, Position(TERM, 9))) + lines_of([b"\xff"], first=10)
    items, end, fault = read_however_cut(stream + END + b"whatever comes behind it")
    assert items == [
        Entry(Position(TERM, 1), 1795960129.5, "alice", "one"),
        Entry(Position(TERM, 2), 1795960129.5, "alice", "two"),
        Missed(Position(TERM, 9), None),
        Entry(Position(TERM, 10), 1795960129.5, "alice", b"\xff"),
    ]
    assert end == End("shutdown", "server is closing", retry=True)
    assert fault is None


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "null",
        "[]",
        '{"new": 1}',
        '{"first": "7"}',
        "7",
        '"end"',
        "hello",
        '{"message": "a"',
        "[" * 100_000,
        '{"position": ' + "9" * 5000 + "}",
        f'{{"position": "{TERM}:01", "time": "{TIME}", "sender": "", "message": "a"}}',
        f'{{"position": "{TERM}:1", "time": "{TIME[:-1]}", "sender": "", "message": "a"}}',
        f'{{"position": "{TERM}:1", "time": 7, "sender": "", "message": "a"}}',
        f'{{"position": "{TERM}:1", "time": "{TIME}", "sender": 7, "message": "a"}}',
        f'{{"position": "{TERM}:1", "time": "{TIME}", "sender": "", "message": 7}}',
        f'{{"position": "{TERM}:1", "time": "{TIME}", "sender": "", "message": "?", "base64": true}}',
        f'{{"position": 7, "time": "{TIME}", "sender": "", "message": "a"}}',
        f'{{"position": "{TERM}:1", "time": "{TIME}", "sender": "", "message": "a"}} ',
        f'{{"missed": -1, "first": "{TERM}:1"}}',
        f'{{"missed": true, "first": "{TERM}:1"}}',
        '{"missed": 1}',
        '{"end": "closed", "reason": "", "retry": "no"}',
        '{"end": 7, "reason": "", "retry": false}',
        '{"end": "closed", "reason": 7, "retry": false}',
        # It begins as the next line of the batch does.
        lines_of(["b"], first=2).decode().removesuffix('"}\n'),
        lines_of(["b"], first=2).decode().removesuffix("\n") + "}",
        lines_of(["b"], first=2).decode().replace('"b"', '"\t"').removesuffix("\n"),
    ],
)
def test_what_comes_before_a_wrong_line_counts_and_nothing_behind_it(wrong: str) -> None:
    before = lines_of(["a"])
    items, end, fault = read([before, wrong.encode() + b"\n" + lines_of(["c"], first=2)])
    assert (items, end) == (naive(before)[0], None)
    assert fault == f"a line is not an object of hubbub: {wrong[:80]!r}"


def test_a_wrong_line_is_shown_without_what_nobody_would_see() -> None:
    _, _, fault = read(["a\u3164b\n".encode()])
    assert fault is not None
    assert "\u3164" not in fault


def test_bytes_that_are_not_utf8_are_an_error() -> None:
    before = lines_of(["a"])
    assert read([before + b'{"\xff"}\n' + before]) == (*naive(before)[:2], "a line is not UTF-8")


def test_a_line_may_have_so_many_bytes_and_no_more() -> None:
    line = lines_of(["x" * 50])
    size = len(line) - 1
    assert read_however_cut(line * 2, size) == naive(line * 2)
    longer = lines_of(["x" * 51])
    fault = f"a line has more than {size} bytes"
    assert read_however_cut(line + longer + line, size) == (*naive(line)[:2], fault)
    # Its end need not come.
    assert read([line + b" " * size], size) == naive(line)
    assert read([line + b" " * (size + 1)], size) == (*naive(line)[:2], fault)
    # Nobody reads how long one is behind the end, or behind one that is wrong.
    assert read([END + b" " * (size + 1)], size) == naive(END)
    assert read([b"null\n" + b" " * (size + 1)], size) == ([], None, "a line is not an object of hubbub: 'null'")


def test_it_knows_whether_it_stands_within_a_line() -> None:
    objects = Objects(AMPLE)
    line = lines_of(["a"])
    objects.feed(line + line[:5])
    assert objects.partial
    objects.feed(line[5:])
    assert not objects.partial


def test_fields_that_are_not_known_are_ignored() -> None:
    fields = {"position": f"{TERM}:1", "time": TIME, "sender": "", "message": "a", "new": [1, {"end": 2}]}
    stream = json_line(fields)
    assert read([stream]) == naive(stream)


def test_other_ways_to_write_the_same_are_read_too() -> None:
    """A program in front may have written the objects again."""
    message = b64encode(b"\xff").decode()
    fields = {"message": message, "base64": True, "sender": "é", "time": TIME, "position": f"{TERM}:1"}
    stream = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    assert read([stream]) == naive(stream)
