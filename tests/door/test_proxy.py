"""The PROXY protocol: headers of both versions, whole and cut, with what comes behind them, and what is no header."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hubbub import Address
from hubbub.door.proxy import V1_LIMIT, V2_LIMIT, ProxyHeader, ProxyHeaderError

SIGNATURE = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
LOCAL, PROXY = 0, 1
UNSPEC, INET, INET6, UNIX = range(4)
STREAM, DGRAM = 1, 2

NO_HEADER = "it does not begin with a PROXY header"
NO_FAMILY = "a PROXY line without family, two addresses and two ports"
NOT_TCP4 = "a PROXY line whose addresses are not those of TCP4"
NOT_TCP6 = "a PROXY line whose addresses are not those of TCP6"
NO_PORTS = "a PROXY line whose ports are not valid"
NO_CRLF = "a PROXY line without CR LF"
UNKNOWN = "a PROXY header of unknown version, command or family"
TOO_SHORT = "a PROXY header too short for its addresses"


def v1(family: str, source: object, target: object, source_port: object, target_port: object) -> bytes:
    return f"PROXY {family} {source} {target} {source_port} {target_port}\r\n".encode()


def v2(
    payload: bytes = b"", *, command: int = PROXY, family: int = UNSPEC, transport: int = STREAM, version: int = 2
) -> bytes:
    fixed = bytes([version << 4 | command, family << 4 | transport])
    return SIGNATURE + fixed + struct.pack(">H", len(payload)) + payload


def inet(source: str, port: int) -> bytes:
    return IPv4Address(source).packed + IPv4Address("198.51.100.1").packed + struct.pack(">HH", port, 443)


def inet6(source: str, port: int) -> bytes:
    return IPv6Address(source).packed + IPv6Address("2001:db8::ffff").packed + struct.pack(">HH", port, 443)


ADDITIONS = b"\x04\x00\x03abc" + b"\x20\x00\x00"
UNIX_PATHS = b"/run/a.sock".ljust(108, b"\0") + b"/run/b.sock".ljust(108, b"\0")
V6_LONGEST = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"

HEADERS = {
    "v1, IPv4": (v1("TCP4", "192.0.2.7", "198.51.100.1", 4711, 443), Address("192.0.2.7", 4711)),
    "v1, IPv6": (v1("TCP6", "2001:db8::7", "2001:db8::1", 0, 65535), Address("2001:db8::7", 0)),
    "v1, IPv6 in another form": (v1("TCP6", "2001:DB8:0:0:0:0:0:7", "::1", 1, 2), Address("2001:db8::7", 1)),
    "v1, v4-mapped": (v1("TCP6", "::ffff:192.0.2.7", "::ffff:198.51.100.1", 4711, 443), Address("192.0.2.7", 4711)),
    "v1, v4-mapped in hexadecimal": (v1("TCP6", "::ffff:c000:207", "::1", 4711, 443), Address("192.0.2.7", 4711)),
    "v1, the longest": (v1("TCP6", V6_LONGEST, V6_LONGEST, 65535, 65535), Address(V6_LONGEST, 65535)),
    "v1, unknown": (b"PROXY UNKNOWN\r\n", None),
    "v1, unknown with addresses": (v1("UNKNOWN", V6_LONGEST, V6_LONGEST, 65535, 65535), None),
    "v1, unknown with anything": (b"PROXY UNKNOWN \xff \r x\r\n", None),
    "v2, IPv4": (v2(inet("192.0.2.7", 4711), family=INET), Address("192.0.2.7", 4711)),
    "v2, IPv4 with additions": (v2(inet("192.0.2.7", 4711) + ADDITIONS, family=INET), Address("192.0.2.7", 4711)),
    "v2, IPv4 of datagrams": (v2(inet("192.0.2.7", 1), family=INET, transport=DGRAM), Address("192.0.2.7", 1)),
    "v2, IPv6": (v2(inet6("2001:db8::7", 65535), family=INET6), Address("2001:db8::7", 65535)),
    "v2, IPv6 with additions": (v2(inet6("::1", 0) + ADDITIONS, family=INET6), Address("::1", 0)),
    "v2, v4-mapped": (v2(inet6("::ffff:192.0.2.7", 4711), family=INET6), Address("192.0.2.7", 4711)),
    "v2, Unix": (v2(UNIX_PATHS, family=UNIX), None),
    "v2, of no family": (v2(family=UNSPEC, transport=0), None),
    "v2, of no family with additions": (v2(ADDITIONS, family=UNSPEC, transport=0), None),
    "v2, the proxy itself": (v2(command=LOCAL), None),
    "v2, the proxy itself with addresses": (v2(inet("192.0.2.7", 1), command=LOCAL, family=INET), None),
    "v2, the proxy itself of a family too short": (v2(b"x", command=LOCAL, family=INET), None),
    # 2.2: "the receiver must accept this connection as valid and must [...] discard the protocol block including the
    # family which is ignored".
    "v2, the proxy itself of another family": (v2(b"abc", command=LOCAL, family=4, transport=3), None),
    "v2, the proxy itself of the last family": (v2(b"abc", command=LOCAL, family=15, transport=3), None),
    "v2, as long as may be": (
        v2(inet("192.0.2.7", 4711).ljust(V2_LIMIT - 16, b"\0"), family=INET),
        Address("192.0.2.7", 4711),
    ),
}


@dataclass
class Outcome:
    """All that came of a stream: how many of its bytes are the header's, and what that says."""

    used: int = 0
    source: Address | None = None
    local: bool = False
    complete: bool = False
    failure: str | None = None


