"""What a setting may be, and what it means: all that there is to know about it but its name and its default."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Any, Final, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kind:
    """What the values of a setting are.

    Attributes:
        name: a value in words, for messages.
        types: the Python types of a value.
        minimum: the least value, where the setting does not say otherwise; None: any number above zero.
    """

    name: str
    types: tuple[type, ...]
    minimum: int | None = None


SIZE: Final = Kind("a whole number of bytes", (int,), minimum=1)
COUNT: Final = Kind("a whole number", (int,), minimum=1)
RATE: Final = Kind("a number", (int, float))
SECONDS: Final = Kind("a number of seconds", (int, float))
TEXT: Final = Kind("a string", (str,))


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a setting is, and what it may be.

    Attributes:
        group: what it belongs to.
        kind: what its values are.
        meaning: what it does, in one or two sentences, with the unit.
        none: what None means; None: it may not be None.
        minimum: the least number; None: any number above zero.
        maximum: the greatest number.
        placeholder: the name that may stand in braces in a text; None: braces mean nothing.
        option: whether the command line has an option for it.
    """

    group: Group
    kind: Kind
    meaning: str
    none: str | None
    minimum: int | None
    maximum: float
    placeholder: str | None
    option: bool

    def check(self, name: str, value: Any) -> None:
        """See that the setting may have this value.

        Args:
            name: the setting, for the message.
            value: what to check.

        Raises:
            TypeError: the value is of another type.
            ValueError: it is out of range.
        """
        if value is None and self.none is not None:
            return
        # In Python, True is an int.
        is_right = isinstance(value, self.kind.types) and not isinstance(value, bool)
        if not is_right:
            raise TypeError(f"{name} is {value!r}; it must be {self.kind.name}{' or None' if self.none else ''}")
        if isinstance(value, str):
            self._check_text(name, value)
        else:
            self._check_number(name, value)

    def _check_number(self, name: str, value: float) -> None:
        # Written so that NaN fails too.
        if self.minimum is None and not value > 0:
            raise ValueError(f"{name} is {value}; it must be more than 0")
        if self.minimum is not None and not value >= self.minimum:
            raise ValueError(f"{name} is {value}; it must be at least {self.minimum}")
        if value > self.maximum:
            raise ValueError(f"{name} is {value}; it must be at most {self.maximum}")

    def _check_text(self, name: str, value: str) -> None:
        if self.placeholder is None:
            return
        try:
            value.format(**{self.placeholder: 1})
        except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
            raise ValueError(f"{name} is {value!r}; {{{self.placeholder}}} is the only field it may have") from error


@dataclass(frozen=True, slots=True)
class Group:
    """Settings or options that belong together.

    Attributes:
        title: what stands above them in a list.
    """

    title: str

    def setting(
        self,
        default: T,
        kind: Kind,
        meaning: str,
        *,
        none: str | None = None,
        minimum: int | None = None,
        maximum: float = inf,
        placeholder: str | None = None,
        option: bool = True,
    ) -> T:
        """Declare a field of `Settings` in this group, with its default; see `Declaration` for the rest."""
        least = kind.minimum if minimum is None else minimum
        declaration = Declaration(self, kind, meaning, none, least, maximum, placeholder, option)
        value: T = field(default=default, metadata={"declaration": declaration})
        return value
