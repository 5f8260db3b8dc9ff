"""Write the generated parts of the reference, and see that everything public has a text: `python -m docsite`."""

from __future__ import annotations

import sys

from .library import undocumented
from .reference import UndocumentedError, pages, rewritten


def write() -> None:
    """Write the pages that have changed.

    Raises:
        UndocumentedError: something public has no text.
    """
    if missing := list(undocumented()):
        raise UndocumentedError(f"no docstring: {', '.join(missing)}")
    for page in pages():
        before = page.read_text()
        after = rewritten(before)
        if after != before:
            page.write_text(after)


try:
    write()
except UndocumentedError as error:
    sys.exit(f"docs: {error}")
