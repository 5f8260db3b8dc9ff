"""The how-to pages: each is tested by the very commands on it, with real programs."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from hubbub import Address

from support.pages import ROOT, check_listing, set_up_desk
from support.programs import HUBBUB, Program, finish, refuses, require_program, wait_until
from support.transcripts import Block, Mismatch, parse, replay

HOW_TO = ROOT / "docs" / "how-to"
LIST = HOW_TO / "README.md"
NOT_REPLAYED = {HOW_TO / f"{name}.md" for name in ("places", "shell-completion")}
"""Pages without transcripts."""

PAGES = sorted(page for page in HOW_TO.glob("*.md") if page != LIST and page not in NOT_REPLAYED)
EXAMPLES = sorted(path for path in (ROOT / "examples" / "how_to").glob("*") if path.is_file())

PROGRAMS = ("bash", "ss", "nc", "ncat", "socat", "telnet")
"""Those that any page may use."""

MORE_PROGRAMS = {
    "adsb-and-aprs": ("dump1090-mutability", "od"),
    "behind-a-proxy": ("haproxy", "nginx", "openssl"),
    "from-other-code": ("curl",),
    "http-behind-a-proxy": ("curl", "haproxy", "nginx", "openssl"),
    "nmea-feed": ("gpsd", "gpspipe"),
    "publish-from-curl": ("curl",),
    "sensor-on-a-web-page": ("curl",),
}
"""Those that one page uses."""


def read_blocks(page: Path) -> list[Block]:
    return parse(page.read_text())


def ports_of(page: Path) -> set[int]:
    """The ports that a page's commands name: its own, for pages are tested side by side."""
    blocks = read_blocks(page)
    text = "\n".join(line for block in blocks for line in block.lines)
    named = re.findall(r"(?:(?<=:)|(?<=port=)|(?<=--port )|(?<=--retry )|(?<=127\.0\.0\.1 ))\d{4,5}\b", text)
    ports = {int(port) for port in (*named, *(port for block in blocks for port in block.ports))}
    # From there on the system chooses them.
    return {port for port in ports if port < 32768}


@pytest.mark.real
@pytest.mark.long
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_a_page_shows_what_happens(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, default_port: None
) -> None:
    for program in (*PROGRAMS, *MORE_PROGRAMS.get(page.stem, ())):
        require_program(program)
    # The pages' hubbub is that of the tests.
    monkeypatch.setenv("PATH", f"{sys.prefix}/bin:{os.environ['PATH']}")
    replay(read_blocks(page), set_up_desk(tmp_path, ports_of(page)), all_end=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_everything_in_a_block_is_checked(page: Path) -> None:
    blocks = read_blocks(page)
    transcripts = "\n".join(line for block in blocks if block.kind == "console" for line in block.lines)
    for block in blocks:
        if block.kind == "console":
            assert block.terminal, f"line {block.number}: the terminal has no name"
        elif block.kind == "python":
            check_listing(block.path, block.lines)
        else:
            assert block.is_written, f"line {block.number}: a block of kind {block.kind!r} is not checked"
            assert block.argument in transcripts, f"line {block.number}: no command uses {block.argument}"


def test_pages_have_ports_of_their_own() -> None:
    ports = [port for page in PAGES for port in ports_of(page)]
    assert sorted(ports) == sorted(set(ports))


def test_the_list_has_each_page() -> None:
    for page in (*PAGES, *NOT_REPLAYED):
        assert f"]({page.name})" in LIST.read_text()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_each_program_is_quoted_whole_on_a_page(example: Path) -> None:
    lines = example.read_text().splitlines()
    assert any(lines == block.lines for page in PAGES for block in read_blocks(page)), example
    assert os.access(example, os.X_OK) == (lines[0] == "#!/usr/bin/env python3")


TRANSCRIPT = """
```toml place.toml
port = 15250
```

```console shell
$ cat \\
    place.toml
port = 15250
$ seq 9
1
…
7
…
$ echo one two
one …
```
"""


@pytest.mark.real
def test_files_long_commands_and_what_is_left_out_are_replayed(tmp_path: Path) -> None:
    replay(parse(TRANSCRIPT), tmp_path)


@pytest.mark.real
@pytest.mark.parametrize(
    ("right", "wrong"), [("\none …", "\ntwo …"), ("one …\n", ""), ("port = 15250\n$", "port = 15251\n$")]
)
def test_what_is_not_left_out_is_still_compared(right: str, wrong: str, tmp_path: Path) -> None:
    assert right in TRANSCRIPT
    with pytest.raises(Mismatch):
        replay(parse(TRANSCRIPT.replace(right, wrong)), tmp_path)


@pytest.mark.real
def test_the_replay_waits_for_the_ports_that_a_block_names(tmp_path: Path) -> None:
    page = """
```console server 15250
$ sleep 0.3; nc -l 127.0.0.1 15250
```

```console client
$ echo Hey | nc -N 127.0.0.1 15250
```

```console server
Hey
```
"""
    replay(parse(page), tmp_path)


@pytest.mark.real
@pytest.mark.long
@pytest.mark.parametrize("broker", ["ncat", "hubbub"])
def test_one_reader_that_stops_stops_the_others_of_ncat_and_not_those_of_hubbub(broker: str, tmp_path: Path) -> None:
    """As the page about `ncat --broker` says in words."""
    port, numbers, path = 5032, 1_000_000, tmp_path / "heard"
    size = len("".join(f"{number}\n" for number in range(1, numbers + 1)))
    nc = require_program("nc")
    serve = {
        "ncat": (require_program("ncat"), "-l", "--broker", "127.0.0.1", str(port)),
        "hubbub": (*HUBBUB, "serve", "relay", f"--port={port}"),
    }
    with Program(*serve[broker]), path.open("wb") as heard:
        wait_until(lambda: not refuses(Address("127.0.0.1", port)), "server")
        with (
            Program(nc, "-d", "127.0.0.1", str(port)) as stopped,
            Program(nc, "-d", "127.0.0.1", str(port), stdout=heard.fileno()),
            Program(nc, "-N", "127.0.0.1", str(port)) as witness,
        ):
            # None of them is to come too late for it.
            ss = (require_program("ss"), "-Htn", "state", "established", "sport", "=", f":{port}")
            wait_until(lambda: finish(*ss).output.count("\n") == 3, "three connections")
            witness.send(b"Hey\n")
            stopped.output.expect(b"Hey\n")
            wait_until(lambda: path.stat().st_size == len("Hey\n"), "greeting")
            stopped.signal(signal.SIGSTOP)
            with Program("sh", "-c", f"seq {numbers} | {nc} -N 127.0.0.1 {port}") as sender:
                if broker == "hubbub":
                    assert sender.wait() == 0
                    wait_until(lambda: path.stat().st_size == len("Hey\n") + size, "last number")
                else:
                    wait_until(Stillness(path).is_reached, "end of what the other reader gets")
                    assert path.stat().st_size < size
                    assert sender.running
                    stopped.signal(signal.SIGCONT)
                    assert sender.wait() == 0
                    wait_until(lambda: path.stat().st_size == len("Hey\n") + size, "last number")


class Stillness:
    """That a file has grown, and does not grow any more for two seconds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = path.stat().st_size
        self._since: float | None = None

    def is_reached(self) -> bool:
        """Look at the file."""
        size = self._path.stat().st_size
        if size != self._size:
            self._size, self._since = size, time.monotonic()
        return self._since is not None and time.monotonic() - self._since > 2
