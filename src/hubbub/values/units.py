"""Sizes and times as users write them, 64K and 10m, and as they read them."""

from __future__ import annotations

import re
from typing import Final

# Python refuses to read numbers of thousands of digits.
_SIZE: Final = re.compile(r"(\d{1,18})\s*([kmg]?)(?:i?b)?", re.IGNORECASE)
_SHIFTS: Final = {"": 0, "k": 10, "m": 20, "g": 30}
_TIME: Final = re.compile(r"(\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})\s*([smhd]?)", re.IGNORECASE)
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_size(text: str) -> int:
    """A number of bytes: 65536, 64K, 64KiB; K, M and G are powers of 1024.

    Raises:
        ValueError: it is none.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size; write bytes, as in 65536, 64K or 16MiB")
    return int(match[1]) << _SHIFTS[match[2].lower()]


def parse_time(text: str) -> float:
    """A number of seconds, or of another unit: 30, 0.5s, 5m, 2h, 1d.

    Raises:
        ValueError: it is none.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a time; write seconds, or a unit, as in 30, 0.5s, 5m, 2h or 1d")
    return float(match[1]) * _SECONDS[match[2].lower()]


def format_size(size: int) -> str:
    """A size in the form that `parse_size` reads."""
    for letter, shift in (("G", 30), ("M", 20), ("K", 10)):
        if size and size % (1 << shift) == 0:
            return f"{size >> shift}{letter}iB"
    return str(size)


def format_time(seconds: float) -> str:
    """A time in the form that `parse_time` reads."""
    for letter in "dhm":
        if seconds and seconds % _SECONDS[letter] == 0:
            return f"{seconds / _SECONDS[letter]:g}{letter}"
    return f"{seconds:g}s"


def readable(size: int) -> str:
    """A number of bytes for people."""
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >> shift:
            return f"{size / (1 << shift):,.1f} {unit}"
    return f"{size} B"
