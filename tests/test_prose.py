"""The check of the pages: each rule complains of a bad sentence, and of no good one."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from prose.__main__ import find_pages
from prose.bare_who import find_bare_who
from prose.harper import RULES, run_harper
from support.programs import Finished, finish

ROOT = Path(__file__).parent.parent

BAD = {
    "AnA": "It sends an message.",
    "BareWho": "The server waits, who connects waits too.",
    "LongSentences": f"The server {'waits and ' * 19}waits.",
    "RepeatedWords": "It sends the the message.",
    "SpellCheck": "It sends a mesage.",
}
"""A bad sentence for each rule that is not a file of ours."""


def examples(rule: Path) -> Sequence[tuple[str, str]]:
    """The tests in a rule's file: a sentence, and what becomes of it."""
    return re.findall(r'^test "(.*)" "(.*)"$', rule.read_text(), re.MULTILINE)


def check(page: Path, *sentences: str) -> Finished:
    """`python -m prose` on a page with these sentences, a paragraph each."""
    page.write_text("".join(f"{sentence}\n\n" for sentence in sentences))
    return finish(sys.executable, "-m", "prose", str(page), cwd=ROOT)


def test_all_pages_are_checked() -> None:
    assert {page.resolve() for page in find_pages()} >= {*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.stem))
def test_each_rule_has_an_example_that_it_changes_and_one_that_it_does_not(rule: Path) -> None:
    assert any(before != after for before, after in examples(rule))
    assert any(before == after for before, after in examples(rule))


@pytest.mark.long
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.stem))
def test_each_rule_does_what_its_examples_show(rule: Path) -> None:
    tested = run_harper("test", rule)
    assert tested.returncode == 0, tested.stderr


@pytest.mark.long
def test_each_rule_complains_of_its_bad_sentence(tmp_path: Path) -> None:
    bad = BAD | {rule.stem: next(before for before, after in examples(rule) if before != after) for rule in RULES}
    page = tmp_path / "page.md"
    checked = check(page, *bad.values())
    assert checked.status == 1
    complaints = re.findall(rf"^{page}:(\d+):\d+: (\w+): ", checked.output, re.MULTILINE)
    lines = {name: str(2 * place + 1) for place, name in enumerate(bad)}
    assert {(lines[name], name) for name in bad} == set(complaints)


@pytest.mark.long
def test_no_rule_complains_of_good_sentences_or_of_code(tmp_path: Path) -> None:
    good = [before for rule in RULES for before, after in examples(rule) if before == after]
    longest = f"The server {'waits and ' * 18}waits."
    code = "```\nwhoever mends it anew\n```\n\nRun `lest` again."
    checked = check(tmp_path / "page.md", *good, longest, "# The colour of ConnectionClosed", code)
    assert (checked.status, checked.output) == (0, "Pages: 1; complaints: 0.\n")


@pytest.mark.parametrize(
    "sentence",
    [
        "Who connects waits.",
        "It is full. Who connects waits.",
        "It waits, who connects waits.",
        "Wait for\nwho connects.",
        "- who connects waits.",
    ],
)
def test_a_clause_that_begins_with_who_lacks_its_noun(sentence: str) -> None:
    (place,) = find_bare_who(f"A page.\n\n{sentence}\n")
    assert f"A page.\n\n{sentence}"[place:].lower().startswith("who connects")


@pytest.mark.parametrize(
    "sentence",
    [
        "Clients who connect wait.",
        "Anybody\nwho connects waits.",
        "It tells who connects.",
        "Who connects, and why?",
        "Who it is for",
        "# Who connects",
        "| who connects | why |",
        "Anybody who reads, or who writes, counts.",
        "Run `x, who connects`.",
        "```\nx, who connects\n```",
        "    ```\n    x, who connects\n    ```",
    ],
)
def test_who_may_come_after_a_noun_and_begin_a_question_a_heading_or_a_cell_of_a_table(sentence: str) -> None:
    assert not list(find_bare_who(f"A page.\n\n{sentence}\n"))
