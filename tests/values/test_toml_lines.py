"""On which line of a TOML file something is set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hubbub.values.toml_lines import find_line

KEYS = [f"key-{number}" for number in range(5)]

# Values as they are written, some of which look like keys.
values = st.sampled_from(
    [
        "1",
        '"text"  # and a comment',
        '"key-3 = 1"',
        "{ a = 1, key-2 = [1, 2] }",
        "[1, 2]",
        "[\n]",
        "[\n  \"\", '',\n]",
        '[\n  "one",\n  # "key-1 = 2"\n\n  "two",\n]',
        "[\n  [1],\n  [2]]",
        '"""\nkey-4 = 1\n[key-2]\n"""',
        "'''\n'''",
        "'''key-0 = 1\n\n# no comment'''",
    ]
)
between = st.lists(st.sampled_from(["", "# key-4 = 1", "   ", "#"]), max_size=3)


@given(st.permutations(KEYS), st.lists(st.tuples(between, values), min_size=1, max_size=len(KEYS)), st.booleans())
def test_the_line_of_a_key_is_found_whatever_stands_before_it(
    keys: list[str], entries: list[tuple[list[str], str]], ends: bool
) -> None:
    lines: list[str] = []
    numbers: dict[str, int] = {}
    for key, (before, value) in zip(keys, entries, strict=False):
        lines += before
        # Lines that are blank or comments are no part of what follows.
        numbers[key] = len(lines) + 1
        lines += f"{key} = {value}".split("\n")
    text = "\n".join(lines) + ("\n" if ends else "")
    assert {key: find_line(text, key) for key in numbers} == numbers


def test_the_line_of_a_table_is_found_among_several() -> None:
    text = 'app = "relay"\n[[listen]]\nurl = "tcp://h:1"\n[[listen]]\nrole = "read"\nurl = "tcp://h:2"\n'
    assert [find_line(text, "listen", part=part) for part in ("tcp://h:1", "tcp://h:2", None)] == [3, 6, 2]


def test_the_line_of_a_key_is_found_in_its_own_table() -> None:
    text = 'may = 1\n[boat]\nmay = [\n  "read",\n]\n\n[shore]\n# may = 2\nmay = 3\nrooms = ["x"]\n'
    places = {("may",): 1, ("boat",): 2, ("boat", "may"): 3, ("shore",): 7, ("shore", "may"): 9, ("shore", "rooms"): 10}
    assert {path: find_line(text, *path) for path in places} == places
    assert find_line(text, "boat", "may", part="read") == 4
    # A value is not a table.
    assert find_line('a = 1\nb.a.c = "x"', "b", "a", "c") == 2


def test_a_line_is_found_in_a_long_file_without_reading_its_beginning_for_each_of_its_lines() -> None:
    text = "".join(f'[key-{number}]\nmay = ["read"]\n' for number in range(2000))
    assert find_line(text, "key-1999", "may") == 4000
