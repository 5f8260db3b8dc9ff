"""The core does no I/O: what it imports, directly or through the package, cannot do any."""

from __future__ import annotations

from pathlib import Path

import pytest

import hubbub

from support.imports import Package

FOLDERS = ("values", "framing", "log")
"""No module in them does I/O."""

MODULES = (
    "client.objects",
    "client.reply",
    "client.http_url",
    "cli.top_look",
    "cli.top_table",
    "cli.top_view",
    "door.limits",
    "door.proxy",
    "server.unchanged",
    *(f"load.{name}" for name in ("blocks", "check", "figures", "floor", "latency", "lines", "measurement", "plan")),
)
"""Nor do these, in folders of which others may."""

# A clock and a random figure are input, too: they are handed in, or the module has a reason to be named here.
IO_MODULES = {
    "asyncio",
    "concurrent",
    "http",
    "multiprocessing",
    "os",
    "queue",
    "random",
    "select",
    "selectors",
    "signal",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "time",
    "uvloop",
}

PACKAGE = Package.at(Path(hubbub.__file__).parent)

CORE = [
    *(module for module in PACKAGE.modules if module.removeprefix("hubbub.").partition(".")[0] in FOLDERS),
    *(f"hubbub.{module}" for module in MODULES),
]


def reached_from(module: str) -> set[str]:
    """The top-level modules of others that importing `module` imports, by itself or through the package."""
    reached: set[str] = set()
    seen: set[str] = set()
    todo = [module]
    while todo:
        if (current := todo.pop()) in seen:
            continue
        seen.add(current)
        for each in PACKAGE.imports_of(current):
            if each.module in PACKAGE.modules and each.runs:
                todo.append(each.module)
            elif each.runs:
                reached.add(each.module.partition(".")[0])
    return reached


@pytest.mark.parametrize("module", CORE)
def test_a_module_of_the_core_imports_nothing_that_does_io(module: str) -> None:
    assert not reached_from(module) & IO_MODULES


@pytest.mark.parametrize("module", ["hubbub.wire.pulse", "hubbub.hub.room", "hubbub.cli"])
def test_an_import_that_does_io_would_be_found(module: str) -> None:
    assert "asyncio" in reached_from(module)
