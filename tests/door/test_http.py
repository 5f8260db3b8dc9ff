"""By which names a server is asked over HTTP, and from which pages."""

from __future__ import annotations

from typing import Any

import pytest

import hubbub
from hubbub.door.http import Http


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:8080",
        "127.0.0.1",
        "192.0.2.7:80",
        "[::1]",
        "[2001:db8::1]:8080",
        "boat.example:1",
        "pi.lan",
    ],
)
def test_a_request_may_ask_for_an_address_and_for_known_names(host: str) -> None:
    assert Http(hosts=("Boat.example",)).serves(host, "pi.lan")


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "", "localhost.evil.example", "boat.example@evil.example", "evil.example/localhost"),
        *(
            "localhost:x",
            "[::1%25evil]",
            "1.2.3.4%evil.example",
            "localhost:99999",
            "localhost#",
            "[::1",
            "127.0.0.1.evil.example",
            " localhost",
            "2130706433",
        ),
    ],
)
@pytest.mark.parametrize("endpoint", ["pi.lan", ""])
def test_other_names_may_be_of_anybody(host: str, endpoint: str) -> None:
    assert not Http(hosts=("boat.example",)).serves(host, endpoint)


def test_a_page_reads_its_own_site_and_others_only_where_it_may() -> None:
    http = Http(origins=("https://boat.example",))
    own = "http://localhost:8080"
    assert http.admits(own, own)
    assert http.admits("https://boat.example", own)
    for origin in ("http://boat.example", "https://boat.example:444", "null", "http://localhost", "*", ""):
        assert not http.admits(origin, own)
    assert Http(origins=("*",)).admits("null", own)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"hosts": ("boat.example:80",)}, r"^the host is 'boat.example:80'; write a name alone, as in boat.example$"),
        ({"hosts": ("http://boat.example",)}, "write a name alone"),
        ({"hosts": ("",)}, "write a name alone"),
        ({"origins": ("boat.example",)}, "^the origin is 'boat.example'; write a scheme and a host"),
        ({"origins": ("https://boat.example/",)}, "write a scheme and a host"),
        ({"rooms": ("",)}, "^a pattern for rooms is empty; write it as in weather-\\*$"),
    ],
)
def test_what_names_no_host_or_site_is_an_error(options: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Http(**options)


@pytest.mark.parametrize("name", ["hosts", "origins", "rooms"])
def test_one_text_where_several_are_meant_is_an_error_and_not_its_letters(name: str) -> None:
    with pytest.raises(TypeError, match=rf"^{name} is 'x\*'; write \('x\*',\)$"):
        Http(**{name: "x*"})  # type: ignore[arg-type] # that is what is wrong


def test_what_is_trusted_must_be_networks() -> None:
    with pytest.raises(TypeError, match=r"^forwarded is '::1'; make it as in hubbub.Networks"):
        Http(forwarded="::1")  # type: ignore[arg-type] # that is what is wrong


async def admit(arrival: hubbub.Arrival) -> bool:
    raise NotImplementedError


def test_a_place_for_http_asks_for_keys_or_a_secret_and_nothing_else() -> None:
    with pytest.raises(ValueError, match=r"^over HTTP each request is asked for a secret, and nobody talks with a "):
        hubbub.Listener(endpoint=hubbub.Address("127.0.0.1", 0), http=Http(), authenticate=admit)
