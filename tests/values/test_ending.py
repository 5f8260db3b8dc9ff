"""Why a connection ended."""

from __future__ import annotations

import pytest

from hubbub.values.ending import Ending, EndingCode


def test_an_ending_shows_its_code_and_its_reason() -> None:
    assert str(Ending(EndingCode.TOO_LONG, "message longer than 5 bytes")) == "too-long: message longer than 5 bytes"


def test_an_ending_is_shown_on_one_line_whatever_its_reason_quotes() -> None:
    ending = Ending(EndingCode.FAILED, "the handler raised ValueError: x\n127.0.0.1:1 disconnected.\x1b[2J")
    assert str(ending) == r"failed: the handler raised ValueError: x\n127.0.0.1:1 disconnected.\x1b[2J"
    # For programs it is as it was.
    assert ending.reason.endswith("\x1b[2J")


@pytest.mark.parametrize("code", EndingCode)
def test_a_code_is_one_word_for_logs_and_labels(code: EndingCode) -> None:
    assert f"{code}" == code.value
    assert code.value.replace("-", "").isalpha()
    assert EndingCode(code.value) is code


@pytest.mark.parametrize("code", EndingCode)
def test_an_ending_is_read_from_its_text(code: EndingCode) -> None:
    ending = Ending(code, "127.0.0.1: limit of 5 clients reached")
    assert Ending.parse(str(ending)) == ending


@pytest.mark.parametrize("text", ["", "full", "full: ", "full:here", "Full: here", "fuller: here", "12:30: here"])
def test_other_text_is_no_ending(text: str) -> None:
    assert Ending.parse(text) is None


@pytest.mark.parametrize(
    ("code", "again"),
    [
        (EndingCode.LOST, True),
        (EndingCode.SHUTDOWN, True),
        (EndingCode.FULL, True),
        # The next connection would end in the same way.
        (EndingCode.DENIED, False),
        (EndingCode.WRONG_PROTOCOL, False),
        (EndingCode.FINISHED, False),
    ],
)
def test_an_ending_says_whether_it_makes_sense_to_come_back(code: EndingCode, again: bool) -> None:
    assert code.worth_retrying == again
