"""The workflows of the code host: they cannot run here, but linters read them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support.programs import finish

FOLDER = Path(__file__).parents[1] / ".github" / "workflows"
BIN = Path(sys.executable).parent

WORKFLOWS = [str(path) for path in sorted(FOLDER.glob("*.yml"))]


@pytest.mark.long
@pytest.mark.parametrize(
    "linter",
    [
        ("check-jsonschema", "--builtin-schema", "vendor.github-workflows"),
        # Among others: few rights, and actions pinned by the hash of their commit.
        ("zizmor", "--offline"),
    ],
    ids=lambda linter: str(linter[0]),
)
def test_a_linter_has_nothing_against_the_workflows(linter: tuple[str, ...]) -> None:
    program, *options = linter
    done = finish(str(BIN / program), *options, *WORKFLOWS)
    assert done.status == 0, done


def test_the_gate_is_what_a_developer_runs() -> None:
    assert '- run: sudo env "PATH=$PATH" .ci/run\n' in (FOLDER / "ci.yml").read_text()