def read(*pieces: bytes) -> Outcome:
    """Feed pieces as a connection does, which looks at them before it takes them, until the header is complete."""
    header, outcome = ProxyHeader(), Outcome()
    try:
        for piece in pieces:
            if header.complete:
                break
            used = header.feed(piece)
            assert 0 <= used <= len(piece)
            # Nothing may be left over as long as the header is not complete.
            assert used == len(piece) or header.complete
            outcome.used += used
    except ProxyHeaderError as error:
        outcome.failure = str(error)
    outcome.source, outcome.local, outcome.complete = header.source, header.local, header.complete
    return outcome


def byte_by_byte(stream: bytes) -> Iterator[bytes]:
    return (stream[at : at + 1] for at in range(len(stream)))


# Headers.


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("behind", [b"", b"\n", b"PROXY UNKNOWN\r\n", SIGNATURE, b"x" * 10_000])
def test_a_header_says_whose_the_connection_is_however_it_is_cut_and_what_is_behind_it_is_none_of_it(
    name: str, behind: bytes
) -> None:
    header, source = HEADERS[name]
    wanted = Outcome(len(header), source, local="the proxy itself" in name, complete=True)
    stream = header + behind
    assert read(stream) == wanted
    assert read(*byte_by_byte(stream)) == wanted
    for at in range(len(header) + 1):
        assert read(stream[:at], stream[at:]) == wanted


def test_a_header_that_is_complete_takes_nothing_more() -> None:
    reader = ProxyHeader()
    reader.feed(b"PROXY UNKNOWN\r\n")
    assert reader.feed(b"PROXY UNKNOWN\r\n") == 0
    assert reader.feed(b"") == 0


# What is no header.


