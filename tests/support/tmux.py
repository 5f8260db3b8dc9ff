"""A real terminal: a shell in tmux, which breaks lines anew when its size changes."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from support.programs import environment, require_program, wait_until


class Tmux:
    """A shell in a window of tmux; its socket is in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._command = (require_program("tmux"), "-S", str(directory / "tmux"), "-f", "/dev/null")
        env = environment({"PS1": "$ ", "TERM": "xterm", "LC_ALL": "C.UTF-8"})
        self._run("new-session", "-d", "-x", "80", "-y", "20", "bash --norc --noprofile", env=env)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._run("kill-server")

    def type(self, *keys: str) -> None:
        """Type text, or keys such as Enter and C-z."""
        self._run("send-keys", *keys)

    def resize(self, width: int) -> None:
        self._run("resize-window", "-x", str(width), "-y", "20")

    def wait_for(self, *lines: str) -> None:
        """Wait until these are the last lines that are shown."""
        try:
            wait_until(lambda: self.shown[-len(lines) :] == list(lines), "such screen")
        except AssertionError:
            assert self.shown[-len(lines) :] == list(lines)

    @property
    def shown(self) -> list[str]:
        """The lines on the screen, without the empty ones."""
        return [line.rstrip() for line in self._run("capture-pane", "-p").splitlines() if line.strip()]

    def _run(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        command = [*self._command, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout
