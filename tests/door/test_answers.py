"""What the door answers over HTTP to a connection that may not come in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import hubbub
from hubbub import EndingCode
from hubbub.door.answers import RETRY_AFTER, refusal

from support.certificates import Certificates
from support.helpers import Peer, at
from support.web import LISTENERS, Answer, answer, requesting, web_serving


async def refused(server: hubbub.Server[Any], before: bytes = b"") -> tuple[Answer, str]:
    """What a request is answered, and that the connection ends behind it."""
    async with Peer.of(at(server, 1)) as peer:
        await peer.send(before + b"GET /root/raw HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = await answer(peer)
        body = await peer.rest()
    assert head.headers["Connection"] == "close"
    assert len(body) == int(head.headers["Content-Length"])
    return head, body.decode().removesuffix("\n")


@pytest.mark.parametrize(
    ("settings", "status", "words"),
    [
        ({"clients_limit": 1}, 503, "full: server full: limit of 1 clients reached"),
        ({"clients_per_address": 1}, 429, "crowded: 127.0.0.1: limit of 1 clients reached"),
        ({"clients_per_subnet": 1}, 429, "crowded: 127.0.0.0/24: limit of 1 clients reached"),
        (
            {"connect_rate": 0.01, "connect_burst": 1},
            429,
            "hasty: 127.0.0.1 connects more than 0.01 times a second",
        ),
    ],
)
async def test_one_too_many_is_told_why_and_when_to_come_back(
    settings: dict[str, Any], status: int, words: str
) -> None:
    async with (
        web_serving(settings=hubbub.Settings(**settings)) as (server, record),
        requesting(server, "GET /root/raw") as first,
    ):
        assert (await answer(first)).status == 200
        head, said = await refused(server)
        assert (head.status, said) == (status, words)
        assert RETRY_AFTER[0] <= int(head.headers["Retry-After"]) <= RETRY_AFTER[1]
        (ending,) = await record.wait_for_refusals(1)
        assert str(ending) == words


async def test_an_address_that_is_denied_is_told_so_and_not_to_come_back() -> None:
    closed = replace(LISTENERS[1], access=hubbub.Access(deny=["127.0.0.1"]))
    async with web_serving(listeners=(LISTENERS[0], closed)) as (server, _):
        head, said = await refused(server)
        assert (head.status, said) == (403, "denied: 127.0.0.1 may not connect here")
        assert "Retry-After" not in head.headers


async def test_behind_a_proxy_it_is_the_client_that_is_told() -> None:
    behind = replace(LISTENERS[1], proxies=hubbub.Networks(["127.0.0.1"]), access=hubbub.Access(deny=["192.0.2.66"]))
    async with web_serving(listeners=(LISTENERS[0], behind)) as (server, _):
        head, said = await refused(server, b"PROXY TCP4 192.0.2.66 192.0.2.1 1 2\r\n")
        assert (head.status, said) == (403, "denied: 192.0.2.66 may not connect here")
        head, said = await refused(server)
        assert (head.status, said) == (400, "bad-proxy: it does not begin with a PROXY header")


async def test_with_tls_nothing_is_answered(certificates: Certificates) -> None:
    secret = certificates.listener(http=hubbub.Http(), access=hubbub.Access(deny=["127.0.0.1"]))
    async with web_serving(listeners=(LISTENERS[0], secret)) as (server, _), Peer.of(at(server, 1)) as peer:
        assert await peer.rest() == b""


async def test_places_for_lines_say_it_in_a_line_as_before() -> None:
    async with (
        web_serving(settings=hubbub.Settings(clients_limit=1)) as (server, record),
        Peer.of(server),
    ):
        await record.wait_for_clients(1)
        async with Peer.of(server) as peer:
            assert await peer.rest() == b"full: server full: limit of 1 clients reached\n"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (EndingCode.OVERLOADED, b"HTTP/1.1 503 Service Unavailable\r\n"),
        (EndingCode.PROBE, b""),
        (EndingCode.SHUTDOWN, b""),
        (EndingCode.MALFORMED, b""),
    ],
)
def test_only_what_the_door_refuses_is_answered(code: EndingCode, status: bytes) -> None:
    wire = refusal(hubbub.Ending(code, "because"))
    assert wire.partition(b"\n")[0] + b"\n" == status if status else wire == b""
