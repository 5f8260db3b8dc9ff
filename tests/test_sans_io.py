"""The core does no I/O: what it imports, directly or through the package, cannot do any."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import hubbub

ROOT = Path(hubbub.__file__).parent

CORE = [
    "address",
    "admission",
    "cursor",
    "endings",
    "exceptions",
    "log",
    "pace",
    "proxy",
    "settings",
    "standstill",
    "telnet",
    "text",
    # All but the one that scans the folder.
    *sorted(f"framing/{path.stem}" for path in (ROOT / "framing").glob("*.py") if path.stem != "names"),
    *(f"bench/{name}" for name in ("blocks", "check", "figures", "floor", "latency", "lines", "measurement", "plan")),
]

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


def file_of(module: str) -> Path:
    """The file of a module, named as a path below the package."""
    path = ROOT / module
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All below `node` that runs: not what is for the type checker alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            for branch in child.orelse:
                yield branch
                yield from runtime_nodes(branch)
        else:
            yield child
            yield from runtime_nodes(child)


def imports_of(module: str) -> tuple[set[str], set[str]]:
    """What a module imports: the names of others' top-level modules, and modules of the package."""
    foreign: set[str] = set()
    own: set[str] = set()
    path = file_of(module)
    for node in runtime_nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            foreign |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            foreign.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.ImportFrom):
            parent = path.parents[node.level - 1]
            if node.module:
                own.add((parent / node.module.replace(".", "/")).relative_to(ROOT).as_posix())
            else:
                own |= {(parent / alias.name).relative_to(ROOT).as_posix() for alias in node.names}
    return foreign, own


def reached_from(module: str) -> set[str]:
    """The top-level modules of others that importing `module` imports, by itself or through the package."""
    reached: set[str] = set()
    seen: set[str] = set()
    todo = [module]
    while todo:
        if (current := todo.pop()) not in seen:
            seen.add(current)
            foreign, own = imports_of(current)
            reached |= foreign
            todo += own
    return reached


@pytest.mark.parametrize("module", CORE)
def test_a_module_of_the_core_imports_nothing_that_does_io(module: str) -> None:
    reached = reached_from(module)
    assert not reached & IO_MODULES
    # The package's own name would lead around the relative imports that are followed here.
    assert "hubbub" not in reached


@pytest.mark.parametrize("module", ["pulse", "room", "cli"])
def test_an_import_that_does_io_would_be_found(module: str) -> None:
    assert "asyncio" in reached_from(module)
