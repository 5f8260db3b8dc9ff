"""The contract of a framing: what to write to make one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic

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
            FramingError: the bytes are no message; the error has the messages found before. The decoder is then spent.
        """

    def end(self) -> Sequence[M]:
        """What the clean end of the stream completes: at most one message.

        Raises:
            FramingError: it is no message, as when the stream ended within one that cannot stand as it is.
        """
        return []

    @property
    def partial(self) -> bool:
        """Whether a message has begun and not ended. A decoder that does not know says no, and has no deadline."""
        return False

    def take_replies(self) -> bytes:
        """Bytes that the framing itself owes the peer, such as a refused telnet option; each is given once."""
        return b""


class Framing(ABC, Generic[M]):
    """How messages become bytes and back."""

    self_delimiting: ClassVar[bool] = True
    """Whether the decoder finds each message of encoded bytes again. Where it cannot, a log keeps messages singly."""

    @abstractmethod
    def decoder(self, limit: int) -> Decoder[M]:
        """A decoder for one connection, which takes messages of up to `limit` bytes."""

    @abstractmethod
    def encode(self, messages: Sequence[M]) -> bytes:
        """The bytes that carry `messages`.

        Raises:
            ValueError: a message that this framing cannot carry, such as a line with a line end in it.
            TypeError: a message that is not of the framing's type.
        """

    @abstractmethod
    def from_text(self, text: str) -> M:
        """`text` as a message: for what the server itself has to say."""

    def encode_text(self, text: str) -> bytes:
        """The bytes of what the server itself has to say; none where the framing cannot carry it."""
        try:
            return self.encode([self.from_text(text)])
        except ValueError:
            return b""


class TextFraming(Framing[str]):
    """A framing whose messages are `str`."""

    def from_text(self, text: str) -> str:
        return text


class BytesFraming(Framing[bytes]):
    """A framing whose messages are `bytes`."""

    def from_text(self, text: str) -> bytes:
        return text.encode()
