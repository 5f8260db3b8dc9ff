"""TLS records, given out a few at a time however they arrive, and those that bring no data are counted."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.values.fixed_limits import TLS_BARREN_LIMIT, TLS_BARREN_RATE
from hubbub.wire.tls_records import LONGEST_RECORD, RECORD_HEADER, RECORDS_AT_ONCE, Records, TlsError


def record(size: int) -> bytes:
    return struct.pack(">BHH", 23, 0x0303, size) + b"x" * size


@st.composite
def cut_streams(draw: st.DrawFn) -> tuple[list[int], list[bytes]]:
    """The sizes of some records, and their stream, cut at some places."""
    sizes = draw(st.lists(st.sampled_from([0, 1, 5, 22, 300]), max_size=3 * RECORDS_AT_ONCE))
    stream = b"".join(map(record, sizes))
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    return sizes, [stream[start:end] for start, end in pairwise([0, *cuts, len(stream)])]


def whole_records(stream: bytes) -> int:
    """How many records are in a stream that begins with one, the last of them perhaps cut."""
    count = 0
    while stream:
        stream = stream[RECORD_HEADER + int.from_bytes(stream[3:RECORD_HEADER], "big") :]
        count += 1
    return count


@given(cut_streams())
def test_all_that_arrives_is_given_out_in_order_and_few_records_at_a_time(cut: tuple[list[int], list[bytes]]) -> None:
    sizes, pieces = cut
    records = Records()
    given_out = b""
    for piece in pieces:
        buffer = bytearray(piece)
        records.add(memoryview(buffer))
        # Some is given out at once, the rest later.
        taken = [bytes(records.take())]
        records.keep()
        buffer[:] = b"?" * len(buffer)
        while more := records.take():
            taken.append(bytes(more))
        for part in taken:
            before = whole_records(given_out)
            given_out += part
            assert whole_records(given_out) - before <= RECORDS_AT_ONCE
        # No more than a header that is cut stays.
        assert len(records.arrived) < RECORD_HEADER
    assert given_out == b"".join(map(record, sizes))
    assert records.whole == len(sizes)


@given(cut_streams())
def test_of_whole_records_one_that_is_cut_stays_until_its_end_arrives(cut: tuple[list[int], list[bytes]]) -> None:
    sizes, pieces = cut
    records = Records()
    arrived = given_out = b""
    for piece in pieces:
        arrived += piece
        records.add(piece)
        while more := records.take(whole=True):
            given_out += more
        complete = b""
        for size in sizes:
            if len(complete) + RECORD_HEADER + size <= len(arrived):
                complete += record(size)
            else:
                break
        assert given_out == complete
    assert records.whole == len(sizes)


def take_all(records: Records, data: bytes) -> None:
    records.add(data)
    while records.take():
        pass


def test_as_many_records_without_data_may_come_at_once_as_the_limit_says() -> None:
    records = Records()
    take_all(records, record(22) * TLS_BARREN_LIMIT)
    records.settle(100.0)
    take_all(records, record(22))
    with pytest.raises(TlsError, match=r"^the client sends too many TLS records without data, such as key updates$"):
        records.settle(100.0)


def test_a_record_without_data_may_come_now_and_then_for_ever() -> None:
    records = Records()
    now = 100.0
    for _ in range(10 * TLS_BARREN_LIMIT):
        take_all(records, record(22))
        records.settle(now)
        now += 1 / TLS_BARREN_RATE


def test_what_is_not_used_of_the_rate_makes_up_for_no_more_than_the_limit() -> None:
    records = Records()
    take_all(records, record(22))
    records.settle(100.0)
    take_all(records, record(22) * TLS_BARREN_LIMIT)
    records.settle(1_000_000.0)
    take_all(records, record(22))
    with pytest.raises(TlsError):
        records.settle(1_000_000.0)


def test_records_that_bring_data_are_not_counted() -> None:
    records = Records()
    for _ in range(10):
        take_all(records, record(22) * RECORDS_AT_ONCE)
        records.whole -= RECORDS_AT_ONCE
        records.settle(100.0)
    take_all(records, record(22) * TLS_BARREN_LIMIT)
    records.settle(100.0)


def test_a_record_whose_end_has_not_arrived_is_not_counted_yet() -> None:
    records = Records()
    large = record(300)
    for _ in range(2 * TLS_BARREN_LIMIT):
        take_all(records, large[:100])
        assert records.whole == 0
        records.settle(100.0)
        take_all(records, large[100:])
        records.whole -= 1
        records.settle(100.0)


def test_what_is_put_back_is_given_out_again_before_what_came_later() -> None:
    records = Records()
    stream = record(22) + record(300)
    take_all(records, stream[:100])
    records.add(b"")
    records.put_back(stream[RECORD_HEADER + 22 : 100])
    assert records.whole == 0
    records.add(stream[100:])
    assert bytes(records.take()) == record(300)
    assert records.whole == 1


@pytest.mark.parametrize("size", [LONGEST_RECORD, LONGEST_RECORD + 1])
def test_a_record_that_is_longer_than_any_may_be_is_refused_at_its_header(size: int) -> None:
    records = Records()
    records.add(record(size)[:RECORD_HEADER])
    if size > LONGEST_RECORD:
        with pytest.raises(TlsError, match=r"^the client sends a TLS record that is too long$"):
            records.take()
    else:
        assert len(records.take()) == RECORD_HEADER
