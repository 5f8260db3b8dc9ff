"""`python -m prose`: a line for each place in the pages that is not plain English."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from .bare_who import find_bare_who
from .complaint import Complaint
from .harper import lint

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = (
    "README.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/**/*.md",
    "bench/results/README.md",
)


def find_pages() -> Sequence[Path]:
    """The pages of the project."""
    here = Path.cwd()
    found = sorted(page for pattern in PAGES for page in ROOT.glob(pattern))
    return [page.relative_to(here) if page.is_relative_to(here) else page for page in found]


def check_who(page: Path) -> Iterator[Complaint]:
    """Complain of each clause that begins with "who"."""
    text = page.read_text()
    for place in find_bare_who(text):
        line, column = text.count("\n", 0, place) + 1, place - text.rfind("\n", 0, place)
        clause = text[place : place + 30].partition("\n")[0]
        yield Complaint(page, line, column, "BareWho", "Name who is meant: `a client that`.", clause)


@click.command()
@click.argument("pages", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(pages: Sequence[Path]) -> None:
    """Check PAGES, or all pages of the project."""
    pages = pages or find_pages()
    complaints = sorted([*lint(pages), *(complaint for page in pages for complaint in check_who(page))])
    for complaint in complaints:
        click.echo(complaint)
    if complaints:
        raise SystemExit(1)
    click.echo(f"Pages: {len(pages)}; complaints: 0.")


if __name__ == "__main__":
    main()
