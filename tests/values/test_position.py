"""Places in a log as text, and the names that tell logs and connections apart."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hubbub.values.position import Position, new_term, new_token

TERM = "0123456789abcdef"
LARGEST = 10**19 - 1


@given(st.integers(0, LARGEST))
@example(0)
@example(LARGEST)
def test_a_position_is_parsed_from_what_it_was_written_as(seq: int) -> None:
    written = Position(new_term(), seq)
    assert Position.parse(str(written)) == written


@given(st.text(alphabet="0123456789abcdefABCDEF:+-_ \n", max_size=40) | st.text(max_size=40))
@example(f"{TERM}:42")
def test_what_is_parsed_is_written_as_it_was(text: str) -> None:
    """So there is one text for a position, and no other can be smuggled in."""
    try:
        parsed = Position.parse(text)
    except ValueError:
        return
    assert str(parsed) == text


def test_a_position_is_written_as_its_term_and_its_place() -> None:
    assert str(Position(TERM, 42)) == f"{TERM}:42"
    assert Position.parse(f"{TERM}:42") == (TERM, 42)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        TERM,
        f"{TERM}:",
        ":42",
        f"{TERM[:-1]}:42",
        f"{TERM}0:42",
        f"{TERM.upper()}:42",
        f"{TERM[:-1]}g:42",
        f"{TERM}:042",
        f"{TERM}:-1",
        f"{TERM}:+1",
        f"{TERM}:1_0",
        f"{TERM}:4 2",
        f"{TERM}:\u0664\u0662",
        f"{TERM}:42\n",
        f"\n{TERM}:42",
        f"{TERM}:42\0",
        f"{TERM}:0x2a",
        f"{TERM}:{LARGEST + 1}",
    ],
)
def test_what_is_not_a_position_is_refused_and_shown(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        Position.parse(text)


def test_a_number_of_any_length_is_refused_before_it_is_computed() -> None:
    # `int` refuses more than 4,300 digits with words of its own.
    with pytest.raises(ValueError, match="is not a position"):
        Position.parse(f"{TERM}:{'9' * 100_000}")


def test_what_is_refused_cannot_act_on_a_terminal() -> None:
    with pytest.raises(ValueError, match="write it as TERM:SEQ") as raised:
        Position.parse("\x1b[2J\u202e")
    assert str(raised.value).isprintable()


def test_terms_and_tokens_differ_and_have_64_bits() -> None:
    terms, tokens = {new_term() for _ in range(100)}, {new_token() for _ in range(100)}
    assert len(terms) == len(tokens) == 100
    assert all(re.fullmatch("[0-9a-f]{16}", term) for term in terms)
    assert all(0 < token < 2**64 for token in tokens)
    assert any(token >= 2**60 for token in tokens)


def test_no_token_is_0_which_stands_for_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.randbits", lambda _bits: 0)
    assert new_token() != 0
