"""What the modules of a package import, read from their source: what is for type checkers only, too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Import:
    """One import of a module, by its full name. Those for type checkers only do not run."""

    module: str
    line: int
    runs: bool


@dataclass(frozen=True)
class Package:
    """The source of a package in a folder of its name, with the file of each module by its full name."""

    root: Path
    modules: dict[str, Path]

    @classmethod
    def at(cls, root: Path) -> Package:
        """The package in the folder `root`."""
        modules: dict[str, Path] = {}
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root.parent).with_suffix("").parts
            modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
        return cls(root, modules)

    def imports_of(self, module: str) -> list[Import]:
        """What a module imports. A name that is a module itself counts as that module, and not as its package."""
        path = self.modules[module]
        # Within a package's own file, one dot is the package.
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        found: list[Import] = []
        for node, runs in _walk(ast.parse(path.read_text()), runs=True):
            if isinstance(node, ast.Import):
                found += [Import(alias.name, node.lineno, runs) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    above = package.split(".")[: len(package.split(".")) - node.level + 1]
                    base = ".".join([*above, *([base] if base else [])])
                names = [f"{base}.{alias.name}" for alias in node.names]
                imported = dict.fromkeys(name if name in self.modules else base for name in names)
                found += [Import(name, node.lineno, runs) for name in imported]
        return found


def _walk(node: ast.AST, *, runs: bool) -> Iterator[tuple[ast.AST, bool]]:
    """All below `node`, each with whether it runs: functions count as run."""
    for child in ast.iter_child_nodes(node):
        yield child, runs
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            for branches, run in ((child.body, False), (child.orelse, runs)):
                for branch in branches:
                    yield branch, run
                    yield from _walk(branch, runs=run)
        else:
            yield from _walk(child, runs=runs)
