"""Pages whose transcripts can be replayed: what is typed on the page is typed, what is shown must be what is shown.

A page has these kinds of fenced blocks, named by the words behind the opening fence, and no other:

- `console NAME`: a piece of what is seen in the terminal of that name. Blocks are replayed in the order of the page.
  `console NAME PORT …` also names ports: the replay goes on when something listens on them.
- `python PATH`: (part of) the text of a file of the project. With `python PATH NAME`, readers save it as their own file
  NAME, or change that file to include it; from there on, NAME has the whole text of PATH.
- `toml PATH`, `ini PATH`, `sh PATH`, `text PATH` and so on: a file, which the replay writes when it comes to the block.
- `sh`: a command that is only named.

In a terminal these are typed: what stands behind a prompt; a line that ends with the sign for Enter, "⏎"; and a key
like `^C` at the start of a line. A command that ends with a backslash goes on in the next line. Everything else is
output, and all output is on the page, to the last prompt. In a line of output "…" stands for anything. Alone in a line
it stands for any number of lines, up to one like the next line on the page, or up to the prompt. A key may follow it,
which then ends the program.

What must vary is compared by its sameness: a port chosen by the system (five digits behind a colon, from 32700 on) or
the id of a process may be any number, but the same one on the page is the same one in the run. In the tables of ss, the
order of the rows, the space between columns and the numbers of files are nobody's promise, and states take a moment to
change: ss is asked until it shows what the page shows. So is `hubbub log` for a list: a store commits a bit later.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

from support.programs import WAIT_TIME, wait_until
from support.terminals import CONTINUED, PROMPT, Terminal, character_of

SERVER = "server"
"""The terminal in which servers are started: nobody dials before they listen. After a command that shows nothing, the
replay waits for the port that it names, or for 5000."""

FILES = ("html", "ini", "nginx", "sh", "text", "toml", "yaml")
"""The kinds of blocks that are files, if they name one."""

_PROMPTS = (PROMPT, "telnet> ")
_ENTER = " ⏎"
_LISTS = re.compile(re.escape(PROMPT) + r"hubbub log \S+")
"""The command that lists the rooms of a store."""

_KEY = re.compile(r"\^([A-Z\]])")
_FENCE = re.compile(r"```(?P<kind>\w*) ?(?P<argument>.*)")
_ANYTHING = "…"
_VARYING = re.compile(
    r"(?<=:)(?:32[7-9]\d\d|(?:3[3-9]|[45]\d|6[0-5])\d{3})\b|(?<=pid=)\d+|(?<=kill -(?:KILL|USR1|TERM|CONT|STOP) )\d+"
)


class Mismatch(AssertionError):
    """The page says one thing, the run another."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    kind: str
    argument: str
    """The terminal, and the ports that are waited for; or the file, and what readers save it as."""
    number: int
    """The line of the page on which it begins."""
    lines: list[str]

    @property
    def terminal(self) -> str:
        return self.argument.partition(" ")[0]

    @property
    def ports(self) -> list[str]:
        """Those that are waited for."""
        return self.argument.split()[1:]

    @property
    def is_written(self) -> bool:
        """Whether it is a file that the replay writes."""
        return self.kind in FILES and bool(self.argument)

    @property
    def path(self) -> str:
        """The file that a listing is from."""
        return self.argument.partition(" ")[0]

    @property
    def own_file(self) -> str:
        """What readers save a listing as; empty where they do not."""
        return self.argument.partition(" ")[2]


def parse(text: str) -> list[Block]:
    """The fenced blocks of a page; it is a ValueError if a fence has no end."""
    blocks = []
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        at += 1
        if fence := _FENCE.fullmatch(lines[at - 1]):
            if "```" not in lines[at:]:
                raise ValueError(f"the block in line {at} has no end")
            end = lines.index("```", at)
            blocks.append(Block(fence["kind"], fence["argument"], at + 1, lines[at:end]))
            at = end + 1
    return blocks


