"""The topics: what they list is what there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from support.programs import HUBBUB, finish, hubbub_serve
from support.transcripts import parse

ROOT = Path(__file__).parents[2]
TOPICS = ROOT / "docs" / "topics"


def listing(root: str) -> dict[str, set[str]]:
    """What the layout lists below a root: the names in each folder, by the folder's name; "" for the root itself."""
    page = (TOPICS / "architecture.md").read_text()
    lines = page.partition(f"```\n{root}/")[2].partition("```")[0].splitlines()[1:]
    names: dict[str, set[str]] = {"": set()}
    folder = ""
    for line in lines:
        name, _, rest = line.strip().partition(" ")
        if line.startswith("    "):
            names[folder].add(name.rstrip("/"))
            continue
        folder = name.rstrip("/")
        names[""].add(folder)
        # A folder may have its files behind it, on its own line.
        names[folder] = set(re.findall(r"^(?:\s+\w+\.py)+$", rest) and rest.split())
    return names


def contents(folder: Path) -> set[str]:
    """The files and folders of code in it, but for files that only mark packages and folders that hold nothing."""
    kept = {path.name for path in folder.iterdir() if path.suffix == ".py" or any(path.glob("[!_]*"))}
    return kept - {"__init__.py", "__main__.py", "py.typed", "__pycache__"}


def test_the_layout_lists_every_folder_of_the_package() -> None:
    assert listing("src/hubbub")[""] - {"__init__.py"} == contents(ROOT / "src" / "hubbub")


@pytest.mark.parametrize("folder", sorted(contents(ROOT / "src" / "hubbub") - {"cli"}))
def test_the_layout_lists_every_file_of_a_folder(folder: str) -> None:
    assert listing("src/hubbub")[folder] == contents(ROOT / "src" / "hubbub" / folder)


def test_the_layout_lists_the_comparison() -> None:
    assert listing("bench")[""] == contents(ROOT / "bench") - {"build"}


def test_each_guarantee_has_a_test_with_its_number() -> None:
    promised = set(re.findall(r"^- \*\*(G\d) ", (TOPICS / "guarantees.md").read_text(), re.MULTILINE))
    tests = (ROOT / "tests" / "end_to_end" / "test_guarantees.py").read_text()
    assert promised == {f"G{number}" for number in re.findall(r"^async def test_g(\d)_", tests, re.MULTILINE)}
    assert len(promised) == 7


def test_the_list_of_topics_has_each_page() -> None:
    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", (TOPICS / "README.md").read_text()))
    assert listed == {path.name for path in TOPICS.glob("*.md")} - {"README.md"}


@pytest.mark.long
def test_the_examples_of_the_bench_measure_a_server(tmp_path: Path, default_port: None) -> None:
    (block,) = (block for block in parse((TOPICS / "load.md").read_text()) if block.kind == "sh")
    with hubbub_serve("relay", "--port", "5000", "--quiet"):
        for command in block.lines:
            program, *arguments = shlex.split(command)
            assert program == "hubbub"
            done = finish(*HUBBUB, *arguments, cwd=tmp_path, env={"HUBBUB_BENCH_TIME": "0.2"})
            assert done.status == 0, done.errors
    assert (tmp_path / "latency.svg").exists()
