"""The PROXY protocol, by which a proxy says whose connection it passes on: versions 1 and 2.

The rules are those of https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from ipaddress import IPv4Address, IPv6Address
from struct import Struct
from typing import Final

from ..values.address import Address

V1_LIMIT: Final = 107
"""The longest header of version 1 (2.1: "a 108-byte buffer is always enough", its terminating zero included)."""

V2_LIMIT: Final = 4096
"""The longest header of version 2 that is taken. Addresses need 52 bytes; the rest would be additions."""

_V2_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_V2_FIXED: Final = 16
_V2_LENGTH: Final = Struct("!H")
_V2_ADDRESSES: Final[dict[int, tuple[type[IPv4Address | IPv6Address], Struct]]] = {
    0x1: (IPv4Address, Struct("!4s4sHH")),
    0x2: (IPv6Address, Struct("!16s16sHH")),
}
_V2_FAMILIES: Final = range(4)
_V2_LOCAL, _V2_PROXY = 0x20, 0x21
_V1_FAMILIES: Final[dict[bytes, type[IPv4Address | IPv6Address]]] = {b"TCP4": IPv4Address, b"TCP6": IPv6Address}
_V1_PORT: Final = re.compile(rb"0|[1-9][0-9]{0,4}")


class _State(Enum):
    PARTIAL = auto()
    DONE = auto()


class ProxyHeaderError(ValueError):
    """The bytes are no header of the PROXY protocol; the message says why."""


class ProxyHeader:
    """Reads the header at the start of a connection, and nothing behind it.

    Attributes:
        source: the address of the client; None where the proxy speaks for itself or does not know.
        local: whether the proxy speaks for itself: it checks that the server is there.
        begun: whether anything has come.
    """

    def __init__(self) -> None:
        self.local = False
        self.source: Address | None = None
        self._header = bytearray()
        self._state = _State.PARTIAL

    @property
    def begun(self) -> bool:
        return len(self._header) > 0

    @property
    def complete(self) -> bool:
        """Whether all of the header has been read."""
        return self._state is _State.DONE

    def feed(self, data: bytes) -> int:
        """Read on; how many bytes of `data` belong to the header.

        Raises:
            ProxyHeaderError: they are no header.
        """
        used = 0
        while not self.complete and used < len(data):
            needed = self._needed(data[used:])
            self._header += data[used : used + needed]
            used = min(len(data), used + needed)
            self._look()
        return used

    def _needed(self, data: bytes) -> int:
        """How many more bytes surely belong to the header; at least one."""
        if self._header[:1] == b"P" or (not self._header and data[:1] == b"P"):
            end = data.find(b"\n") + 1
            return end or len(data)
        if len(self._header) < _V2_FIXED:
            return _V2_FIXED - len(self._header)
        return _V2_FIXED + self._v2_length() - len(self._header)

    def _look(self) -> None:
        header = bytes(self._header)
        if header[:1] == b"P":
            self._look_at_v1(header)
        elif header[: len(_V2_SIGNATURE)] != _V2_SIGNATURE[: len(header)]:
            raise ProxyHeaderError("it does not begin with a PROXY header")
        elif len(header) >= _V2_FIXED:
            self._look_at_v2(header)

    def _look_at_v1(self, header: bytes) -> None:
        if header[:6] != b"PROXY "[: len(header)]:
            raise ProxyHeaderError("it does not begin with a PROXY header")
        if len(header) > V1_LIMIT:
            raise ProxyHeaderError(f"a PROXY header of more than {V1_LIMIT} bytes")
        if header.endswith(b"\n"):
            self.source = _parse_v1(header)
            self._state = _State.DONE

    def _look_at_v2(self, header: bytes) -> None:
        length = self._v2_length()
        if _V2_FIXED + length > V2_LIMIT:
            raise ProxyHeaderError(f"a PROXY header of more than {V2_LIMIT} bytes")
        if len(header) == _V2_FIXED + length:
            self.source = _parse_v2(header)
            self.local = header[12] == _V2_LOCAL
            self._state = _State.DONE

    def _v2_length(self) -> int:
        length: int = _V2_LENGTH.unpack_from(self._header, _V2_FIXED - _V2_LENGTH.size)[0]
        return length


def _parse_v1(header: bytes) -> Address | None:
    family, *fields = header.removesuffix(b"\r\n").split(b" ")[1:]
    if not header.endswith(b"\r\n"):
        raise ProxyHeaderError("a PROXY line without CR LF")
    if family == b"UNKNOWN":
        # What follows is to be ignored (2.1).
        return None
    if family not in _V1_FAMILIES or len(fields) != 4:
        raise ProxyHeaderError("a PROXY line without family, two addresses and two ports")
    kind = _V1_FAMILIES[family]
    try:
        # Python takes a scope in an address (RFC 4007), and anything for one.
        if b"%" in header:
            raise ValueError("a scope")
        source, _ = (kind(field.decode("ascii")) for field in fields[:2])
    except ValueError:
        raise ProxyHeaderError(f"a PROXY line whose addresses are not those of {family.decode()}") from None
    port, _ = (_parse_port(field) for field in fields[2:])
    return _address_of(source, port)


def _parse_port(field: bytes) -> int:
    if not _V1_PORT.fullmatch(field) or int(field) > 65535:
        raise ProxyHeaderError("a PROXY line whose ports are not valid")
    return int(field)


def _parse_v2(header: bytes) -> Address | None:
    command, family = header[12], header[13] >> 4
    if command == _V2_LOCAL:
        # The rest is to be ignored (2.2).
        return None
    if command != _V2_PROXY or family not in _V2_FAMILIES or header[13] & 0xF > 2:
        raise ProxyHeaderError("a PROXY header of unknown version, command or family")
    if family not in _V2_ADDRESSES:
        # That of a Unix socket, or of none.
        return None
    kind, layout = _V2_ADDRESSES[family]
    if len(header) < _V2_FIXED + layout.size:
        raise ProxyHeaderError("a PROXY header too short for its addresses")
    source, _, port, _ = layout.unpack_from(header, _V2_FIXED)
    return _address_of(kind(source), port)


def _address_of(source: IPv4Address | IPv6Address, port: int) -> Address:
    # Another spelling must not get past a list of IPv4 networks (RFC 4291, 2.5.5.2).
    mapped = source.ipv4_mapped if isinstance(source, IPv6Address) else None
    return Address(str(mapped or source), port)
