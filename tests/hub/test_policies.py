"""What happens to a reader that retention has passed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import hubbub
from hubbub.apps.relay import relay
from hubbub.framing import ByteLines, Delimited, Framing, LengthPrefixed, Lines, Raw
from hubbub.hub import policies
from hubbub.values.ending import Ending, EndingCode

from support.logs import Source, offset_of


def test_the_policies_are_the_files_of_the_folder() -> None:
    folder = Path(policies.__file__).parent
    assert policies.names() == sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    assert policies.names() == ["disconnect", "skip"]


def test_a_new_policy_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tease.py").write_text("def overrun(cursor, room):\n    return room\n")
    monkeypatch.setattr(policies, "__path__", [*policies.__path__, str(tmp_path)])
    try:
        assert policies.names() == ["disconnect", "skip", "tease"]
        policy = policies.find("tease")
        assert policy(Source().cursor(), "root") == "root"  # type: ignore[comparison-overlap]
        server = hubbub.Server(relay, settings=hubbub.Settings(when_slow="tease"))
        assert server.room("weather", settings=hubbub.Settings(when_slow="tease")).settings.when_slow == "tease"
    finally:
        policies.find.cache_clear()
        sys.modules.pop("hubbub.hub.policies.tease", None)


def test_a_server_and_a_room_refuse_a_name_that_no_policy_has() -> None:
    wrong = hubbub.Settings(when_slow="skpi")
    message = r"^when_slow is 'skpi'; it must be 'disconnect' or 'skip'$"
    with pytest.raises(ValueError, match=message):
        hubbub.Server(relay, settings=wrong)
    with pytest.raises(ValueError, match=message):
        hubbub.Server(relay).room("weather", settings=wrong)


@pytest.mark.parametrize("name", ["skpi", "", "__init__", "../policies/skip", "skip.overrun", "SKIP"])
def test_a_name_that_no_policy_has_is_refused_with_the_names_that_there_are(name: str) -> None:
    with pytest.raises(ValueError, match=r"^when_slow is '.*'; it must be 'disconnect' or 'skip'$"):
        policies.find(name)


def test_disconnect_ends_the_reader_and_says_how_far_it_was_behind() -> None:
    source = Source()
    cursor = source.cursor()
    source.say(b"a")
    source.say(b"bc")
    behind = f"2 messages ({offset_of([b'a'], [b'bc'])} bytes) behind, more than"
    overrun = policies.find("disconnect")
    assert overrun(cursor, "root") == Ending(EndingCode.SLOW, f"{behind} its listener allows (max-lag)")
    assert source.drop()
    assert overrun(cursor, "root") == Ending(EndingCode.SLOW, f"{behind} room root retains")


def test_skip_lets_the_reader_stay() -> None:
    assert policies.find("skip")(Source().cursor(), "root") is None


# Who can be told.


class _Mute(ByteLines):
    """Lets the server say nothing, although its messages are text."""

    def encode_text(self, text: str) -> bytes:
        return b""


class _Faulty(ByteLines):
    """Fails where the server has to say something."""

    def encode_text(self, text: str) -> bytes:
        raise KeyError(text)


MISSED = "{missed} missed"

BINARY = "it carries bytes, and no text of the server's; set notice to none, or when_slow to 'disconnect'"
ANOTHER = "; set notice to another text, or to none"


@pytest.mark.parametrize(
    ("framing", "notice", "reason"),
    [
        (Raw(), MISSED, BINARY),
        (LengthPrefixed(1), MISSED, BINARY),
        (Delimited(b"\xff"), MISSED, BINARY),
        (Lines(), "{missed}\nmissed", f"a line cannot contain a line end (LF){ANOTHER}"),
        (Delimited(b" "), MISSED, f"a message cannot contain its delimiter b' '{ANOTHER}"),
        (_Mute(), MISSED, f"it has no bytes for it{ANOTHER}"),
        (_Faulty(), MISSED, f"'{10**18} missed'{ANOTHER}"),
    ],
    ids=repr,
)
def test_readers_that_may_skip_and_cannot_be_told_are_an_error(framing: Framing[Any], notice: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"^notice is ") as caught:
        policies.check_notice(framing, notice, "skip")
    assert str(caught.value) == f"notice is {notice!r}, and the framing {framing} cannot carry it: {reason}"
    policies.check_notice(framing, None, "skip")


@pytest.mark.parametrize("framing", [Raw(), LengthPrefixed(1), Delimited(b"\xff"), Lines(), Delimited(b"\0")], ids=repr)
def test_readers_that_never_skip_need_not_be_told(framing: Framing[Any]) -> None:
    policies.check_notice(framing, MISSED, "disconnect")


def test_a_notice_that_does_for_one_message_only_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^notice is '{missed:c}', and .* cannot carry it: ") as caught:
        policies.check_notice(Lines(), "{missed:c}", "skip")
    assert isinstance(caught.value.__cause__, OverflowError)


def test_a_notice_of_text_that_fits_no_framing_of_text_is_an_error_at_once() -> None:
    # A message that the framing cannot carry is told as missed, whatever the policy is.
    with pytest.raises(ValueError, match="cannot carry it"):
        policies.check_notice(Lines(), "{missed}\nmissed", "disconnect")
