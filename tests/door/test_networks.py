"""Which networks may connect."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Address, ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub import Access, Ending, EndingCode, Networks
from hubbub.door.networks import parse_address

# They lie close together, so that an address is often in a network that was drawn without it.
V4_ADDRESSES = st.integers(0, 15).map(lambda low: f"192.0.2.{low}")
V6_ADDRESSES = st.integers(0, 15).map(lambda low: f"2001:db8::{low:x}")
V4_NETWORKS = st.builds(
    lambda address, prefix: str(ip_network(f"{address}/{prefix}", strict=False)), V4_ADDRESSES, st.integers(28, 32)
)
V6_NETWORKS = st.builds(
    lambda address, prefix: str(ip_network(f"{address}/{prefix}", strict=False)), V6_ADDRESSES, st.integers(124, 128)
)


def mapped(network: str) -> str:
    """An IPv4 network as IPv6 has it."""
    v4 = IPv4Network(network)
    return f"::ffff:{v4.network_address}/{96 + v4.prefixlen}"


addresses = V4_ADDRESSES | V6_ADDRESSES
entries = V4_NETWORKS | V6_NETWORKS | V4_NETWORKS.map(mapped)


def is_in(host: str, entry: str) -> bool:
    """Whether an address is in a network, in the plainest way: whether the network's prefix is that of the address."""
    address, network = ip_address(host), ip_network(entry)
    if isinstance(network.network_address, IPv6Address) and network.network_address.ipv4_mapped is not None:
        network = ip_network(f"{network.network_address.ipv4_mapped}/{network.prefixlen - 96}")
    if address.version != network.version:
        return False
    shift = address.max_prefixlen - network.prefixlen
    return int(address) >> shift == int(network.network_address) >> shift


@given(st.lists(entries, max_size=5), addresses)
def test_an_address_is_in_networks_if_it_is_in_one_of_them(networks: list[str], host: str) -> None:
    assert (host in Networks(networks)) == any(is_in(host, network) for network in networks)


@given(st.lists(entries, max_size=3), st.lists(entries, max_size=3), addresses)
def test_an_address_may_connect_if_it_is_allowed_and_not_denied(allow: list[str], deny: list[str], host: str) -> None:
    allowed = not allow or any(is_in(host, network) for network in allow)
    denied = any(is_in(host, network) for network in deny)
    assert (Access(allow=allow, deny=deny).refusal(host) is None) == (allowed and not denied)


@pytest.mark.parametrize(
    ("entry", "inside", "outside"),
    [
        ("192.0.2.0/24", ["192.0.2.0", "192.0.2.255"], ["192.0.1.255", "192.0.3.0", "::c000:200"]),
        ("192.0.2.7", ["192.0.2.7"], ["192.0.2.6", "192.0.2.8"]),
        ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255"], ["::", "::1"]),
        ("2001:db8::/32", ["2001:db8::", "2001:db8:ffff::1"], ["2001:db9::", "32.1.13.184"]),
        ("::1", ["::1", "0:0:0:0:0:0:0:1"], ["::", "0.0.0.1"]),
        ("::/0", ["::", "2001:db8::1"], ["192.0.2.1"]),
        # What is written as v4-mapped is IPv4, but no network is that is wider than those.
        ("192.0.2.0/24", ["::ffff:192.0.2.7", "::ffff:c000:207"], ["::ffff:192.0.3.7"]),
        ("::ffff:192.0.2.0/120", ["192.0.2.7", "::ffff:192.0.2.7", "::ffff:c000:207"], ["192.0.3.7"]),
        ("::ffff:c000:200/120", ["192.0.2.7"], ["192.0.3.7"]),
        ("::/64", ["::1"], ["0.0.0.1"]),
        # All Unix sockets.
        ("unix", ["unix"], ["192.0.2.1", "::1", "/run/hubbub.sock"]),
        # A scope is no part of an address.
        ("fe80::/10", ["fe80::1%eth0", "fe80::1%2"], ["fec0::1%eth0"]),
    ],
)
def test_networks_are_written_as_cidr_has_them(entry: str, inside: list[str], outside: list[str]) -> None:
    networks = Networks([entry])
    assert [host for host in [*inside, *outside] if host in networks] == inside
    assert networks
    assert str(networks) == entry
    assert not any(host in Networks() for host in inside)
    assert not Networks()


