"""How `make` sets up its virtual environment, with Pythons that are made up."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support.programs import Finished, finish, require_program

MAKEFILE = Path(__file__).parents[1] / "Makefile"

OLD = f"""\
exec {sys.executable} -c 'import sys; sys.version_info = (3, 9, 2); exec(sys.argv.pop())' "$2"
"""
"""A Python that runs code, and says that it is 3.9."""

WITHOUT_VENV = """\
[ "$1" = -c ] && exit
mkdir -p "$3" && touch "$3/pyvenv.cfg"
echo "ensurepip is not available" >&2
exit 1
"""
"""A new Python that Debian has taken apart."""

NEW = """\
[ "$1" = -c ] && exit
# As the real one, it leaves a file that is there as it is.
set -e -o noclobber
mkdir -p "$3/bin" && touch "$3/pyvenv.cfg"
printf '#!/bin/sh\\necho "$@"\\n' >"$3/bin/python"
printf '#!/bin/sh\\necho serving\\n' >"$3/bin/hubbub"
chmod +x "$3/bin/python" "$3/bin/hubbub"
"""
"""A new Python, and in its environment one that prints what it is asked."""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "Makefile").write_bytes(MAKEFILE.read_bytes())
    (tmp_path / "pyproject.toml").touch()
    for name, script in (("old", OLD), ("without-venv", WITHOUT_VENV), ("new", NEW)):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}")
        path.chmod(0o755)
    return tmp_path


def serve(clone: Path, python: str) -> Finished:
    """`make serve` with a Python."""
    # As if `make test` had not started this.
    alone = ("env", *(f"--unset={name}" for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "VENV", "PYTHON")))
    make = (require_program("make"), "--no-print-directory", "serve", f"PYTHON={clone / python}")
    return finish(*alone, *make, cwd=clone)


@pytest.mark.parametrize(
    ("python", "message"),
    [
        (
            "old",
            "hubbub needs Python 3.11 or newer, and {python} is 3.9; choose another one, as in: make PYTHON=python3",
        ),
        ("missing", "hubbub needs Python, and there is no {python}; choose another one, as in: make PYTHON=python3"),
        ("without-venv", "ensurepip is not available"),
    ],
)
def test_a_python_that_cannot_be_used_is_named_and_leaves_nothing_behind(
    clone: Path, python: str, message: str
) -> None:
    finished = serve(clone, python)
    assert finished.status == 2
    line, of_make = finished.errors.splitlines()
    assert line.startswith(message.format(python=clone / python))
    assert of_make.startswith("make: *** ")
    assert not (clone / ".venv").exists()


@pytest.mark.parametrize("before", [None, "missing", "old"])
def test_it_shows_progress_and_replaces_what_cannot_be_repaired(clone: Path, before: str | None) -> None:
    if before is not None:
        (clone / ".venv" / "bin").mkdir(parents=True)
        (clone / ".venv" / "bin" / "python").symlink_to(clone / before)
        (clone / ".venv" / "pyvenv.cfg").touch()
    finished = serve(clone, "new")
    assert (finished.status, finished.errors) == (0, "")
    first, *_, pip, last = finished.output.splitlines()
    assert first.startswith("Setting up .venv, once: ")
    assert pip == "-m pip install --disable-pip-version-check --editable .[web]"
    assert last == "serving"
    assert serve(clone, "new").output == "serving\n"
