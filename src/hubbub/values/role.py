"""What those who connect at a listener are: sources, readers, or both."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a client may do."""

    BOTH = "both"
    """It may speak, and hears the room."""
    READ = "read"
    """It hears the room. What it says is read and discarded, and that it has ended its stream ends nothing."""
    WRITE = "write"
    """It may speak, and hears nothing: what is sent to it is dropped."""

    @property
    def speaks(self) -> bool:
        """Whether what it says is heard."""
        return self is not Role.READ

    @property
    def hears(self) -> bool:
        """Whether it reads rooms, and what is sent to it."""
        return self is not Role.WRITE

    @classmethod
    def parse(cls, name: str) -> Role:
        """The role of that name.

        Raises:
            ValueError: there is none; the message names all.
        """
        try:
            return cls(name)
        except ValueError:
            raise ValueError(f"the role is {name!r}; it must be {cls.BOTH}, {cls.READ} or {cls.WRITE}") from None