@pytest.mark.parametrize("host", ["unix", "/run/hubbub.sock", "", "localhost", "192.0.2", "192.0.2.256", "%eth0"])
def test_what_is_no_ip_address_is_in_no_network(host: str) -> None:
    assert parse_address(host) is None
    assert host not in Networks(["0.0.0.0/0", "::/0"])


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            "localhost",
            "'localhost' does not .* network; write it as 192.0.2.0/24 or 2001:db8::/32, or as a single address",
        ),
        ("", "'' does not appear to be"),
        ("192.0.2.1/24", "192.0.2.1/24 has host bits set; write 192.0.2.0/24, or 192.0.2.1 for that address alone"),
        ("192.0.2.0/33", "'192.0.2.0/33' does not appear to be"),
        ("2001:db8::/129", "'2001:db8::/129' does not appear to be"),
    ],
)
def test_an_entry_that_is_no_network_is_named(entry: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Networks(["192.0.2.0/24", entry])


# Files.


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "networks"


def test_a_file_has_a_network_on_each_line_and_comments(path: Path) -> None:
    path.write_text("# ours\n\n192.0.2.0/24  # the office\n\t2001:db8::/32\r\n   # 198.51.100.0/24\n::ffff:203.0.113.1")
    networks = Networks(["198.51.100.7", f"@{path}"])
    inside = ["198.51.100.7", "192.0.2.9", "2001:db8::1", "203.0.113.1"]
    assert all(host in networks for host in inside)
    assert not any(host in networks for host in ["198.51.100.8", "203.0.113.2"])


def test_a_file_may_have_no_network_at_all(path: Path) -> None:
    path.write_text("# nobody yet\n")
    networks = Networks([f"@{path}"])
    # It still says that there is a list, so that nobody is allowed instead of everybody.
    assert networks
    assert "192.0.2.1" not in networks
    assert Access(allow=[f"@{path}"]).refusal("192.0.2.1") is not None


@pytest.mark.parametrize(
    ("line", "words"),
    [("192.0.2.1/24  # not a network", r"192\.0\.2\.1/24 has host bits set"), ("@/etc/hosts", "'@/etc/hosts'")],
)
def test_a_line_of_a_file_that_is_no_network_is_named_with_its_number(path: Path, line: str, words: str) -> None:
    path.write_text(f"# ours\n192.0.2.0/24\n\n{line}\n")
    with pytest.raises(ValueError, match=rf"networks, line 4: {words}"):
        Networks([f"@{path}"])


@pytest.mark.parametrize("content", [None, b"\xff\n"])
def test_a_file_that_cannot_be_read_is_named(path: Path, content: bytes | None) -> None:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=f"cannot read the networks of {path}: "):
        Networks([f"@{path}"])


# Reading again.


def test_a_reload_says_what_has_changed(path: Path) -> None:
    path.write_text("192.0.2.0/24\n198.51.100.0/24\n")
    networks = Networks([f"@{path}"])
    assert networks.reload() is None
    path.write_text("192.0.2.0/24  # the same, with a comment\n2001:db8::/32\n203.0.113.0/24\n")
    assert networks.reload() == f"the networks of @{path}: 2 more, 1 fewer"
    assert "198.51.100.1" not in networks
    assert "203.0.113.1" in networks
    path.write_text("192.0.2.0/24\n2001:db8::/32\n")
    assert networks.reload() == f"the networks of @{path}: 0 more, 1 fewer"
    path.write_text("192.0.2.0/24\n2001:db8::/32\n192.0.2.1\n")
    assert networks.reload() == f"the networks of @{path}: 1 more, 0 fewer"
    assert networks.reload() is None


@pytest.mark.parametrize("content", [None, "nonsense\n"])
def test_after_a_reload_that_failed_the_old_networks_hold(path: Path, content: str | None) -> None:
    path.write_text("192.0.2.0/24\n")
    networks = Networks([f"@{path}"])
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(ValueError, match=str(path)):
        networks.reload()
    assert "192.0.2.1" in networks
    path.write_text("198.51.100.0/24\n")
    assert networks.reload() == f"the networks of @{path}: 1 more, 1 fewer"
    assert "192.0.2.1" not in networks


# Access.


@pytest.mark.parametrize(
    ("access", "admitted", "refused"),
    [
        (Access(), ["192.0.2.7", "2001:db8::1", "unix"], []),
        (Access(deny=["192.0.2.0/24"]), ["198.51.100.7"], ["192.0.2.7", "::ffff:192.0.2.7"]),
        (
            Access(allow=["192.0.2.0/24"], deny=["192.0.2.128/25"]),
            ["192.0.2.127"],
            ["192.0.2.128", "198.51.100.1"],
        ),
        # A Unix socket has no address that could be refused.
        (Access(allow=["192.0.2.0/24"], deny=["0.0.0.0/0", "::/0"]), ["unix"], []),
    ],
)
def test_whoever_is_denied_or_not_allowed_is_told_so_with_its_address(
    access: Access, admitted: list[str], refused: list[str]
) -> None:
    assert [access.refusal(host) for host in admitted] == [None] * len(admitted)
    for host in refused:
        assert access.refusal(host) == Ending(EndingCode.DENIED, f"{host} may not connect here")


@pytest.mark.parametrize("lists", [{"allow": ["nonsense"]}, {"deny": ["nonsense"]}])
def test_an_access_list_with_what_is_no_network_is_refused(lists: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match="nonsense"):
        Access(**lists)
