"""The types of options and arguments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import click

from ..door.networks import Networks
from ..framing.names import find_names
from ..values.since import Since, check_replay
from ..values.units import parse_size, parse_time

if TYPE_CHECKING:
    from ..framing import Framing

_NAMES: Final = find_names()
FRAMINGS: Final[dict[str, Framing[Any]]] = {name: named.framing for name, named in _NAMES.items()}

NONE: Final = "none"
"""What a user writes for None."""


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
        try:
            return parse_size(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Time(click.ParamType[float]):
    """A number of seconds, or of another unit: 30, 0.5s, 5m, 2h, 1d."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_time(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Replay(click.ParamType[str]):
    """What is replayed to those who connect, as `Listener.replay` has it."""

    name = "replay"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            check_replay(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


class Place(click.ParamType[Since]):
    """A place in a log; see `Since`."""

    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Since:
        try:
            return Since.of(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class StorePath(click.Path):
    """The file of a store; see `parse_store`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        try:
            return parse_store(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def parse_store(text: str) -> Path:
    """The file of a store: a path, or sqlite:PATH.

    Raises:
        ValueError: it names none.
    """
    scheme, colon, rest = text.partition(":")
    if colon and "/" not in scheme and scheme != "sqlite":
        raise ValueError(f"hubbub knows no store {text!r}; write a path, or sqlite:PATH")
    path = rest if colon and scheme == "sqlite" else text
    if not path:
        raise ValueError("the path is empty; name a file, as in hubbub.db")
    return Path(path)


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
