"""The mutants of a source file: each is one small change that a test should notice.

A mutant is a replacement of one piece of the source text, so that it can be shown as it is written. The syntax tree
says where the pieces are. What never runs (annotations, `if TYPE_CHECKING`) and text (docstrings, f-strings) are left
alone.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE, ast.NotEq),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE, ast.NotEq),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}

ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}

BINDS = (ast.BoolOp, ast.BinOp, ast.Compare, ast.UnaryOp, ast.NamedExpr, ast.Await, ast.IfExp, ast.Lambda)
"""Expressions that need parentheses where they take the place of others."""

PLAIN = (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.NamedExpr)
"""Conditions of which no part is changed for what it is; they are negated."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file.

    Attributes:
        file: the source file.
        line: where the changed piece starts, from 1.
        start: where it starts in the file, in bytes.
        end: where it ends.
        new: what takes its place.
        before: the changed lines as they are, as one line.
        after: what becomes of them.
    """

    file: Path
    line: int
    start: int
    end: int
    new: bytes
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.before}  ->  {self.after}"

    def apply(self, source: bytes) -> bytes:
        """The source of the file with this change."""
        return source[: self.start] + self.new + source[self.end :]


def find_mutants(file: Path, source: bytes) -> list[Mutant]:
    """All mutants of a source file, in the order of their places."""
    lines = source.splitlines(keepends=True)
    starts = list(accumulate(map(len, lines), initial=0))
    found = []
    for node in _running(ast.parse(source)):
        for piece, changed in _changes(node):
            start = starts[piece.lineno - 1] + piece.col_offset
            end = starts[piece.end_lineno - 1] + piece.end_col_offset
            new = ast.unparse(changed).encode()
            if isinstance(changed, BINDS):
                # The tree has no parentheses, but the text around the piece may need them.
                new = b"(" + new + b")"
            before, after = starts[piece.lineno - 1], starts[piece.end_lineno]
            found.append(
                Mutant(
                    file,
                    piece.lineno,
                    start,
                    end,
                    new,
                    _one_line(source[before:after]),
                    _one_line(source[before:start] + new + source[end:after]),
                )
            )
    return sorted(found, key=lambda mutant: (mutant.start, mutant.end))


def _one_line(source: bytes) -> str:
    return " ".join(source.decode().split())


def _running(node: ast.AST) -> Iterator[Any]:
    """All expressions and statements below `node` that run and are not text."""
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
        return
    if isinstance(node, ast.expr | ast.stmt):
        yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _running(child)


def _changes(node: Any) -> Iterator[tuple[Any, ast.AST]]:
    """The pieces of an expression or a statement that can be changed, each with what takes its place."""
    match node:
        case ast.Compare():
            for index, operator in enumerate(node.ops):
                for other in COMPARISONS[type(operator)]:
                    yield node, _with(node, ops=[*node.ops[:index], other(), *node.ops[index + 1 :]])
        case ast.BoolOp():
            yield node, _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
            for index in range(len(node.values)):
                left = [*node.values[:index], *node.values[index + 1 :]]
                yield node, left[0] if len(left) == 1 else _with(node, values=left)
        case ast.UnaryOp(op=ast.Not()):
            yield node, node.operand
        case ast.BinOp() | ast.AugAssign() if type(node.op) in ARITHMETIC:
            yield node, _with(node, op=ARITHMETIC[type(node.op)]())
        case ast.Constant(value=bool() as truth):
            yield node, ast.Constant(not truth)
        case ast.Constant(value=int() | float() as number):
            yield node, ast.Constant(number + 1)
            yield node, ast.Constant(number - 1) if number >= 1 else ast.UnaryOp(ast.USub(), ast.Constant(1 - number))
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield node, ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.Delete():
            yield node, ast.Pass()
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) if isinstance(test, PLAIN):
            yield test, ast.UnaryOp(ast.Not(), test)


def _with(node: ast.AST, **fields: Any) -> ast.AST:
    """A copy of a node with other fields."""
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed
