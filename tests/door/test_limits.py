"""How many may connect, on a clock of the test's own."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub import Ending, EndingCode, Settings
from hubbub.door.limits import Limits, Source

UNLIMITED: dict[str, Any] = {"clients_per_address": None, "clients_per_subnet": None, "connect_rate": None}

V4_HOSTS = ["192.0.2.1", "192.0.2.2", "192.0.3.1"]
V6_HOSTS = ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]


def admission(**limits: Any) -> Limits:
    """One with no limits but those that are given."""
    return Limits(Settings(**{**UNLIMITED, **limits}))


def source(host: str) -> Source:
    found = Source.of(host)
    assert found is not None
    return found


def code_of(ending: Ending | None) -> EndingCode | None:
    return None if ending is None else ending.code


def codes(admission: Limits, host: str, count: int, now: float = 0.0) -> list[EndingCode | None]:
    """What becomes of `count` connections from `host`, all at once; None for those that may come in."""
    return [code_of(admission.refusal(source(host), now)) for _ in range(count)]


# Where a connection comes from.


@pytest.mark.parametrize(
    ("host", "address", "subnet", "payer"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.0/24", "192.0.2.7"),
        ("2001:db8:1:3:ffff:4:5:6", "2001:db8:1:3:ffff:4:5:6", "2001:db8:1:3::/64", "2001:db8:1:3::/64"),
        ("2001:DB8:0:0::1", "2001:db8::1", "2001:db8::/64", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::1", "fe80::/64", "fe80::/64"),
        ("::1", "::1", "::/64", "::/64"),
    ],
)
def test_an_address_has_a_subnet_and_one_of_ipv6_pays_with_its_64(
    host: str, address: str, subnet: str, payer: str
) -> None:
    found = source(host)
    assert found == (address, subnet)
    assert found.payer == payer


def test_what_is_no_ip_address_has_no_source() -> None:
    assert Source.of("unix") is Source.of("") is None


# Limits.


def test_a_server_is_full_once_it_has_its_clients() -> None:
    counted, unlimited = admission(clients_limit=2), admission(clients_limit=None)
    full = Ending(EndingCode.FULL, "server full: limit of 2 clients reached")
    for total, wanted in ((0, None), (1, None), (2, full), (3, full)):
        counted.total = total
        assert counted.refusal_to_all() == wanted
    unlimited.total = 10**9
    assert unlimited.refusal_to_all() is None


@pytest.mark.parametrize(
    ("limits", "host", "ending"),
    [
        ({"clients_per_address": 1}, V4_HOSTS[0], Ending(EndingCode.CROWDED, "192.0.2.1: limit of 1 clients reached")),
        (
            {"clients_per_subnet": 1},
            V4_HOSTS[1],
            Ending(EndingCode.CROWDED, "192.0.2.0/24: limit of 1 clients reached"),
        ),
        (
            {"clients_per_subnet": 1},
            V6_HOSTS[1],
            Ending(EndingCode.CROWDED, "2001:db8::/64: limit of 1 clients reached"),
        ),
        (
            {"connect_rate": 0.5, "connect_burst": 1},
            V4_HOSTS[0],
            Ending(EndingCode.HASTY, "192.0.2.1 connects more than 0.5 times a second"),
        ),
        (
            {"connect_rate": 0.5, "connect_burst": 1},
            V6_HOSTS[1],
            Ending(EndingCode.HASTY, "2001:db8::/64 connects more than 0.5 times a second"),
        ),
    ],
)
def test_one_too_many_is_named_with_its_limit(limits: dict[str, Any], host: str, ending: Ending) -> None:
    counted = admission(**limits)
    assert [*codes(counted, V4_HOSTS[0], 1), *codes(counted, V6_HOSTS[0], 1)] == [None, None]
    assert counted.refusal(source(host), 0.0) == ending


def test_what_is_refused_for_its_number_costs_nothing_of_the_rate() -> None:
    counted = admission(clients_per_address=1, connect_rate=1.0, connect_burst=2)
    assert codes(counted, "192.0.2.1", 5) == [None, *[EndingCode.CROWDED] * 4]
    counted.release(source("192.0.2.1"))
    assert codes(counted, "192.0.2.1", 1) == [None]
    counted.release(source("192.0.2.1"))
    assert codes(counted, "192.0.2.1", 1) == [EndingCode.HASTY]


# Rates.


@given(st.sampled_from([0.1, 0.5, 3.0, 10.0, 100.0, 12345.0]), st.integers(1, 200), st.floats(0, 1e7))
def test_as_many_as_the_burst_may_come_at_once(rate: float, burst: int, now: float) -> None:
    counted = admission(connect_rate=rate, connect_burst=burst)
    assert codes(counted, "192.0.2.1", burst + 1, now) == [None] * burst + [EndingCode.HASTY]


def test_after_a_burst_connections_come_at_the_rate() -> None:
    counted = admission(connect_rate=4.0, connect_burst=2)
    assert codes(counted, "192.0.2.1", 3, now=8.0) == [None, None, EndingCode.HASTY]
    assert codes(counted, "192.0.2.1", 2, now=8.25) == [None, EndingCode.HASTY]
    # Half a second without any is two more.
    assert codes(counted, "192.0.2.1", 3, now=8.75) == [None, None, EndingCode.HASTY]
    # And a day is no more than the burst.
    assert codes(counted, "192.0.2.1", 3, now=86400.0) == [None, None, EndingCode.HASTY]


# All of it, against a model that counts everything anew each time.


@dataclass(frozen=True)
class Came:
    """Somebody connected, and was let in."""

    at: int
    host: str


@dataclass(frozen=True)
class Went:
    """One of those who were let in has gone."""

    host: str


RATE, BURST, PER_ADDRESS, PER_SUBNET = 1.0, 3, 4, 6


def same_64(one: str, other: str) -> bool:
    """Whether two of the hosts above pay together."""
    return one == other or {one, other} == set(V6_HOSTS[:2])


def same_subnet(one: str, other: str) -> bool:
    return one == other or {one, other} in (set(V4_HOSTS[:2]), set(V6_HOSTS[:2]))


def level(times: list[int], now: int) -> int:
    """How much is in a bucket that leaks one a second, and was given one at each of these times."""
    left = 0
    for earlier, later in pairwise([*times, now]):
        left = max(0, left + 1 - (later - earlier))
    return left


def refusal_of(host: str, now: int, events: list[Came | Went]) -> EndingCode | None:
    """What is to become of a connection after all these events."""
    came = [event for event in events if isinstance(event, Came)]
    went = [event for event in events if isinstance(event, Went)]

    def here(is_same: Callable[[str, str], bool]) -> int:
        return sum(is_same(event.host, host) for event in came) - sum(is_same(event.host, host) for event in went)

    if here(operator.eq) >= PER_ADDRESS or here(same_subnet) >= PER_SUBNET:
        return EndingCode.CROWDED
    if level([event.at for event in came if same_64(event.host, host)], now) + 1 > BURST:
        return EndingCode.HASTY
    return None


steps = st.lists(
    st.tuples(
        st.sampled_from(["come", "come", "come", "go", "pass", "forget"]),
        st.sampled_from(V4_HOSTS + V6_HOSTS),
        st.integers(1, 3),
    ),
    max_size=60,
)


@given(steps)
def test_whoever_may_connect_is_who_may_by_a_count_of_all_that_happened(steps: list[tuple[str, str, int]]) -> None:
    counted = admission(
        connect_rate=RATE, connect_burst=BURST, clients_per_address=PER_ADDRESS, clients_per_subnet=PER_SUBNET
    )
    now = 0
    events: list[Came | Went] = []
    for what, host, count in steps:
        here = sum(isinstance(event, Came) - isinstance(event, Went) for event in events if event.host == host)
        if what == "come":
            wanted = refusal_of(host, now, events)
            ending = counted.refusal(source(host), float(now))
            assert code_of(ending) == wanted
            if ending is None:
                events.append(Came(now, host))
        elif what == "go" and here:
            counted.release(source(host))
            events.append(Went(host))
        elif what == "pass":
            now += count
        else:
            # To forget changes nothing that anybody would notice.
            counted.forget(float(now))


# Forgetting.


def test_what_has_ended_is_forgotten() -> None:
    counted = admission(connect_rate=1.0, connect_burst=1, clients_per_address=1, clients_per_subnet=1)
    hosts = [f"10.0.{subnet}.1" for subnet in range(200)]
    for host in hosts:
        assert codes(counted, host, 1) == [None]
    counted.forget(now=0.5)
    assert (len(counted._addresses), len(counted._subnets), len(counted._due)) == (200, 200, 200)
    for host in hosts:
        counted.release(source(host))
    counted.forget(now=1.0)
    assert (len(counted._addresses), len(counted._subnets), len(counted._due)) == (0, 0, 0)


def test_who_is_refused_leaves_nothing_behind() -> None:
    counted = admission(clients_per_subnet=1)
    assert codes(counted, "192.0.2.1", 1) == [None]
    assert codes(counted, "192.0.2.2", 1) == [EndingCode.CROWDED]
    assert set(counted._addresses) == {"192.0.2.1"}
    assert not counted._due
