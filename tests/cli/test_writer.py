"""Lines that are written without waiting for their reader."""

from __future__ import annotations

import os
import re
import select
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubbub.cli.writer import QUEUE_LIMIT, LineWriter

from support.programs import Output, Program, wait_until

TESTS = Path(__file__).parents[1]

PIPE_SIZE = 65_536
"""What a pipe holds at least, in bytes (pipe(7))."""


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        try:
            os.close(descriptor)
        except OSError:
            # The test closed it.
            continue


def report_dropped(count: int, reason: str) -> str:
    return f"{count} dropped, for {reason}"


def test_lines_are_written_in_their_order_before_it_closes(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    with LineWriter(writing, report_dropped) as writer:
        for number in range(3):
            writer.write(f"line {number} é")
        # What cannot be encoded is written escaped.
        writer.write("lone \udcff")
    assert os.read(reading, 1_000).decode() == "line 0 é\nline 1 é\nline 2 é\nlone \\udcff\n"


def test_lines_that_nobody_takes_are_dropped_and_counted(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    count = QUEUE_LIMIT + 2 * PIPE_SIZE // 100
    with LineWriter(writing, report_dropped) as writer:
        for _ in range(count):
            writer.write("x" * 99)
        output = Output(os.dup(reading))

        def is_next_taken() -> bool:
            nonlocal count
            count += 1
            writer.write("next")
            return b"next\n" in output.unread

        wait_until(is_next_taken, "next line")
        writer.write("the end")
    os.close(writing)
    written = output.rest()
    assert written.endswith(b"\nthe end\n")
    dropped = re.findall(rb"^(\d+) dropped, for the output was not read fast enough\n", written, re.MULTILINE)
    assert dropped
    assert written.count(b"\n") - len(dropped) + sum(map(int, dropped)) == count + 1


def test_a_reader_that_is_gone_is_no_error(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.close(reading)
    with LineWriter(writing, report_dropped) as writer:
        writer.write("one")
        writer.write("two")


def test_a_full_pipe_that_does_not_block_is_waited_for(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.set_blocking(writing, False)
    with LineWriter(writing, report_dropped) as writer:
        writer.write("x" * 2 * PIPE_SIZE)
        writer.write("next")
        wait_until(lambda: not select.select([], [writing], [], 0)[1], "full pipe")
        assert Output(os.dup(reading)).lines(2) == ["x" * 2 * PIPE_SIZE, "next"]


def test_lines_for_which_there_is_no_room_are_dropped_and_counted_until_there_is(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    descriptor = os.open("/dev/full", os.O_WRONLY)
    with LineWriter(descriptor, report_dropped) as writer:
        writer.write("lost")
        wait_until(lambda: writer._lost == 1, "error")
        writer.write("lost")
        wait_until(lambda: writer._lost == 2, "another error")
        os.dup2(writing, descriptor)
        for line in ("third", "fourth"):
            writer.write(line)
    os.close(descriptor)
    assert os.read(reading, 1_000).decode() == "2 dropped, for No space left on device\nthird\nfourth\n"


FILE_THAT_GROWS = """
import resource, sys
from hubbub.cli.writer import LineWriter
from support.programs import wait_until

_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), most))
with LineWriter(1, lambda count, why: f"{count} dropped, for {why}") as writer:
    for line in ("first", "second", "third"):
        writer.write(line)
    wait_until(lambda: writer._lost == int(sys.argv[2]), "lost lines")
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    writer.write("fourth")
"""
"""Writes four lines into a file that has room for some bytes, and after the third one for all."""


@pytest.mark.parametrize(
    ("room", "begun", "lost"),
    [
        (11, "secon", 2),
        # Only the end of the line is missing.
        (12, "second", 1),
        (13, "second", 1),
    ],
)
def test_each_line_is_either_whole_or_counted_wherever_it_was_cut(
    tmp_path: Path, room: int, begun: str, lost: int
) -> None:
    path = tmp_path / "log"
    script = (sys.executable, "-c", FILE_THAT_GROWS, str(room), str(lost))
    with path.open("wb") as file, Program(*script, env={"PYTHONPATH": str(TESTS)}, stdout=file.fileno()) as program:
        assert program.wait() == 0, program.errors.rest()
    assert path.read_text() == f"first\n{begun}\n{lost} dropped, for File too large\nfourth\n"


@pytest.mark.parametrize("more", [0, QUEUE_LIMIT + 1], ids=["one line", "more than the queue holds"])
def test_to_close_it_takes_a_bounded_time_when_nobody_reads(pipe: tuple[int, int], more: int) -> None:
    reading, writing = pipe
    with LineWriter(writing, report_dropped) as writer:
        writer.write("x" * 2 * PIPE_SIZE)
        for _ in range(more):
            writer.write("")
    assert os.read(reading, 1) == b"x"
    # Its thread ends with the reader.
    os.close(reading)