class Numbers:
    """Which number of the run stands for which number of the page."""

    def __init__(self) -> None:
        self._in_run: dict[str, str] = {}

    def translate(self, text: str) -> str:
        """`text` of the page as it is in the run."""
        return _VARYING.sub(lambda found: self._in_run.get(found[0], found[0]), text)

    def unknown(self, text: str) -> list[str]:
        """The numbers in `text` of the page that the run has not shown yet."""
        return [number for number in _VARYING.findall(text) if number not in self._in_run]

    def match(self, expected: str, shown: str) -> bool:
        """Whether they are the same; if so, numbers that are new are remembered."""
        literals = [re.escape(literal).replace(_ANYTHING, ".*") for literal in _VARYING.split(expected)]
        found = re.fullmatch(r"(\d+)".join(literals), shown)
        if found is None:
            return False
        pairs = {*self._in_run.items(), *zip(_VARYING.findall(expected), found.groups(), strict=True)}
        known = dict(pairs)
        # Each has one other, on either side.
        if not len(pairs) == len(known) == len(set(known.values())):
            return False
        self._in_run = known
        return True

    def match_table(self, expected: list[str], shown: list[str]) -> bool:
        """Whether two tables are the same."""
        if len(expected) != len(shown) or not expected:
            return expected == shown
        # Whether there is a space in the header is a matter of its version.
        if not self.match("".join(expected[0].split()), "".join(shown[0].split())):
            return False
        page, run = (
            [re.sub(r"\bfd=\d+", "fd=N", " ".join(row.split())) for row in table[1:]] for table in (expected, shown)
        )
        return any(self.match("\n".join(page), "\n".join(order)) for order in permutations(run))


def replay(blocks: list[Block], directory: Path, *, all_end: bool = True) -> None:
    """Do what the transcripts in `blocks` do in shells that start in `directory`, and see what they show.

    Args:
        blocks: those of a page.
        directory: where the files of the page are, too.
        all_end: whether the page ends all programs. Otherwise those that are left are ended as if their windows were
            closed.
    """
    with ExitStack() as stack:
        terminals: dict[str, Terminal] = {}
        numbers = Numbers()
        for block in blocks:
            if block.kind == "console":
                if block.terminal not in terminals:
                    terminal = terminals[block.terminal] = Terminal(directory)
                    stack.callback(terminal.kill_what_is_left)
                    stack.enter_context(terminal)
                _Replay(block, terminals[block.terminal], numbers).run()
            elif block.is_written:
                (directory / block.argument).write_text("".join(f"{line}\n" for line in block.lines))
            elif block.kind == "python" and block.own_file:
                shutil.copy(directory / block.path, directory / block.own_file)
        for name, terminal in terminals.items():
            ends = terminal.take(PROMPT) if all_end or terminal.unread else True
            if not ends or terminal.unread:
                raise Mismatch(f"terminal {name} does not end with a prompt alone, but with {terminal.unread!r}")


