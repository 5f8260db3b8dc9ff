"""What happens to a reader that retention has passed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

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
    assert policies.names() == ["disconnect", "skip", "tease"]
    policy = policies.find("tease")
    assert policy(Source().cursor(), "root") == "root"  # type: ignore[comparison-overlap]
    policies.find.cache_clear()
    del sys.modules["hubbub.hub.policies.tease"]


@pytest.mark.parametrize("name", ["skpi", "", "__init__", "../policies/skip", "skip.overrun", "SKIP"])
def test_a_name_that_no_policy_has_is_refused_with_the_names_that_there_are(name: str) -> None:
    with pytest.raises(ValueError, match=r"^when_slow is '.*'; it must be 'disconnect' or 'skip'$"):
        policies.find(name)


def test_disconnect_ends_the_reader_and_says_how_far_it_was_behind() -> None:
    source = Source()
    cursor = source.cursor()
    source.say(b"a")
    source.say(b"bc")
    reason = f"2 messages ({offset_of([b'a'], [b'bc'])} bytes) behind, more than room root retains"
    assert policies.find("disconnect")(cursor, "root") == Ending(EndingCode.SLOW, reason)


def test_skip_lets_the_reader_stay() -> None:
    assert policies.find("skip")(Source().cursor(), "root") is None
