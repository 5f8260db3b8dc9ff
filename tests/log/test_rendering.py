"""The messages of a log in the framing of some of its readers."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.framing import ByteLines, BytesFraming, Delimited, LengthPrefixed, Lines, Raw
from hubbub.log.chunk import CannotTell, Chunk

from support.logs import FRAMING, OTHER_FRAMING, Failing, Said, Source, broadcasts, rendering_of

NOTICE = "{missed} missed"


def rendered(framing: BytesFraming, *batches: list[bytes], notice: str | None = NOTICE) -> bytes:
    """A chunk of such batches in a framing."""
    return rendering_of(FRAMING, framing, notice).wire_of(chunk_of(*batches)).data


def chunk_of(*batches: list[bytes], framing: BytesFraming = FRAMING) -> Chunk:
    source = Source(framing=framing)
    source.repeat(Said(messages, 0, placed=True, flushed=False) for messages in batches)
    chunk = source.flush()
    assert chunk is not None
    return chunk


def refusing(*refused: bytes, error: type[Exception] = ValueError) -> Failing:
    """A framing that cannot carry some messages."""

    def fails(message: bytes) -> None:
        if message in refused:
            raise error(f"not {message!r}")

    return Failing(fails)


def test_a_reader_in_the_framing_of_the_log_shares_its_bytes() -> None:
    chunk = chunk_of([b"a", b"b"])
    assert rendering_of(FRAMING, ByteLines(), NOTICE).wire_of(chunk) is chunk.wire
    assert not chunk.renderings


@pytest.mark.parametrize("framing", [FRAMING, OTHER_FRAMING], ids=["own", "other"])
def test_the_data_of_a_chunk_are_its_bytes_in_one_piece(framing: BytesFraming) -> None:
    chunk = chunk_of([b"a", b"b"], [b"c"])
    rendering = rendering_of(FRAMING, framing, NOTICE)
    assert rendering.data_of(chunk) is rendering.wire_of(chunk).data
    assert rendering.data_of(chunk) == framing.encode([b"a", b"b", b"c"])


@given(st.lists(broadcasts(), min_size=1, max_size=8))
def test_a_rendering_has_the_same_messages_batch_by_batch(batches: list[Said]) -> None:
    chunk = chunk_of(*(one.messages for one in batches))
    wire = rendering_of(FRAMING, OTHER_FRAMING, NOTICE).wire_of(chunk)
    for index, batch in enumerate(batches):
        assert wire.data[wire.start(index) : wire.ends[index]] == OTHER_FRAMING.encode(batch.messages)
    assert wire.ends[-1] == len(wire.data)


def test_a_chunk_is_rendered_once_for_all_readers_of_a_rendering() -> None:
    framing = refusing()
    rendering = rendering_of(FRAMING, framing, NOTICE)
    chunk = chunk_of([b"a", b"b"], [b"c"])
    assert rendering.wire_of(chunk) is rendering.wire_of(chunk)
    assert framing.encoded == [[b"a", b"b"], [b"c"]]


def test_a_chunk_has_other_bytes_for_another_rendering() -> None:
    chunk = chunk_of([b"a"])
    one, other = rendering_of(FRAMING, OTHER_FRAMING, NOTICE), rendering_of(FRAMING, Delimited(b"\0"), NOTICE)
    assert [one.wire_of(chunk).data, other.wire_of(chunk).data] == [b"a|", b"a\0"]
    assert set(chunk.renderings) == {one, other}


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (Delimited(b"\0"), LengthPrefixed(2)),
        (LengthPrefixed(2), Delimited(b"\0")),
        (ByteLines(), Delimited(b"\0")),
        (ByteLines(), Raw()),
        (LengthPrefixed(1), Raw()),
    ],
    ids=str,
)
def test_messages_of_bytes_are_put_into_any_framing(source: BytesFraming, target: BytesFraming) -> None:
    messages = [b"one", b"", b"two"]
    wire = rendering_of(source, target, NOTICE).wire_of(chunk_of(messages, framing=source))
    assert wire.data == target.encode(messages)


def test_messages_of_a_framing_that_cannot_tell_them_apart_are_put_into_another_whole() -> None:
    chunk = chunk_of([b"a\nb"], [b"c"], framing=Raw())
    assert rendering_of(Raw(), LengthPrefixed(1), NOTICE).wire_of(chunk).data == b"\3a\nb\1c"


def test_text_is_put_into_lines_of_another_kind() -> None:
    framing, batch = Lines(crlf=True), chunk_of([b"a"]).batches[0]
    assert rendering_of(Lines(), framing, NOTICE).render(batch, ["é", ""]) == "é\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("start", "wire"), [(0, b"a|b|c|"), (1, b"b|c|"), (2, b"c|"), (3, b"")], ids=["all", "two", "one", "none"]
)
def test_the_rest_of_a_batch_starts_at_any_message(start: int, wire: bytes) -> None:
    chunk = chunk_of([b"before"], [b"a", b"b", b"c"], [b"after"])
    assert rendering_of(FRAMING, OTHER_FRAMING, NOTICE).rest(chunk, 1, start) == wire
    # It is to be had in the framing of the log, too.
    assert rendering_of(FRAMING, FRAMING, NOTICE).rest(chunk, 1, start) == wire.replace(b"|", b"\n")


# Messages that the framing cannot carry.


@pytest.mark.parametrize("error", [ValueError, KeyError, TypeError, ZeroDivisionError, RecursionError])
@pytest.mark.parametrize(
    ("messages", "wire"),
    [
        ([b"x"], b"1 missed|"),
        ([b"a", b"x", b"b"], b"a|1 missed|b|"),
        ([b"x", b"a", b"x", b"x"], b"1 missed|a|2 missed|"),
        ([b"x", b"x", b"x"], b"3 missed|"),
        ([b"a", b"b"], b"a|b|"),
    ],
    ids=["alone", "between", "around", "all", "none"],
)
def test_whatever_encoding_raises_the_message_is_told_as_missed_in_its_place(
    error: type[Exception], messages: list[bytes], wire: bytes
) -> None:
    assert rendered(refusing(b"x", error=error), messages) == wire
    # As the rest of a batch, too, which another reader joined in the middle of.
    rendering = rendering_of(FRAMING, refusing(b"x", error=error), NOTICE)
    assert rendering.rest(chunk_of([b"before", *messages]), 0, 1) == wire


@given(st.lists(broadcasts((b"a", b"b", b"x", b"y")), min_size=1, max_size=6))
def test_each_message_or_a_notice_that_counts_it_has_its_place(batches: list[Said]) -> None:
    expected: list[bytes] = []
    for batch in batches:
        missed = 0
        for message in [*batch.messages, None]:
            if message in (b"x", b"y"):
                missed += 1
                continue
            if missed:
                expected.append(b"%d missed" % missed)
                missed = 0
            if message is not None:
                expected.append(message)
    wire = rendered(refusing(b"x", b"y"), *(batch.messages for batch in batches))
    assert wire == OTHER_FRAMING.encode(expected)


def test_where_nothing_is_to_be_told_the_message_is_left_out() -> None:
    assert rendered(refusing(b"x"), [b"a", b"x", b"b"], [b"x"], notice=None) == b"a|b|"


def fails_to_tell(message: bytes) -> None:
    if message != b"a":
        raise ValueError(message)


def fails_to_tell_otherwise(message: bytes) -> None:
    if message != b"a":
        raise KeyError(message)


@pytest.mark.parametrize("fails", [fails_to_tell, fails_to_tell_otherwise], ids=["ValueError", "KeyError"])
@pytest.mark.parametrize("messages", [[b"x"], [b"a", b"x"], [b"a", b"x", b"a"]], ids=["alone", "last", "between"])
def test_a_framing_that_cannot_carry_the_notice_either_is_an_error_that_says_so(
    fails: Callable[[bytes], None], messages: list[bytes]
) -> None:
    framing = Failing(fails)
    rendering = rendering_of(FRAMING, framing, NOTICE)
    chunk = chunk_of(messages)
    with pytest.raises(CannotTell, match="1 messages are missing"):
        rendering.data_of(chunk)
    with pytest.raises(CannotTell):
        rendering.rest(chunk, 0, 0)
    with pytest.raises(CannotTell, match=r"7 messages are missing, and the framing .*Failing.* cannot say so"):
        rendering.notice(7, 9)


def test_a_notice_tells_how_many_are_missing_in_the_framing_of_the_reader() -> None:
    assert rendering_of(FRAMING, OTHER_FRAMING, NOTICE).notice(12, 9) == b"12 missed|"
    assert rendering_of(FRAMING, FRAMING, NOTICE).notice(1, 9) == b"1 missed\n"
    assert rendering_of(FRAMING, FRAMING, None).notice(1, 9) == b""


def test_a_framing_that_carries_no_notice_does_not_need_to_where_there_is_none() -> None:
    assert rendering_of(FRAMING, Failing(fails_to_tell), None).notice(1, 9) == b""


def test_a_message_that_a_framing_cannot_carry_is_no_fault_of_the_program(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "hubbub")
    rendered(refusing(b"x"), [b"x", b"x", b"a"])
    assert [(record.levelname, record.exc_info) for record in caplog.records] == [("DEBUG", None)]
    assert caplog.records[0].getMessage().startswith("2 messages cannot be carried by ")


def test_a_framing_that_raises_anything_else_is_a_fault_that_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    rendered(refusing(b"x", error=KeyError), [b"x"])
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith("1 messages cannot be encoded by ")
    assert record.exc_info is not None
    assert record.exc_info[0] is KeyError


def test_a_framing_whose_notice_raises_is_a_fault_that_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(CannotTell):
        rendering_of(FRAMING, Failing(fails_to_tell_otherwise), NOTICE).notice(1, 9)
    assert [(record.levelname, record.exc_info is not None) for record in caplog.records] == [("ERROR", True)]
