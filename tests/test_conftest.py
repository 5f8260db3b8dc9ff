"""What `conftest.py` does to tests: on which event loops they run, which are left out, and what fails them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

# `conftest` cannot be imported here: the abuse suite has a module of that name, too.
LOOPS = ["asyncio-debug", "uvloop", *(["uvloop-eager"] if sys.version_info >= (3, 12) else [])]

pytestmark = pytest.mark.long

ASYNC = "async def test_{0}():\n    pass\n"
LONG = "import pytest\n@pytest.mark.long\ndef test_long():\n    pass\n"
LEAVE_A_TASK = (
    "import asyncio\ntasks = []\nasync def test_it():\n    tasks.append(asyncio.create_task(asyncio.sleep(9)))\n"
)
LEAVE_A_SOCKET = "import socket\nasync def test_it():\n    left = [socket.socket()]\n    left.append(left)\n"


def run_pytest(folder: Path, tests: str, *options: str) -> tuple[set[str], str]:
    """Run tests of these texts as hubbub's own are run: the names of those that passed, and all that pytest tells."""
    (folder / "test_sample.py").write_text(tests)
    command = (sys.executable, "-m", "pytest", "-v", "-p", "conftest", "-p", "no:cacheprovider")
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    done = subprocess.run(
        [*command, *options, "--config-file", HERE.parent / "pyproject.toml", "--rootdir", folder, folder],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    passed = {line.split()[0].partition("::")[2] for line in done.stdout.splitlines() if " PASSED " in line}
    return passed, done.stdout + done.stderr


def test_by_default_async_tests_are_spread_over_the_loops_and_long_tests_left_out(tmp_path: Path) -> None:
    names = [f"number_{number}" for number in range(20)]
    passed, told = run_pytest(tmp_path, LONG + "".join(map(ASYNC.format, names)))
    assert sorted(name.partition("[")[0] for name in passed) == sorted(f"test_{name}" for name in names), told
    assert {name.partition("[")[2].rstrip("]") for name in passed} == set(LOOPS)


def test_async_tests_run_on_every_loop_and_long_tests_run_where_that_is_asked_for(tmp_path: Path) -> None:
    passed, told = run_pytest(tmp_path, LONG + ASYNC.format("one"), "--long", "--every-loop")
    assert passed == {"test_long", *(f"test_one[{kind}]" for kind in LOOPS)}, told


@pytest.mark.parametrize(
    ("test", "why"),
    [(LEAVE_A_TASK, "the test left tasks behind"), (LEAVE_A_SOCKET, "ResourceWarning: unclosed <socket")],
    ids=["task", "socket"],
)
def test_a_test_that_leaves_something_behind_fails(test: str, why: str, tmp_path: Path) -> None:
    passed, told = run_pytest(tmp_path, test, "--every-loop")
    assert not passed
    assert f"{len(LOOPS)} failed" in told
    assert why in told
