"""A terminal with a shell in it, for tests that do and see what a reader of the documentation does and sees."""

from __future__ import annotations

import codecs
import os
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from support.programs import WAIT_TIME, environment

PROMPT = "$ "
CONTINUED = "> "
"""What the shell shows where a command goes on in the next line."""

# Opening the terminal makes it the one that Ctrl-C and Ctrl-Z on it work in.
_OPEN_SHELL = 'exec bash --norc --noprofile --noediting -i <"$0" >"$0" 2>&1'


def character_of(key: str) -> str:
    """What a key like "^C" types."""
    return chr(ord(key[1]) ^ 0x40)


class Terminal:
    """A pseudo-terminal and its shell, which starts in `directory`; leaving it is closing the window.

    What has been shown and not been read yet is `unread`, with LF at the line ends.
    """

    def __init__(self, directory: Path) -> None:
        self.unread = ""
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        self._screen, keyboard = os.openpty()
        termios.tcsetwinsize(keyboard, (24, 120))
        nowhere: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        command = ["sh", "-c", _OPEN_SHELL, os.ttyname(keyboard)]
        # What would change what programs show stays outside.
        shown = {"LC_ALL": "C.UTF-8", "PROMPT_COMMAND": "", "PS1": PROMPT, "PS2": CONTINUED, "TERM": "dumb"}
        env = environment({"HOME": str(directory), **shown})
        self._shell = subprocess.Popen(command, cwd=directory, env=env, start_new_session=True, **nowhere)
        # Our own end of it is kept open until the shell has one, for without any it would hang up.
        assert self._wait(lambda: self.unread == PROMPT)
        os.close(keyboard)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        os.close(self._screen)
        try:
            self._shell.wait(WAIT_TIME)
        except subprocess.TimeoutExpired:
            self._shell.kill()
            self._shell.wait()

    def kill_what_is_left(self) -> None:
        """End the programs that go on although their window was closed, as dump1090 does."""
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(ProcessLookupError):
                if os.getsid(int(process.name)) == self._shell.pid:
                    os.kill(int(process.name), signal.SIGKILL)

    def type(self, text: str) -> None:
        """Type `text`, which includes the Enter."""
        os.write(self._screen, text.encode())

    def heeds(self, key: str) -> bool:
        """Whether a key like "^C" is more than a character to it; a program may have to say so first (termios(3)).

        The shell itself ignores most of them, so it has to have handed the terminal to a program.
        """
        is_special = character_of(key).encode() in termios.tcgetattr(self._screen)[6]
        return is_special and os.tcgetpgrp(self._screen) != self._shell.pid

    def take(self, text: str) -> bool:
        """Read `text`; or nothing, and return False, if something else is shown or nothing in time."""
        self._wait(lambda: self.unread.startswith(text) or not text.startswith(self.unread))
        found = self.unread.startswith(text)
        if found:
            self.unread = self.unread[len(text) :]
        return found

    def skip_to(self, text: str) -> None:
        """Read all up to `text`, and that; if it is not shown in time, what there is."""
        self._wait(lambda: text in self.unread)
        self.unread = self.unread.partition(text)[2]

    def read_line(self) -> str:
        """The next line that is shown, without its end; if none is complete in time, what there is."""
        self._wait(lambda: "\n" in self.unread)
        line, _, self.unread = self.unread.partition("\n")
        return line

    def read_until_prompt(self) -> list[str]:
        """The lines up to the next prompt, which is left unread; if none comes in time, the lines there are."""
        self._wait(lambda: f"\n{self.unread}".endswith(f"\n{PROMPT}"))
        *lines, self.unread = self.unread.split("\n")
        return lines

    def _wait(self, condition: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + WAIT_TIME
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._screen], [], [], left)[0]:
                return False
            # The terminal puts CR LF for each LF.
            self.unread += self._decode(os.read(self._screen, 65536)).replace("\r", "")
        return True
