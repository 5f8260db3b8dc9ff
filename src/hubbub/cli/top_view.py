"""What `hubbub top` shows: the figures and one of two lists, sorted, filtered and scrolled. It does no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..values.text import printable
from .top_look import COUNTS
from .top_table import CONNECTIONS, GAP, ROOMS, Layout, age, columns_of, count, cut, find, fit, size, sort, widths_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from .top_look import Look
    from .top_table import Column

Fragments: TypeAlias = "list[tuple[str, str]]"
"""A line, as pieces of text, each with its style before it."""

FILTER_LIMIT: Final = 64
"""How many characters a filter may have."""

ALWAYS: Final = 3
"""So many of the counts are shown even if they are 0."""

BELOW: Final = 6
"""The least lines that a small terminal leaves for what is below the figures."""

AROUND: Final = 4
"""How many of these are not rows: the line of the lists, the titles of the columns, and two lines of keys."""

ENTRY: Final = "   "
"""Between two entries of a line."""


@dataclass(slots=True)
class _List:
    """One of the two lists: how it is sorted, and how far it is scrolled."""

    title: str
    columns: Sequence[Column]
    rows: Callable[[Look], Mapping[str, Any]]
    sorted_by: Column
    backwards: bool = False
    first: int = 0


def figures(look: Look) -> Iterator[str]:
    """The figures of a server as lines."""
    shown = [name for number, name in enumerate(COUNTS) if number < ALWAYS or look.figures[name]]
    yield ENTRY.join(f"{name} {look.figures[name]:,}" for name in shown)
    said = f"said {count(look.said.messages)} messages/s, {size(look.said.bytes)}/s"
    yield ENTRY.join([said] if look.heard is None else [said, f"heard {count(look.heard)} messages/s"])
    endings = sorted(look.endings.items(), key=lambda ending: -ending[1])
    yield f"endings {', '.join(f'{code} {number:,}' for code, number in endings) or 'none'}"
    store = look.store
    if store is None:
        yield "store none"
    else:
        commits = f"commits take {store.commit_p50 * 1000:.1f} ms, 99 % up to {store.commit_p99 * 1000:.1f} ms"
        entries = [f"store {size(store.size)}", f"{size(store.pending)} waiting", commits]
        yield ENTRY.join(entries if not store.out else [*entries, "OUT: it takes nothing"])


def plain(url: str, look: Look) -> Iterator[str]:
    """A look as text for pipes: the figures, and all rows of both lists."""
    yield f"{url}{ENTRY}up {age(look.uptime)}"
    yield from figures(look)
    if look.trouble is not None:
        yield f"trouble: {look.trouble}"
    for rows, columns in ((look.rooms, ROOMS), (look.connections, CONNECTIONS)):
        layout = Layout(widths_of([column for column in columns if column.looks == 1], rows.values()))
        yield ""
        yield layout.titles()
        yield from map(layout.line, rows.values())
    if look.more:
        yield ""
        yield "There are more, which are not shown."


@dataclass
class View:
    """What is shown, and what keys change about it.

    Args:
        url: the server's, as the user wrote it.
        look: the newest look.

    Attributes:
        problem: since when the look is out of date, and why; None: it is up to date.
        pause: how long it is until the next look, in seconds, if that is longer than usual; else None.
        filter: the text that rows must have.
        typing: whether the filter is being typed.
    """

    url: str
    look: Look
    problem: str | None = None
    pause: float | None = None
    filter: str = ""
    typing: bool = False
    _lists: list[_List] = field(
        default_factory=lambda: [
            _List("Connections", CONNECTIONS, lambda look: look.connections, CONNECTIONS[0]),
            _List("Rooms", ROOMS, lambda look: look.rooms, ROOMS[0]),
        ]
    )
    # The rows of the list that is shown, once they are sorted, and how wide they are; None: something has changed.
    _rows: tuple[list[Any], Mapping[Column, int]] | None = None
    # How many of them had a place when it was drawn last.
    _page: int = 1

    def show(self, look: Look, pause: float | None) -> None:
        """Take a new look."""
        self.look, self.pause, self.problem = look, pause, None
        self._rows = None

    def press(self, key: str) -> None:
        """What a key does: a character, or the name of another key. Others do nothing."""
        if self.typing:
            self._type(key)
            return
        shown = self._lists[0]
        everything = len(shown.rows(self.look))
        steps = {"up": -1, "down": 1, "pageup": -self._page, "pagedown": self._page}
        shown.first += {**steps, "home": -everything, "end": everything}.get(key, 0)
        match key:
            case "tab":
                self._lists.reverse()
                self._rows = None
            case "r":
                shown.backwards = not shown.backwards
                self._rows = None
            case "/":
                self.typing = True
            case "escape":
                self._set_filter("")
            case _:
                for column in shown.columns:
                    if column.letter == key:
                        shown.sorted_by, shown.backwards, shown.first = column, False, 0
                        self._rows = None

    def paste(self, text: str) -> None:
        """Add to the filter, if it is being typed."""
        if self.typing:
            self._set_filter(self.filter + printable(text.partition("\n")[0]))

    def draw(self, width: int, height: int) -> list[Fragments]:
        """The lines of a terminal of that size. Only rows that have a place are written."""
        shown = self._lists[0]
        rows, widths = self._sorted()
        head = list(self._head())[: max(1, height - BELOW)]
        self._page = max(1, height - len(head) - AROUND)
        shown.first = max(0, min(shown.first, len(rows) - self._page))
        seen = rows[shown.first : shown.first + self._page]
        layout = Layout(widths, width, shown.sorted_by)
        lines = [*head, self._title(len(rows), len(seen)), [("class:titles", fit(layout.titles(), width))]]
        lines += [[("", layout.line(row))] for row in seen]
        lines += [[] for _ in range(self._page - len(seen))]
        lines += [self._sort_keys(layout, width), self._other_keys()]
        return [_cut(line, width) for line in lines[:height]]

    def _sorted(self) -> tuple[list[Any], Mapping[Column, int]]:
        if self._rows is None:
            shown = self._lists[0]
            rows: Iterable[Any] = shown.rows(self.look).values()
            if self.filter:
                rows = find(rows, shown.columns, self.filter)
            rows = sort(rows, shown.sorted_by, backwards=shown.backwards)
            self._rows = rows, widths_of(shown.columns, rows)
        return self._rows

    def _head(self) -> Iterator[Fragments]:
        slower = f"{ENTRY}a look every {self.pause:.0f} s" if self.pause is not None else ""
        yield [("class:name", self.url), ("", f"{ENTRY}up {age(self.look.uptime)}{slower}")]
        if self.problem is not None:
            yield [("class:problem", self.problem)]
        if self.look.trouble is not None:
            yield [("class:problem", f"trouble: {self.look.trouble}")]
        for line in figures(self.look):
            label, _, rest = line.partition(" ")
            yield [("class:label", label), ("", f" {rest}")]

    def _title(self, found: int, seen: int) -> Fragments:
        shown, other = self._lists
        total = len(shown.rows(self.look))
        first = shown.first + 1 if seen else 0
        where = f"{first:,}-{shown.first + seen:,} of {found:,}" if seen < found else f"{found:,}"
        where += f" of {total:,}" if found < total else ""
        where += ", and more" if self.look.more else ""
        line = [("class:list", f" {shown.title} {where} ")]
        if self.typing or self.filter:
            line.append(("class:filter", f"{GAP}/{self.filter}{'_' if self.typing else ''}"))
        order = ("a-z", "z-a") if not shown.sorted_by.is_number else ("largest first", "smallest first")
        line.append(("", f"{GAP}by {shown.sorted_by.title.lower()}, {order[shown.backwards]}"))
        return [*line, ("", f"{GAP}({other.title} {len(other.rows(self.look)):,})")]

    def _sort_keys(self, layout: Layout, width: int) -> Fragments:
        columns = layout.columns
        length = len("sort:") + sum(len(f"{GAP}{column.letter} {column.title}") for column in columns)
        gap = GAP if length <= width else " "
        line: Fragments = [("", "sort:")]
        for column in columns:
            style = "class:chosen" if column is self._lists[0].sorted_by else ""
            line += [("", gap), ("class:key", column.letter), ("", " "), (style, column.title.lower())]
        return line

    def _other_keys(self) -> Fragments:
        if self.typing:
            keys = [("Enter", "done"), ("Esc", "all rows")]
        else:
            keys = [("q", "quit"), ("Tab", self._lists[1].title.lower()), ("/", "filter"), ("r", "reverse")]
            keys.append(("Up Down PgUp PgDn", "scroll"))
            if self.filter:
                keys.insert(1, ("Esc", "all rows"))
        line: Fragments = []
        for key, what in keys:
            line += [("class:key", key), ("", f" {what}{GAP}")]
        return line

    def _type(self, key: str) -> None:
        match key:
            case "enter":
                self.typing = False
            case "escape":
                self.typing = False
                self._set_filter("")
            case "backspace":
                self._set_filter(self.filter[:-1])
            case _ if len(key) == 1:
                self.paste(key)

    def _set_filter(self, text: str) -> None:
        self.filter = text[:FILTER_LIMIT]
        self._lists[0].first = 0
        self._rows = None


def _cut(line: Fragments, width: int) -> Fragments:
    """The line, cut to `width` columns."""
    kept: Fragments = []
    for style, text in line:
        kept.append((style, cut(text, width)))
        width -= columns_of(kept[-1][1])
    return kept
