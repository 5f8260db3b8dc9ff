"""The abuse suite: its figures are printed as a table, and every test of it is marked.

Its long tests are large, and measure.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.figures import table

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.abuse)
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.quiet)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if rows := table():
        terminalreporter.section("figures of the abuse suite")
        for row in rows:
            terminalreporter.write_line(row)