class _Replay:
    """One block, line by line."""

    def __init__(self, block: Block, terminal: Terminal, numbers: Numbers) -> None:
        self._block = block
        self._terminal = terminal
        self._numbers = numbers
        self._lines = deque(enumerate(block.lines, start=block.number))

    def run(self) -> None:
        while self._lines:
            number, line = self._lines.popleft()
            prompt = next((prompt for prompt in _PROMPTS if line.startswith(prompt)), "")
            key = _KEY.match(line)
            if line.startswith(f"{PROMPT}ss ") or _LISTS.fullmatch(line):
                self._ask_again(number, line.removeprefix(PROMPT))
            elif prompt:
                self._type_line(number, line.removeprefix(prompt), prompt)
            elif line.endswith(_ENTER):
                self._type_line(number, line.removesuffix(_ENTER), prompt="")
            elif key:
                self._press(number, key[0], line.removeprefix(key[0]))
            elif line == _ANYTHING:
                self._skip()
            else:
                self._expect(number, line)
        for port in self._block.ports:
            self._wait_until_listening(self._block.number, port)

    def _type_line(self, number: int, line: str, prompt: str) -> None:
        terminal = self._terminal
        typed = self._numbers.translate(line)
        if unknown := self._numbers.unknown(line):
            # A wrong page must not kill what happens to have the number that it mentions.
            raise Mismatch(f"line {number} is about {unknown}, which nothing before has shown")
        if not terminal.take(prompt):
            self._fail(number, prompt, terminal.read_line())
        terminal.type(f"{typed}\n")
        if not terminal.take(f"{typed}\n"):
            self._fail(number, typed, terminal.read_line())
        if typed.endswith("\\"):
            self._type_line(*self._lines.popleft(), prompt=CONTINUED)
        # A command that shows something is not waited for: it may be one that ends, such as `hubbub check`.
        elif self._block.argument == SERVER and prompt == PROMPT and not self._shows_something():
            setting = re.search(r"(?:PORT=|--port )(\d+)", typed)
            self._wait_until_listening(number, setting[1] if setting else "5000")

    def _shows_something(self) -> bool:
        """Whether the next line of the block is output."""
        return bool(self._lines) and not _KEY.match(self._lines[0][1])

    def _press(self, number: int, key: str, rest: str) -> None:
        self._type_key(number, key)
        if not self._terminal.take(key):
            self._fail(number, key, self._terminal.read_line())
        if rest:
            self._expect(number, rest)
        else:
            # Some programs begin a new line then, others don't.
            self._terminal.take("\n")

    def _type_key(self, number: int, key: str) -> None:
        self._wait_until(number, lambda: self._terminal.heeds(key), f"a program that heeds {key}")
        self._terminal.type(character_of(key))

    def _expect(self, number: int, expected: str) -> None:
        shown = self._terminal.read_line()
        if not self._numbers.match(expected, shown):
            self._fail(number, self._numbers.translate(expected), shown)

    def _skip(self) -> None:
        """Read what the page leaves out."""
        if self._lines and (key := _KEY.fullmatch(self._lines[0][1])):
            number, _ = self._lines.popleft()
            self._type_key(number, key[0])
            self._terminal.skip_to(key[0])
        if not self._lines or self._lines[0][1].startswith(PROMPT):
            self._terminal.read_until_prompt()
            return
        number, expected = self._lines.popleft()
        skipped = []
        deadline = time.monotonic() + WAIT_TIME
        while not self._numbers.match(expected, shown := self._terminal.read_line()):
            skipped.append(shown)
            if time.monotonic() > deadline:
                self._fail(number, self._numbers.translate(expected), "\n".join(skipped))

    def _ask_again(self, number: int, command: str) -> None:
        expected = []
        while self._lines and not self._lines[0][1].startswith(PROMPT):
            expected.append(self._lines.popleft()[1])
        deadline = time.monotonic() + WAIT_TIME
        while True:
            self._type_line(number, command, PROMPT)
            shown = self._terminal.read_until_prompt()
            if self._numbers.match_table(expected, shown):
                return
            if time.monotonic() > deadline:
                self._fail(number, self._numbers.translate("\n".join(expected)), "\n".join(shown))
            # What changes the states needs the processor, too.
            time.sleep(0.05)

    def _wait_until_listening(self, number: int, port: str) -> None:
        ask = ["ss", "-Hltn", f"sport = :{port}"]
        self._wait_until(number, lambda: bool(subprocess.check_output(ask)), f"a server that listens on port {port}")

    def _wait_until(self, number: int, condition: Callable[[], bool], what: str) -> None:
        try:
            wait_until(condition, what)
        except AssertionError:
            self._fail(number, what, self._terminal.unread)

    def _fail(self, number: int, expected: str, shown: str) -> None:
        raise Mismatch(
            f"line {number}, terminal {self._block.terminal}\n--- the page:\n{expected}\n--- the run:\n{shown}\n"
            f"--- not read yet:\n{self._terminal.unread}"
        )
