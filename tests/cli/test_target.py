"""Where to connect, as users write it."""

from __future__ import annotations

import pytest

from hubbub import Address
from hubbub.cli.target import Target, parse, parse_place


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("5000", Address("127.0.0.1", 5000)),
        (":5000", Address("127.0.0.1", 5000)),
        ("localhost:1", Address("localhost", 1)),
        ("localhost 1", Address("localhost", 1)),
        ("192.0.2.1:65535", Address("192.0.2.1", 65_535)),
        ("[::1]:5000", Address("::1", 5000)),
        ("::1 5000", Address("::1", 5000)),
        ("[::1] 5000", Address("::1", 5000)),
        ("bücher.example:5000", Address("bücher.example", 5000)),
        ("tcp://localhost:1", Address("localhost", 1)),
        ("unix:///run/hubbub/hub%20one.sock", Address("/run/hubbub/hub one.sock", 0)),
        # As `serve` shows a relative path.
        ("unix://./hub.sock", Address("./hub.sock", 0)),
    ],
)
def test_a_target_is_a_port_with_or_without_a_host_or_a_url(text: str, address: Address) -> None:
    assert parse(text.split(" ")) == Target(address, tls=False)


def test_a_url_may_ask_for_tls() -> None:
    assert parse(["tls://[::1]:5443"]) == Target(Address("::1", 5443), tls=True)


@pytest.mark.parametrize(
    "text",
    [
        *("", "localhost", "localhost:", "0", "65536", "::1", "::1:5000", "-1", "5e3", "9" * 5_000, "a b c", "a/b:1"),
        *("tls://", "tls://localhost", "http://localhost:80", "unix://run/hub.sock", "unix:///a 1", "tls://a 1:2"),
    ],
    ids=lambda text: text[:10],
)
def test_anything_else_is_not_an_endpoint(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an endpoint; write it as 5000, localhost:5000, localhost 5000, \["):
        parse(text.split(" "))


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
def test_a_target_has_a_possible_host(host: str) -> None:
    with pytest.raises(ValueError, match=f"'{host}' is not a valid host name"):
        parse([f"{host}:5000"])


@pytest.mark.parametrize(
    ("text", "shown", "path"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", ""),
        ("http://hub.example/", "http://hub.example", ""),
        ("https://hub.example/status", "https://hub.example", ""),
        ("https://hub.example/hubbub/status", "https://hub.example/hubbub", "/hubbub"),
    ],
)
def test_a_place_that_speaks_http_is_a_url(text: str, shown: str, path: str) -> None:
    place = parse_place(text)
    assert (place.text, place.path) == (shown, path)


@pytest.mark.parametrize("text", ["", "8080", "localhost:8080", "tcp://localhost:5000", "unix:///x", "http://"])
def test_anything_else_is_not_the_url_of_a_place_that_speaks_http(text: str) -> None:
    with pytest.raises(ValueError, match="is not the URL of a place that speaks HTTP; write it as in http:"):
        parse_place(text)
