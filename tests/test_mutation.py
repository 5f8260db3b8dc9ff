"""The mutation run: which changes it makes of a source, and that tests which notice a change kill its mutant."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from mutation.__main__ import CORE, ROOT, core
from mutation.mutants import find_mutants


def changes(source: str) -> list[str]:
    """What becomes of a source of one line, in each of its mutants."""
    mutants = find_mutants(Path("module.py"), source.encode())
    changed = [mutant.apply(source.encode()).decode() for mutant in mutants]
    for each in changed:
        ast.parse(each)
    assert changed == [mutant.after for mutant in mutants]
    return changed


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", ["(a <= b)", "(a >= b)", "(a != b)"]),
        ("a <= b == c", ["(a < b == c)", "(a > b == c)", "(a <= b != c)"]),
        ("a is None", ["(a is not None)"]),
        ("a not in b", ["(a in b)"]),
        ("a or b or c", ["(a and b and c)", "(b or c)", "(a or c)", "(a or b)"]),
        ("not a", ["a"]),
        ("not (a or b)", ["(a or b)", "not ((a and b))", "not (b)", "not (a)"]),
        ("(a + b) * c", ["((a + b) // c)", "((a - b)) * c"]),
        ("a += b", ["a -= b"]),
        ("a = 1", ["a = 2", "a = 0"]),
        ("a = 0.5", ["a = 1.5", "a = (-0.5)"]),
        ("a = True", ["a = False"]),
        ("f(a)", ["pass"]),
        ("await f(a)", ["pass"]),
        ("del a", ["pass"]),
        ("if a.b: c", ["if (not a.b): c"]),
        ("while a(): c", ["while (not a()): c"]),
        ("a if b else c", ["a if (not b) else c"]),
        ("def f(): return a", ["def f(): return None"]),
        ("def f(): return None", []),
        (
            "def f(a: B[1], b: int = 2) -> C[3]: d",
            ["def f(a: B[1], b: int = 3) -> C[3]: d", "def f(a: B[1], b: int = 1) -> C[3]: d"],
        ),
        ("'text'", []),
        ("a = f'{b + c}'", []),
        ("if TYPE_CHECKING: f(1)", []),
    ],
)
def test_a_source_has_a_mutant_for_each_small_change(source: str, expected: list[str]) -> None:
    assert changes(source) == expected


def test_a_mutant_says_where_it_is_and_what_it_changes() -> None:
    source = 'name = "ü"\nif (name and\n        other < 1):\n    pass\n'
    shown = [str(mutant) for mutant in find_mutants(Path("module.py"), source.encode())]
    assert shown[0] == "module.py:2: if (name and other < 1):  ->  if ((name or other < 1)):"
    assert "module.py:3: other < 1):  ->  (other <= 1)):" in shown


def test_the_core_and_its_tests_are_where_the_table_says() -> None:
    for glob, tests in CORE.items():
        assert list(ROOT.glob(glob)), f"there is no {glob}"
        for path in tests:
            assert (ROOT / path).exists(), f"there is no {path}"


def test_every_file_of_the_core_has_mutants_that_can_be_compiled() -> None:
    for file in core():
        source = (ROOT / file).read_bytes()
        mutants = find_mutants(file, source)
        for mutant in mutants[::10]:
            compile(mutant.apply(source), str(file), "exec")


@pytest.mark.long
def test_a_mutant_that_a_test_notices_is_killed() -> None:
    file = "src/hubbub/framing/base.py"
    command = [sys.executable, "-m", "mutation", "--sample", "2", file]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"| {file} | 2 | 2 | 0 | 100% |\n| all | 2 | 2 | 0 | 100% |" in done.stdout
