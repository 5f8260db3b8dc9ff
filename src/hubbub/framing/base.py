"""The contract of a framing: what to write to make one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import TypeVar

    # A default, so that `hubbub.Client` alone means a client that speaks text. PEP 696 is Python 3.13's; type checkers
    # know it on all versions.
    M = TypeVar("M", bound=str | bytes, default=str)
else:
    from typing import TypeVar

    M = TypeVar("M", bound=str | bytes)


class Decoder(ABC, Generic[M]):
    """Finds the messages in one connection's stream of bytes."""

    __slots__ = ()

    @abstractmethod
    def feed(self, data: bytes) -> Sequence[M]:
        """The messages that `data` completes, in order.

        Raises:
            FramingError: the bytes are not a message. The error holds the messages found before. The decoder cannot
                be used any more.
        """

    def end(self) -> Sequence[M]:
        """The message that the clean end of the stream completes, if there is one.

        Raises:
            FramingError: the stream ended within a message that cannot stand as it is.
        """
        return []

    @property
    def partial(self) -> bool:
        """Whether a message has begun and not ended. A decoder that cannot tell returns False: it has no deadline."""
        return False

    def take_replies(self) -> bytes:
        """Bytes that the framing itself owes the peer, such as a refused telnet option. Each is returned once."""
        return b""


class Framing(ABC, Generic[M]):
    """How messages become bytes and back. Framings must be hashable, and equal ones interchangeable."""

    self_delimiting: ClassVar[bool] = True
    """Whether the decoder finds each message in encoded bytes. If it cannot, a log keeps each message by itself."""

    telnet: ClassVar[bool] = False
    """Whether peers may be telnet clients: what they propose is taken out of their stream and refused."""

    @property
    def textual(self) -> bool:
        """Whether the server may put text of its own among the messages: a notice, a farewell, why a client is ended.

        Peers of a binary protocol would take that text for data. So the answer is False unless a framing says True.
        """
        return False

    @abstractmethod
    def decoder(self, limit: int) -> Decoder[M]:
        """A decoder for one connection, which accepts messages of up to `limit` bytes."""

    @abstractmethod
    def encode(self, messages: Sequence[M]) -> bytes:
        """The bytes that carry `messages`.

        Raises:
            ValueError: this framing cannot carry one of the messages, such as a line with a line end in it.
            TypeError: a message is not of the framing's type.
        """

    def split(self, wire: bytes) -> list[M]:
        """The messages in `wire`, the bytes of whole messages."""
        return list(self.decoder(len(wire)).feed(wire))

    def count(self, wire: bytes) -> int:
        """How many messages are in `wire`, the bytes of whole messages."""
        return len(self.split(wire))

    @abstractmethod
    def from_text(self, text: str) -> M:
        """`text` as a message."""

    def encode_text(self, text: str) -> bytes:
        """The bytes of a text of the server's own: none if the framing is not `textual` or cannot carry the text."""
        if not self.textual:
            return b""
        try:
            return self.encode([self.from_text(text)])
        except ValueError:
            return b""


class TextFraming(Framing[str]):
    """A framing whose messages are `str`."""

    @property
    def textual(self) -> bool:
        return True

    def from_text(self, text: str) -> str:
        return text


class BytesFraming(Framing[bytes]):
    """A framing whose messages are `bytes`.

    By default it is taken for binary, and the server never sends text of its own in it. If its messages are text by
    nature, return True from `textual`.
    """

    def from_text(self, text: str) -> bytes:
        return text.encode()


class Named(NamedTuple):
    """A framing with a name on the command line.

    Attributes:
        framing: the framing.
        help: what its messages are, in a line.
    """

    framing: Framing[Any]
    help: str


def check_framing(framing: object) -> None:
    """Check that a server can use `framing`.

    Raises:
        TypeError: it is not a framing, or not hashable. Rooms share encoded bytes among readers of equal framings.
    """
    if not isinstance(framing, Framing):
        raise TypeError(f"{framing!r} is not a framing; pass an instance of one, such as hubbub.Lines()")
    try:
        hash(framing)
    except TypeError as error:
        raise TypeError(
            f"the framing {framing!r} is not hashable ({error}); make it a frozen dataclass of hashable values, "
            "or define __hash__"
        ) from error
