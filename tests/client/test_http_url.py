"""The URLs of rooms, and of places that speak HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from hubbub import Address
from hubbub.client.http_url import room_url


@pytest.mark.parametrize(
    ("url", "address", "host", "path"),
    [
        ("http://127.0.0.1:8080/ais", Address("127.0.0.1", 8080), "127.0.0.1:8080", "/ais"),
        ("http://hub.example/ais/", Address("hub.example", 80), "hub.example", "/ais"),
        ("HTTPS://Hub.Example/ais", Address("hub.example", 443), "hub.example", "/ais"),
        ("https://hub.example:8443/a/prefix/ais", Address("hub.example", 8443), "hub.example:8443", "/a/prefix/ais"),
        ("http://[::1]/ais", Address("::1", 80), "[::1]", "/ais"),
        ("http://[::1]:8080/ais", Address("::1", 8080), "[::1]:8080", "/ais"),
        ("http://h/a%2Fb", Address("h", 80), "h", "/a%2Fb"),
        ("http://h/a:@!$&'()*+,;=~b", Address("h", 80), "h", "/a:@!$&'()*+,;=~b"),
        ("http://h/wetter-ä", Address("h", 80), "h", "/wetter-%C3%A4"),
        ("http://hüb.example/ais", Address("xn--hb-xka.example", 80), "xn--hb-xka.example", "/ais"),
    ],
)
def test_a_url_says_where_a_room_is(url: str, address: Address, host: str, path: str) -> None:
    room = room_url(url)
    assert (room.text, room.address, room.host, room.path) == (url.rstrip("/"), address, host, path)
    assert room.tls == url.lower().startswith("https")


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        (7, TypeError, "the URL is 7; it must be a string"),
        ("", ValueError, "'' is not the URL of a room; write it as in http://127.0.0.1:8080/ais"),
        ("127.0.0.1:8080/ais", ValueError, "is not the URL of a room"),
        ("tcp://127.0.0.1:8080", ValueError, "is not the URL of a room"),
        ("http:///ais", ValueError, "is not the URL of a room"),
        ("http://h/a b", ValueError, "is not the URL of a room"),
        ("http://h/a\nb", ValueError, "is not the URL of a room"),
        ("http://h/a\x7fb", ValueError, "is not the URL of a room"),
        ("http://h", ValueError, "names no room"),
        ("http://h/", ValueError, "names no room"),
        ("http://h/ais?since=1", ValueError, "goes on behind its path; leave that out"),
        ("http://h/ais?", ValueError, "goes on behind its path"),
        ("http://h/ais#x", ValueError, "goes on behind its path"),
        ("http://h/ais#", ValueError, "goes on behind its path"),
        ("http://h:0/ais", ValueError, "is 0; it must be 1 to 65535"),
        ("http://h:65536/ais", ValueError, "has no valid host and port"),
        ("http://h:x/ais", ValueError, "has no valid host and port"),
        ("http://a..b/ais", ValueError, "has no valid host and port"),
        ("http://[::1/ais", ValueError, "is not the URL of a room"),
    ],
)
def test_what_is_not_the_url_of_a_room_is_told(url: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message.replace("?", r"\?")):
        room_url(url)


def test_a_secret_in_a_url_is_refused_and_not_shown() -> None:
    with pytest.raises(ValueError, match="the URL has a name or a password in it") as error:
        room_url("http://me:sesame@h/ais")
    assert "sesame" not in str(error.value)
