"""Places to listen, as users write them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pytest

from hubbub import Address, Role
from hubbub.cli.places import ListenUrlType, parse, parse_table
from hubbub.framing import Delimited

WITH_UNIT = "write a time or a size with its unit, as in 10s, 5m, 64K or 4096B"


@pytest.mark.parametrize(
    ("text", "scheme", "endpoint"),
    [
        ("tcp://127.0.0.1:5000", "tcp", Address("127.0.0.1", 5000)),
        ("tcp://localhost:0", "tcp", Address("localhost", 0)),
        ("tcp://[::1]:65535", "tcp", Address("::1", 65535)),
        ("tcp://[::]:5000", "tcp", Address("::", 5000)),
        ("tcp://[fe80::1%eth0]:5000", "tcp", Address("fe80::1%eth0", 5000)),
        ("tcp://[fe80::1%25eth0]:5000", "tcp", Address("fe80::1%eth0", 5000)),
        ("tcp://:5000", "tcp", Address("", 5000)),
        ("tls://hub.example:5443", "tls", Address("hub.example", 5443)),
        ("unix:///run/hubbub.sock", "unix", Path("/run/hubbub.sock")),
        ("unix://hubbub.sock", "unix", Path("hubbub.sock")),
        ("unix:/run/hubbub.sock", "unix", Path("/run/hubbub.sock")),
        ("unix:///a%20b%3F", "unix", Path("/a b?")),
        ("fd://3", "fd", 3),
        ("fd://systemd", "fd", None),
    ],
)
def test_a_place_is_taken_apart(text: str, scheme: str, endpoint: Address | Path | int | None) -> None:
    url = parse(text)
    assert (url.text, url.scheme, url.attributes, url.query) == (text, scheme, {"endpoint": endpoint}, {})


def test_what_was_taken_apart_stays_so() -> None:
    url = parse("tcp://h:1")
    assert ListenUrlType().convert(url, None, None) is url


def test_what_is_different_there_is_behind_a_question_mark() -> None:
    query = "framing=nul&tls-cert=a.pem&tls-key=b.pem&tls-client-ca=c.pem&allow=192.0.2.0/24,::1&deny=@d&proxy-from=::1"
    url = parse(f"unix:///x?{query}&secret-file=%2Fe%20f&mode=600")
    assert url.query == {
        "framing": "nul",
        "tls-cert": "a.pem",
        "tls-key": "b.pem",
        "tls-client-ca": "c.pem",
        "allow": "192.0.2.0/24,::1",
        "deny": "@d",
        "proxy-from": "::1",
        "secret-file": "/e f",
        "mode": "600",
    }
    assert url.attributes == {"endpoint": Path("/x"), "mode": 0o600, "framing": Delimited(b"\0")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5000", "it must begin with fd://, tcp://, tls://, http://, https:// or unix://"),
        ("ws://h:80", "it must begin with fd://, tcp://, tls://, http://, https:// or unix://"),
        ("http://h", "write it as http://127.0.0.1:8080 or http://[::]:8080"),
        ("https://h:80/path", "write it as https://127.0.0.1:8080 or https://[::]:8080"),
        ("tcp://127.0.0.1", "write it as tcp://127.0.0.1:5000 or tcp://[::]:5000"),
        ("tls://[::]:1/x", "write it as tls://127.0.0.1:5000 or tls://[::]:5000"),
        ("tcp://h:65536", "the port is 65536; it must be 0 to 65535"),
        ("tcp://h:http", "write it as tcp://127.0.0.1:5000 or tcp://[::]:5000"),
        ("tcp://::1:5010", "an IPv6 address must be in brackets, as in tcp://[::1]:5010"),
        ("tls://::1", "an IPv6 address must be in brackets, write it as tls://127.0.0.1:5000 or tls://[::]:5000"),
        ("tcp://[::1", "Invalid IPv6 URL"),
        ("unix://", "write it as unix:///run/hubbub.sock"),
        ("tcp://h:1?frame=nul", "a listener has no 'frame'; did you mean 'framing'?"),
        (
            "tcp://h:1?xyz=1",
            "a listener has no 'xyz'; choose one of framing, room, role, tail, max-lag, replay, patience, sndbuf, "
            "any-protocol, tls-cert, tls-key, tls-client-ca, allow, deny, proxy-from, secret-file, keys, mode",
        ),
        ("tcp://h:1?framing=line", "there is no framing 'line'; did you mean 'lines'?"),
        ("tcp://h:1?any-protocol=1", "any-protocol is '1'; it must be yes or no"),
        ("tcp://h:1?role=rea", "the role is 'rea'; it must be both, read or write"),
        *(
            (f"tcp://h:1?max-lag={value}", f"max-lag is {value!r}; {WITH_UNIT}")
            for value in ("much", "10", "1.5K", "9999999999d")
        ),
        ("tcp://h:1?sndbuf=8X", "sndbuf: '8X' is not a size; write bytes, as in 65536, 64K or 16MiB"),
        (
            "tcp://h:1?patience=5x",
            "patience: '5x' is not a time; write seconds, or a unit, as in 30, 0.5s, 5m, 2h or 1d",
        ),
        ("tcp://h:1?secret-file=a#b", "# ends a URL; write %23 for it"),
        ("tcp://h:1?role=read&framing", "'framing' has no value; write it as in role=read"),
        # An unset variable of a shell opens no door.
        ("tcp://h:1?secret-file=", "secret-file is empty; give it a value, or leave it out"),
        *(
            (
                f"tcp://h:1?room={name}",
                f"{name!r} is not a name for a room; use 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-', "
                "and not '.' or '..' alone",
            )
            for name in ("a/b", "x" * 65, "é", "a b", ".", "..")
        ),
        ("tcp://h:1?deny=::1&deny=::2", "a key occurs twice; separate several networks by commas"),
        ("tcp://h:1?mode=600", "mode is for unix:// only"),
        *(
            (f"unix:///x?mode={mode}", f"mode is {mode!r}; write three digits of 0 to 7, as in ?mode=660")
            for mode in ("999", "1777", "rw", "8")
        ),
        *((place, "write it as fd://3 or fd://systemd") for place in ("fd://x", "fd://", "fd://-1", "fd://9999999")),
    ],
)
def test_a_place_that_is_not_valid_is_an_error_that_says_why(text: str, message: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        ListenUrlType().convert(text, None, None)
    assert caught.value.message == f"{text!r}: {message}"


def test_limits_of_a_place_are_written_as_options_are() -> None:
    attributes = parse("tcp://h:1?max-lag=10s&patience=2m&sndbuf=8K&tail=drop").attributes
    assert attributes == {
        "endpoint": Address("h", 1),
        "max_lag": timedelta(seconds=10),
        "patience": 120,
        "sndbuf": 8192,
        "tail": "drop",
    }
    limits = [parse(f"tcp://h:1?max-lag={value}").attributes["max_lag"] for value in ("64K", "4096B", "5M", "5m")]
    assert limits == [65536, 4096, 5 * 2**20, timedelta(minutes=5)]


def test_a_plus_in_a_place_is_a_plus() -> None:
    assert parse("tcp://h:1?secret-file=a+b%2Bc%20d").query == {"secret-file": "a+b+c d"}


def test_a_place_may_be_a_table_in_which_nothing_is_escaped() -> None:
    url = parse_table(
        {
            "url": "unix:///x",
            "role": "read",
            "any-protocol": False,
            "patience": 2.5,
            "sndbuf": 4096,
            "secret-file": "a&b#c",
            "deny": ["::1", "::2"],
            "mode": "600",
        }
    )
    limits = {"patience": 2.5, "sndbuf": 4096}
    assert url.attributes == {"endpoint": Path("/x"), "role": Role.READ, "any_protocol": False, "mode": 0o600, **limits}
    assert [url.query[key] for key in ("any-protocol", "secret-file", "deny")] == ["no", "a&b#c", "::1,::2"]


ABOVE = "; what holds for the whole server stands above the first [[listen]]"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"role": "read"}, "{'role': 'read'}: a place needs its url, as in url = \"tcp://127.0.0.1:5000\""),
        ({"url": "tcp://h:1?a=b"}, "'tcp://h:1?a=b': in a table, what follows the question mark are keys of their own"),
        ({"url": "tcp://h:1", "rol": "x"}, "'tcp://h:1': a listener has no 'rol'; did you mean 'role'?" + ABOVE),
        (
            {"url": "unix:///x", "mode": 600},
            "'unix:///x': mode is 600; it must be a string in quotes, or a list of strings",
        ),
    ],
)
def test_a_table_that_is_not_valid_is_an_error_that_says_why(table: dict[str, Any], message: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        ListenUrlType().convert(table, None, None)
    assert caught.value.message == message