BAD: dict[str, tuple[bytes, str]] = {
    "something else": (b"GET / HTTP/1.1\r\n", NO_HEADER),
    "text of a client": (b"hello\n", NO_HEADER),
    "a line end": (b"\n", NO_HEADER),
    "v1, lower case": (b"proxy TCP4 192.0.2.7 192.0.2.8 1 2\r\n", NO_HEADER),
    "v1, another word": (b"PROX TCP4 192.0.2.7 192.0.2.8 1 2\r\n", NO_HEADER),
    "v1, a tab": (b"PROXY\tTCP4 192.0.2.7 192.0.2.8 1 2\r\n", NO_HEADER),
    "v1, a line too early": (b"PROXY\r\n", NO_HEADER),
    "v1, LF alone": (b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\n", NO_CRLF),
    "v1, unknown with LF alone": (b"PROXY UNKNOWN\n", NO_CRLF),
    "v1, an empty line": (b"PROXY \r\n", NO_FAMILY),
    "v1, unknown with a word behind it": (b"PROXY UNKNOWNS\r\n", NO_FAMILY),
    "v1, two spaces": (b"PROXY  TCP4 192.0.2.7 192.0.2.8 1 2\r\n", NO_FAMILY),
    "v1, two spaces within": (b"PROXY TCP4 192.0.2.7  192.0.2.8 1 2\r\n", NO_FAMILY),
    "v1, a space at the end": (b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2 \r\n", NO_FAMILY),
    "v1, another family": (v1("UDP4", "192.0.2.7", "192.0.2.8", 1, 2), NO_FAMILY),
    "v1, a family in lower case": (v1("tcp4", "192.0.2.7", "192.0.2.8", 1, 2), NO_FAMILY),
    "v1, no ports": (b"PROXY TCP4 192.0.2.7 192.0.2.8\r\n", NO_FAMILY),
    "v1, a port too few": (b"PROXY TCP4 192.0.2.7 192.0.2.8 1\r\n", NO_FAMILY),
    "v1, a port too many": (b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2 3\r\n", NO_FAMILY),
    "v1, IPv6 as IPv4": (v1("TCP4", "::1", "192.0.2.8", 1, 2), NOT_TCP4),
    "v1, IPv4 as IPv6": (v1("TCP6", "192.0.2.7", "::1", 1, 2), NOT_TCP6),
    "v1, a bad second address": (v1("TCP4", "192.0.2.7", "192.0.2.256", 1, 2), NOT_TCP4),
    "v1, a number with a zero before it": (v1("TCP4", "192.0.02.7", "192.0.2.8", 1, 2), NOT_TCP4),
    "v1, an address that is no ASCII": (v1("TCP4", "192.0.2.\u0667", "192.0.2.8", 1, 2), NOT_TCP4),
    "v1, a network": (v1("TCP4", "192.0.2.0/24", "192.0.2.8", 1, 2), NOT_TCP4),
    "v1, a scope": (v1("TCP6", "fe80::1%\x1b[2J", "::1", 1, 2), NOT_TCP6),
    "v1, a port too high": (v1("TCP4", "192.0.2.7", "192.0.2.8", 65536, 2), NO_PORTS),
    "v1, a second port too high": (v1("TCP4", "192.0.2.7", "192.0.2.8", 1, 65536), NO_PORTS),
    "v1, a port of six digits": (v1("TCP4", "192.0.2.7", "192.0.2.8", 100000, 2), NO_PORTS),
    "v1, a port with a zero before it": (v1("TCP4", "192.0.2.7", "192.0.2.8", "01", 2), NO_PORTS),
    "v1, a port with a sign": (v1("TCP4", "192.0.2.7", "192.0.2.8", "+1", 2), NO_PORTS),
    "v1, a port that is no ASCII": (v1("TCP4", "192.0.2.7", "192.0.2.8", "\u0667", 2), NO_PORTS),
    "v1, an empty port": (v1("TCP4", "192.0.2.7", "192.0.2.8", 1, ""), NO_PORTS),
    "v1, too long": (
        b"PROXY UNKNOWN".ljust(V1_LIMIT - 1, b"x") + b"\r\n",
        "a PROXY header of more than 107 bytes",
    ),
    "v2, a signature with one byte wrong": (SIGNATURE[:-1] + b"\r" + v2()[12:], NO_HEADER),
    "v2, another version": (v2(version=1), UNKNOWN),
    "v2, a later version": (v2(version=3), UNKNOWN),
    "v2, another command": (v2(command=2), UNKNOWN),
    "v2, another family": (v2(family=4), UNKNOWN),
    "v2, another transport": (v2(transport=3), UNKNOWN),
    "v2, no addresses": (v2(family=INET), TOO_SHORT),
    "v2, IPv4 cut short": (v2(inet("192.0.2.7", 1)[:-1], family=INET), TOO_SHORT),
    "v2, IPv6 cut short": (v2(inet6("::1", 1)[:-1], family=INET6), TOO_SHORT),
    "v2, IPv4 as IPv6": (v2(inet("192.0.2.7", 1), family=INET6), TOO_SHORT),
    "v2, too long": (v2(bytes(V2_LIMIT - 15), family=INET), "a PROXY header of more than 4096 bytes"),
}


@pytest.mark.parametrize(("header", "why"), BAD.values(), ids=BAD)
def test_what_is_no_header_is_refused_with_the_reason_however_it_is_cut(header: bytes, why: str) -> None:
    cuts = [(header[:at], header[at:]) for at in range(len(header) + 1)]
    for pieces in ([header], byte_by_byte(header), [header + b"more"], *cuts):
        outcome = read(*pieces)
        assert outcome.failure == why
        assert not outcome.complete
        assert outcome.source is None


@pytest.mark.parametrize(
    ("start", "why"),
    [
        *((start, NO_HEADER) for start in (b"x", b"\n", b"\r\r", b"\r\nQ", b"PX", b"PROXYT", SIGNATURE[:11] + b"x")),
        (b"PROXY UNKNOWN".ljust(V1_LIMIT + 1, b" "), "more than 107 bytes"),
        # For its length alone.
        (v2(bytes(V2_LIMIT - 15), family=INET)[:16], "more than 4096 bytes"),
    ],
)
def test_what_cannot_become_a_header_is_refused_at_the_first_byte_that_shows_it(start: bytes, why: str) -> None:
    reader = ProxyHeader()
    reader.feed(start[:-1])
    with pytest.raises(ValueError, match=why):
        reader.feed(start[-1:])


# Anything at all.


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A header with a byte changed, one put in or one left out, and something behind it."""
    header = bytearray(draw(st.sampled_from([header for header, _ in HEADERS.values()])))
    at = draw(st.integers(0, min(len(header) - 1, 80)))
    change: Callable[[int], None] = draw(
        st.sampled_from(
            [
                lambda byte: header.__setitem__(at, byte),
                lambda byte: header.insert(at, byte),
                lambda byte: header.__delitem__(at),
            ]
        )
    )
    change(draw(st.integers(0, 255)))
    return bytes(header) + draw(st.binary(max_size=20))


@given(st.data(), st.binary(max_size=150) | st.binary(max_size=120).map(b"PROXY ".__add__) | damaged())
@example(None, b"PROXY UNKNOWN\r\n")
def test_any_bytes_are_a_header_or_refused_and_the_same_however_they_are_cut(
    data: st.DataObject | None, stream: bytes
) -> None:
    whole = read(stream)
    assert whole.used <= min(len(stream), V2_LIMIT)
    singly = read(*byte_by_byte(stream))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5))) if data is not None else []
    pieces = read(*[stream[start:end] for start, end in pairwise([0, *cuts, len(stream)])])
    for outcome in (singly, pieces):
        assert (outcome.source, outcome.complete, outcome.failure) == (whole.source, whole.complete, whole.failure)
        if whole.failure is None:
            assert outcome.used == whole.used


@given(st.ip_addresses(), st.integers(0, 65535), st.binary(max_size=30), st.binary(max_size=30))
def test_both_versions_carry_any_address_and_port(
    address: IPv4Address | IPv6Address, port: int, additions: bytes, behind: bytes
) -> None:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    wanted = Address(str(mapped or address), port)
    if isinstance(address, IPv4Address):
        headers = [v1("TCP4", address, address, port, 0), v2(inet(str(address), port) + additions, family=INET)]
    else:
        headers = [v1("TCP6", address, address, port, 0), v2(inet6(str(address), port) + additions, family=INET6)]
    for header in headers:
        assert read(header + behind) == Outcome(len(header), wanted, complete=True)
