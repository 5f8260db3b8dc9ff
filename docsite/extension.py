"""What griffe does not see by itself in the code of hubbub: see `Facts`."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import griffe

if TYPE_CHECKING:
    from collections.abc import Iterator


class Facts(griffe.Extension):
    """Shows the value of a default that is a constant, and the type of an attribute that is an argument.

    The code has `port: int = DEFAULT_PORT` and `self.peer = peer`. A reader of the reference wants `port: int = 5000`,
    and to know that `peer` is a `str`.
    """

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Change the signatures and attributes of a package that has been loaded."""
        for thing in _things(pkg):
            if isinstance(thing, griffe.Function):
                for parameter in thing.parameters:
                    parameter.default = _value(parameter.default, pkg)
            elif isinstance(thing, griffe.Attribute) and isinstance(thing.parent, griffe.Class):
                if "class-attribute" in thing.labels:
                    # The fields of a dataclass are its arguments.
                    thing.value = _value(thing.value, pkg)
                thing.annotation = thing.annotation or _type_of_argument(thing)


def _things(owner: griffe.Module | griffe.Class) -> Iterator[griffe.Object]:
    for member in owner.members.values():
        if isinstance(member, griffe.Object):
            yield member
            if isinstance(member, griffe.Module | griffe.Class):
                yield from _things(member)


def _value(default: str | griffe.Expr | None, package: griffe.Module) -> str | griffe.Expr | None:
    """A default; the literal, as it is written, if it is the name of a constant of the package."""
    if isinstance(default, griffe.ExprName) and default.canonical_path.startswith(f"{package.name}."):
        constant = package[default.canonical_path.removeprefix(f"{package.name}.")]
        if isinstance(constant, griffe.Attribute):
            literal: str = constant.source.rpartition(" = ")[2]
            if isinstance(ast.parse(literal, mode="eval").body, ast.Constant):
                return literal
    return default


def _type_of_argument(attribute: griffe.Attribute) -> str | griffe.Expr | None:
    """The type of the argument of `__init__` that an attribute keeps; None: it keeps something else."""
    init = attribute.parent.members.get("__init__") if attribute.parent else None
    if isinstance(init, griffe.Function) and attribute.name == str(attribute.value):
        return next((each.annotation for each in init.parameters if each.name == attribute.name), None)
    return None
