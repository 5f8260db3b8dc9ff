"""Test 19: every parser, given any bytes at all, by hypothesis and by a fuzzer that looks which branches they take."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import fuzzing
from support.figures import note, scaled
from support.fuzzing import TARGETS
from support.programs import miss

PROGRAM = Path(fuzzing.__file__)
TESTS = PROGRAM.parents[1]
FUZZING_TIME = scaled(60, 2)
"""How long a parser is fuzzed, in seconds."""

END_TIME = 60
"""How long the fuzzer may take beside that."""


def require_atheris() -> None:
    # There is none for every Python and system.
    if importlib.util.find_spec("atheris") is None:
        miss("atheris")


@st.composite
def inputs(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """Any bytes, or a good input of which some bytes were replaced by others."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=300))
    seed = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(seed)))
        seed = seed[:at] + draw(st.binary(max_size=3)) + seed[at + draw(st.integers(0, 3)) :]
    return seed


@pytest.mark.parametrize("target", TARGETS)
@given(data=st.data())
@settings(max_examples=scaled(2000, 100), deadline=None)
def test_19_a_parser_holds_against_any_bytes(target: str, data: st.DataObject) -> None:
    fuzz, seeds = TARGETS[target]
    fuzz(data.draw(inputs([seed for seed in seeds if len(seed) < 300])))


@pytest.mark.parametrize(
    ("target", "seed"),
    [(target, seed) for target, (_, seeds) in TARGETS.items() for seed in seeds],
    ids=[f"{target}-{number}" for target, (_, seeds) in TARGETS.items() for number in range(len(seeds))],
)
def test_19_a_parser_holds_against_what_the_fuzzer_starts_with(target: str, seed: bytes) -> None:
    TARGETS[target][0](seed)


def run_fuzzer(folder: Path, program: Path, *arguments: str) -> tuple[int, str]:
    """Run a program until it ends: its status, and what it has told."""
    # What the fuzzer does to the branches is none of the coverage's business.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    # It needs what the tests share.
    environment["PYTHONPATH"] = os.pathsep.join((str(TESTS), environment.get("PYTHONPATH", "")))
    completed = subprocess.run(
        # Without the folder of the program: what it imports from the standard library has names that are there too.
        [sys.executable, "-P", program, *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=FUZZING_TIME + END_TIME,
        check=False,
    )
    return completed.returncode, completed.stdout


@pytest.mark.long
@pytest.mark.parametrize("target", TARGETS)
def test_19_a_parser_holds_against_a_fuzzer(target: str, tmp_path: Path) -> None:
    require_atheris()
    status, told = run_fuzzer(tmp_path, PROGRAM, target, str(FUZZING_TIME))
    assert status == 0, told[-4000:]
    executions = re.search(r"number_of_executed_units:\s*(\d+)", told)
    assert executions is not None, told[-4000:]
    # More than what it was given to start with.
    assert int(executions[1]) > 10 * len(TARGETS[target][1])
    note(19, f"{target}: executions in {FUZZING_TIME} s", executions[1], "none that fails")


@pytest.mark.long
def test_19_the_fuzzer_finds_what_does_not_hold(tmp_path: Path) -> None:
    require_atheris()
    # Otherwise all of the above would hold for want of a fuzzer that looks.
    program = tmp_path / "finds.py"
    program.write_text(
        "import atheris\n"
        "from support import fuzzing\n"
        "def fuzz(data):\n"
        "    assert not data.startswith(b'no')\n"
        "fuzzing.TARGETS['broken'] = (atheris.instrument_func(fuzz), [b'yes'])\n"
        f"fuzzing.main('broken', '{END_TIME}')\n"
    )
    status, told = run_fuzzer(tmp_path, program)
    assert status != 0
    assert "AssertionError" in told
