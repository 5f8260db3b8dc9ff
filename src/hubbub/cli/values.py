"""The types of options and arguments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import click

from ..door.networks import Networks
from ..framing.names import find_names

if TYPE_CHECKING:
    from ..framing import Framing

_NAMES: Final = find_names()
FRAMINGS: Final[dict[str, Framing[Any]]] = {name: named.framing for name, named in _NAMES.items()}

NONE: Final = "none"
"""What a user writes for None."""

# Python refuses to read numbers of thousands of digits.
_SIZE = re.compile(r"(\d{1,18})\s*([kmg]?)(?:i?b)?", re.IGNORECASE)
_SHIFTS = {"": 0, "k": 10, "m": 20, "g": 30}
_TIME = re.compile(r"(\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})\s*([smhd]?)", re.IGNORECASE)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


class Whole(click.IntRange):
    """A whole number within bounds."""

    name = "whole number"


class Number(click.types.FloatParamType):
    """Any number."""

    name = "number"


class Size(click.ParamType[int]):
    """A number of bytes: 65536, 64K, 64KiB; K, M and G are powers of 1024."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is not a size; write bytes, as in 65536, 64K or 16MiB", param, ctx)
        return int(match[1]) << _SHIFTS[match[2].lower()]


class Time(click.ParamType[float]):
    """A number of seconds, or of another unit: 30, 0.5s, 5m, 2h, 1d."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = _TIME.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is not a time; write seconds, or a unit, as in 30, 0.5s, 5m, 2h or 1d", param, ctx)
        return float(match[1]) * _SECONDS[match[2].lower()]


class NetworkEntry(click.ParamType[str]):
    """An entry of a list of networks; see `Networks`."""

    name = "network"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            Networks([value])
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


def list_framings() -> str:
    """The names of the framings and what they mean, as text for click that keeps its lines."""
    width = max(map(len, _NAMES))
    lines = [f"  {name:{width}}  {named.help}" for name, named in _NAMES.items()]
    return "\n".join(["\b", "A framing is one of", *lines])


def format_size(size: int) -> str:
    """A size in the form that `Size` reads."""
    for letter, shift in (("G", 30), ("M", 20), ("K", 10)):
        if size and size % (1 << shift) == 0:
            return f"{size >> shift}{letter}iB"
    return str(size)


def format_time(seconds: float) -> str:
    """A time in the form that `Time` reads."""
    for letter in "dhm":
        if seconds and seconds % _SECONDS[letter] == 0:
            return f"{seconds / _SECONDS[letter]:g}{letter}"
    return f"{seconds:g}s"


T = TypeVar("T")


class OrNone(click.ParamType["T | None"], Generic[T]):
    """What another type reads, or a word that stands for None.

    Args:
        type: the other type.
        words: the words that stand for None.
    """

    def __init__(self, type: click.ParamType[T], *words: str) -> None:  # noqa: A002 - as click has it
        self.name = f"{type.name}|{words[0]}"
        self._type = type
        self._words = words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> T | None:
        if value in self._words:
            return None
        return self._type.convert(value, param, ctx)
