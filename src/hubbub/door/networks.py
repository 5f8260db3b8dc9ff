"""Which networks may connect."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..values.ending import Ending, EndingCode
from ..values.text import plain_utf8

if TYPE_CHECKING:
    from collections.abc import Iterable

Network = IPv4Network | IPv6Network

UNIX: Final = "unix"
"""The address of those who connect through a Unix socket."""

_V4_MAPPED: Final = IPv6Network("::ffff:0:0/96")


class Networks:
    """A set of networks, of IPv4 and IPv6.

    Args:
        entries: networks in the notation of RFC 4632, such as `192.0.2.0/24`, or single addresses; `unix` for all Unix
            sockets; or `@` and the path of a file, with one of these on each line and comments behind `#`. A network
            that is written as v4-mapped, such as `::ffff:192.0.2.0/120`, is the IPv4 network (RFC 4291, 2.5.5.2).

    Raises:
        ValueError: an entry is not a network, or its file cannot be read; the message names it.
    """

    def __init__(self, entries: Iterable[str] = ()) -> None:
        self.entries = tuple(entries)
        self._networks = self._read()
        self._prefixes = _prefixes_of(self._networks)

    def __bool__(self) -> bool:
        return bool(self.entries)

    def __contains__(self, host: str) -> bool:
        """Whether an address is in one of them; what is neither an IP address nor "unix" is in none."""
        if host == UNIX:
            return UNIX in self.entries
        if not self._networks or (address := parse_address(host)) is None:
            return False
        value, bits = int(address), address.max_prefixlen
        return any(value >> (bits - length) in prefixes for length, prefixes in self._prefixes[address.version].items())

    def __str__(self) -> str:
        return ", ".join(self.entries)

    def reload(self) -> str | None:
        """Read the files again; what has changed, if anything has.

        Raises:
            ValueError: one is not good; the old networks hold.
        """
        before, self._networks = self._networks, self._read()
        self._prefixes = _prefixes_of(self._networks)
        added, removed = len(self._networks - before), len(before - self._networks)
        return f"the networks of {self}: {added} more, {removed} fewer" if added or removed else None

    def _read(self) -> frozenset[Network]:
        networks: set[Network] = set()
        for entry in self.entries:
            if entry.startswith("@"):
                networks |= _read_file(Path(entry[1:]))
            elif entry != UNIX:
                networks.add(_parse(entry))
        return frozenset(networks)


def parse_address(host: str) -> IPv4Address | IPv6Address | None:
    """An IP address; None for what is none, such as the path of a socket."""
    try:
        # A scope names an interface here (RFC 4007), which is no part of the address.
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address


def _prefixes_of(networks: Iterable[Network]) -> dict[int, dict[int, set[int]]]:
    """Their prefixes, by version and length: a list of thousands is asked at each connection."""
    prefixes: dict[int, dict[int, set[int]]] = {4: {}, 6: {}}
    for network in networks:
        prefix = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
        prefixes[network.version].setdefault(network.prefixlen, set()).add(prefix)
    return prefixes


def _read_file(path: Path) -> set[Network]:
    try:
        lines = plain_utf8(path.read_bytes()).decode().splitlines()
    except (OSError, UnicodeError) as error:
        raise ValueError(f"cannot read the networks of {path}: {error}") from error
    networks: set[Network] = set()
    for number, line in enumerate(lines, start=1):
        if text := line.partition("#")[0].strip():
            try:
                networks.add(_parse(text))
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from error
    return networks


def _parse(text: str) -> Network:
    try:
        network = ip_network(text)
    except ValueError as error:
        raise ValueError(f"{error}; {_advise(text)}") from None
    if isinstance(network, IPv6Network) and network.subnet_of(_V4_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


def _advise(text: str) -> str:
    """What a user may have meant by an entry that is not a network."""
    address = text.partition("/")[0]
    try:
        return f"write {ip_network(text, strict=False)}, or {address} for that address alone"
    except ValueError:
        return "write it as 192.0.2.0/24 or 2001:db8::/32, or as a single address"


class Access:
    """Which addresses a listener admits: those in `allow`, or all where that is empty, but none that is in `deny`.

    Args:
        allow: see `Networks`.
        deny: as `allow`.

    Raises:
        ValueError: an entry is not a network.
    """

    def __init__(self, *, allow: Iterable[str] = (), deny: Iterable[str] = ()) -> None:
        self.allow = Networks(allow)
        self.deny = Networks(deny)

    def refusal(self, host: str) -> Ending | None:
        """Why an address may not connect; None if it may. A Unix socket has no addresses, but permissions."""
        if host in self.deny or (self.allow and parse_address(host) is not None and host not in self.allow):
            return Ending(EndingCode.DENIED, f"{host} may not connect here")
        return None
