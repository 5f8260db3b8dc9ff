"""The pre-commit configuration: it is valid, and its hooks run what the gate runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from support.programs import require_program

ROOT = Path(__file__).parent.parent
MAKEFILE = "%:\n\t@echo make $@ >>ran\n"


def test_the_hooks_make_lint_and_types_and_nothing_else(tmp_path: Path) -> None:
    git = require_program("git")
    require_program("make")
    shutil.copy(ROOT / ".pre-commit-config.yaml", tmp_path)
    (tmp_path / "Makefile").write_text(MAKEFILE)
    environment = {**os.environ, "PRE_COMMIT_HOME": str(tmp_path / "cache"), "MAKEFLAGS": ""}
    pre_commit = (sys.executable, "-m", "pre_commit", "run", "--all-files")
    for command in ((git, "init", "--quiet"), (git, "add", "Makefile"), pre_commit):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "ran").read_text() == "make lint\nmake types\n"
