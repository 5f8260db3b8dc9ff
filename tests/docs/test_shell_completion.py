"""Completion in real shells, set up by the commands of the page."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.programs import miss, require_program, wait_until
from support.tmux import Tmux

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "shell-completion.md"

BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")


def commands_for(shell: str) -> str:
    """What the page says to run."""
    section = PAGE.read_text().partition(f"\n## `{shell}`\n")[2].partition("\n## ")[0]
    return "\n".join(re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL))


def ends_with(tmux: Tmux, text: str) -> Callable[[], bool]:
    return lambda: tmux.shown[-1:] != [] and tmux.shown[-1].endswith(text)


@pytest.mark.real
@pytest.mark.long
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_options_and_values(shell: str, tmp_path: Path) -> None:
    require_program(shell)
    if shell == "bash" and not BASH_COMPLETION.exists():
        miss("bash-completion")
    # Distributions have this line in /etc/bash.bashrc, or in the file that they give new users.
    (tmp_path / ".bashrc").write_text(f". {BASH_COMPLETION}\n")
    (tmp_path / "setup").write_text(f"set -e\nhash -r\n{commands_for(shell)}\n")
    with Tmux(tmp_path) as tmux:
        for line in (f"export HOME={tmp_path} PATH={Path(sys.executable).parent}:$PATH", "cd", "sh setup"):
            tmux.type(line, "Enter")
        tmux.type(f"clear; exec {shell}", "Enter")
        tmux.type('echo re""ady', "Enter")
        wait_until(lambda: "ready" in tmux.shown, "shell")
        tmux.type("hubbub ser", "Tab")
        wait_until(ends_with(tmux, "hubbub serve"), "command")
        tmux.type("--", "--li", "Tab")
        wait_until(ends_with(tmux, "hubbub serve --listen"), "option")
        tmux.type("x --when-slow sk", "Tab")
        wait_until(ends_with(tmux, "--when-slow skip"), "value")
