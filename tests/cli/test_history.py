"""The lines that a user has typed, kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from prompt_toolkit.history import InMemoryHistory

from hubbub.cli.history import LINES_LIMIT, open_history


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def lines() -> list[str]:
    return list(open_history().load_history_strings())


def test_the_newest_lines_are_kept(state: Path) -> None:
    history = open_history()
    for number in range(2 * LINES_LIMIT + 1):
        history.store_string(f"{number}\nand more")
    kept = lines()
    assert kept == [f"{number}\nand more" for number in range(2 * LINES_LIMIT, LINES_LIMIT, -1)]
    assert lines() == kept
    assert (state / "hubbub" / "history").stat().st_mode & 0o777 == 0o600


def test_a_line_that_begins_with_a_space_is_not_kept(state: Path) -> None:
    history = open_history()
    for line in ("one", " two", "\n"):
        history.store_string(line)
    assert lines() == ["one"]


def test_without_a_place_for_them_lines_are_forgotten(state: Path) -> None:
    (state / "hubbub" / "history").mkdir(parents=True)
    history = open_history()
    history.store_string("one")
    assert lines() == []


def test_the_home_directory_has_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    open_history().store_string("one")
    assert (tmp_path / ".local/state/hubbub/history").exists()
    assert lines() == ["one"]


def test_a_user_without_a_home_has_a_history_that_nobody_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert isinstance(open_history(), InMemoryHistory)
