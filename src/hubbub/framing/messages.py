"""Messages that stay in the bytes they came in until somebody looks at them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final, overload

from .base import M

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .base import Framing


@final
class Messages(Sequence[M]):
    """A run of one or more whole messages, as a decoder found them in its stream.

    Most messages are only passed on. So the run keeps the bytes they came in, and takes them apart when somebody looks
    inside: for the length, it only counts. `Framing.encode` may return the bytes as they are. Looking changes nothing.

    Args:
        framing: whose decoder found them; its `split` takes the bytes apart.
        wire: their bytes. The last message has its end, too.
        messages: the same messages, if they have been taken apart already.

    Attributes:
        framing: whose decoder found them.
        wire: their bytes.
    """

    __slots__ = ("_count", "_messages", "framing", "wire")

    def __init__(self, framing: Framing[M], wire: bytes, messages: list[M] | None = None) -> None:
        self.framing = framing
        self.wire = wire
        self._messages = messages
        self._count = 0

    def __len__(self) -> int:
        if not self._count:
            self._count = self.framing.count(self.wire) if self._messages is None else len(self._messages)
        return self._count

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[M]:
        return iter(self._messages or self._split())

    @overload
    def __getitem__(self, index: int) -> M: ...

    @overload
    def __getitem__(self, index: slice) -> list[M]: ...

    def __getitem__(self, index: int | slice) -> M | list[M]:
        return (self._messages or self._split())[index]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Messages | list):
            return list(self) == list(other)
        return NotImplemented

    # As a list, which it is equal to, has none.
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Messages({list(self)!r})"

    def _split(self) -> list[M]:
        self._messages = self.framing.split(self.wire)
        return self._messages
