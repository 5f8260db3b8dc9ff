"""Whose a request is that comes through a trusted proxy, and what its limits, access lists and names are."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hubbub
from hubbub import Address, EndingCode
from hubbub.web.forwarded import Forwarded, forwarded
from hubbub.web.requests import Problem, Request

from support.certificates import TlsPeer, make_certificates
from support.helpers import Peer, at, eventually, idle
from support.web import LISTENERS, answer, json_line, refusal, requesting, said, web_serving

PROXY = Address("192.0.2.1", 4711)
TRUSTED = hubbub.Networks(["192.0.2.0/24", "2001:db8:ffff::/48"])


def read(**headers: str) -> Forwarded:
    request = Request("GET", "/", {name.replace("_", "-"): text for name, text in headers.items()})
    return forwarded(request, PROXY, TRUSTED)


def host(**headers: str) -> str:
    found = read(**headers)
    assert found.origin.port == PROXY.port
    return found.origin.host


# What the headers say.


@pytest.mark.parametrize(
    ("text", "client"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("203.0.113.9:5000", "203.0.113.9"),
        ("2001:db8::9", "2001:db8::9"),
        ("2001:DB8:0::9", "2001:db8::9"),
        ("[2001:db8::9]", "2001:db8::9"),
        ("[2001:db8::9]:5000", "2001:db8::9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, 192.0.2.7", "203.0.113.9"),
        ("198.51.100.1,203.0.113.9 ,192.0.2.7,  2001:db8:ffff::1", "203.0.113.9"),
        # Nobody reads what the client says.
        ("<script>, 203.0.113.9", "203.0.113.9"),
        ("192.0.2.8, 203.0.113.9", "203.0.113.9"),
        (",, 203.0.113.9 ,", "203.0.113.9"),
        # All are trusted: it is the one that is furthest away.
        ("192.0.2.8, 192.0.2.7", "192.0.2.8"),
        ("unknown", "192.0.2.1"),
        ("198.51.100.1, unknown, 192.0.2.7", "192.0.2.7"),
        ("", "192.0.2.1"),
        (" , ", "192.0.2.1"),
    ],
)
def test_x_forwarded_for_is_read_from_the_right_up_to_the_first_that_is_not_trusted(text: str, client: str) -> None:
    assert host(x_forwarded_for=text) == client


@pytest.mark.parametrize(
    ("text", "client", "scheme"),
    [
        ("for=203.0.113.9", "203.0.113.9", None),
        ('For="[2001:db8::9]:5000";Proto=HTTPS;by=_x', "2001:db8::9", "https"),
        ('for="203.0.113.9:_port"', "203.0.113.9", None),
        ('for="\\203.0.113.9"', "203.0.113.9", None),
        ("for=198.51.100.1;proto=http, for=203.0.113.9;proto=https, for=192.0.2.7;proto=http", "203.0.113.9", "https"),
        ("for=203.0.113.9;, ;proto=http;for=192.0.2.7;", "203.0.113.9", None),
        ("for=198.51.100.1, for=unknown;proto=https", "192.0.2.1", "https"),
        ("for=198.51.100.1, for=_hidden, for=192.0.2.7", "192.0.2.7", None),
        ("proto=https", "192.0.2.1", "https"),
        ('host="a,b;c";for=203.0.113.9', "203.0.113.9", None),
    ],
)
def test_forwarded_is_read_in_the_same_way(text: str, client: str, scheme: str | None) -> None:
    assert read(forwarded=text) == (Address(client, PROXY.port), scheme)


@pytest.mark.parametrize(
    "text",
    [
        "for=",
        "for",
        "for=a b",
        "for=1.2.3.4;for=5.6.7.8",
        "for=2001:db8::9",
        'for="203.0.113.9',
        'for="',
        # The client's part shall not swallow what the proxy adds.
        'for=6.6.6.6;x=", for=203.0.113.9',
        'for=6.6.6.6;x=", for="[2001:db8::9]"',
        "for=203.0.113.999",
        'for="[203.0.113.9"',
        "for=203.0.113.9;proto=gopher",
        "=",
        "\x80=1",
    ],
)
def test_a_forwarded_that_is_not_valid_is_refused(text: str) -> None:
    with pytest.raises(Problem) as caught:
        read(forwarded=text)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "text", ["localhost", "203.0.113", "203.0.113.9, x", "fe80::1%eth0", "203.0.113.9:", "[::1", "::1]", "1:2", "-"]
)
def test_a_client_that_is_not_an_address_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="is not an address"):
        read(x_forwarded_for=text)


def test_headers_that_contradict_each_other_are_refused() -> None:
    assert host(x_forwarded_for="203.0.113.9", forwarded="for=203.0.113.9;proto=https") == "203.0.113.9"
    with pytest.raises(Problem) as caught:
        read(x_forwarded_for="203.0.113.9", forwarded="for=198.51.100.1")
    assert caught.value.status == 400
    assert "name different clients" in caught.value.reason


@pytest.mark.parametrize(
    ("headers", "scheme"),
    [
        ({"x_forwarded_for": "203.0.113.9", "x_forwarded_proto": "https"}, "https"),
        ({"x_forwarded_proto": "HTTPS"}, "https"),
        ({"x_forwarded_proto": "https, http"}, "http"),
        ({"x_forwarded_proto": "http", "forwarded": "for=203.0.113.9;proto=https"}, "https"),
        ({"x_forwarded_proto": "https", "forwarded": "for=203.0.113.9"}, "https"),
        ({}, None),
    ],
)
def test_the_proxy_says_by_which_scheme_its_client_asked(headers: dict[str, str], scheme: str | None) -> None:
    assert read(**headers).scheme == scheme


def test_a_scheme_that_is_not_of_http_is_refused() -> None:
    with pytest.raises(Problem, match="is not http or https"):
        read(x_forwarded_proto="ftp")


PARTS = [*'",;= []:\\', "for=", "203.0.113.9", "unknown", "_x", "192.0.2.7", "proto=https"]


@given(st.lists(st.sampled_from(PARTS), max_size=12).map("".join))
def test_whatever_a_client_writes_it_is_not_taken_for_another(text: str) -> None:
    for headers in ({"x_forwarded_for": f"{text}, 198.51.100.1"}, {"forwarded": f"{text}, for=198.51.100.1"}):
        # It may be refused.
        with suppress(Problem):
            assert host(**headers) == "198.51.100.1"


def test_a_long_header_is_read_in_no_time() -> None:
    for text in ('for="' + "\\a" * 8000, "for=" + '"a"' * 5000, ";" * 16_000, '="' * 8000):
        with pytest.raises(Problem):
            read(forwarded=f"x{text}")


# Requests through a proxy.


def behind(*trusted: str, listener: Any = LISTENERS[1], **options: Any) -> Any:
    http = hubbub.Http(forwarded=hubbub.Networks(trusted or ["127.0.0.1"]))
    return LISTENERS[0], replace(listener, http=http, **options)


def asking(target: str, client: str, *more: str) -> tuple[str, ...]:
    return f"{target} HTTP/1.1", "Host: localhost", f"X-Forwarded-For: {client}", *more


async def test_readers_behind_a_proxy_are_not_one_address() -> None:
    settings = hubbub.Settings(clients_per_address=1)
    async with web_serving(settings=settings, listeners=behind()) as (server, record):
        async with (
            requesting(server, *asking("GET /root/json", "203.0.113.1")) as one,
            requesting(server, *asking("GET /root/json", "203.0.113.2")) as two,
        ):
            for peer in (one, two):
                assert (await answer(peer)).status == 200
            await eventually(lambda: len(server.root) == 2)
            hosts = {reader.client.address for reader in server._sessions.readers}
            assert hosts == {"203.0.113.1", "203.0.113.2"}
            async with requesting(server, *asking("GET /root/json", "203.0.113.1")) as three:
                head = await answer(three)
                assert head.status == 429
                assert "Retry-After" in head.headers
                assert await three.rest() == b"crowded: 203.0.113.1: limit of 1 clients reached\n"
            assert [str(address.host) for address, _ in record.refusals] == ["203.0.113.1"]
        # Streams that have gone count no more.
        await eventually(lambda: len(server.root) == 0)
        async with requesting(server, *asking("GET /root/json", "203.0.113.1")) as again:
            assert (await answer(again)).status == 200


async def test_requests_on_one_connection_of_a_proxy_are_those_of_different_people() -> None:
    settings = hubbub.Settings(clients_per_address=1)
    listeners = behind(access=hubbub.Access(deny=["203.0.113.66"]))
    async with web_serving(settings=settings, listeners=listeners) as (server, record), Peer.of(at(server, 1)) as peer:
        for client in ("203.0.113.1", "203.0.113.2", "203.0.113.1", "203.0.113.1"):
            await peer.send("\r\n".join([*asking("GET /nowhere/raw", client), "", ""]).encode())
            assert await said(peer) == "the room 'nowhere' does not exist"
            # What was answered counts no more.
            assert not server._sessions.arrivals._limits._addresses
        await peer.send("\r\n".join([*asking("GET /root/raw", "203.0.113.66"), "", ""]).encode())
        assert (await answer(peer)).status == 403
        assert await peer.rest() == b"denied: 203.0.113.66 may not connect here\n"
        assert [ending.code for ending in await record.wait_for_refusals(1)] == [EndingCode.DENIED]
        await eventually(lambda: server._sessions.arrivals._limits.total == 0)
        assert not server._sessions.arrivals._limits._addresses


async def test_a_request_counts_for_the_rate_as_a_connection_does() -> None:
    settings = hubbub.Settings(connect_rate=0.01, connect_burst=2)
    async with web_serving(settings=settings, listeners=behind()) as (server, _), Peer.of(at(server, 1)) as peer:
        for client in ("203.0.113.1", "203.0.113.1", "203.0.113.2"):
            await peer.send("\r\n".join([*asking("GET /nowhere/raw", client), "", ""]).encode())
            await said(peer)
        await peer.send("\r\n".join([*asking("GET /nowhere/raw", "203.0.113.1"), "", ""]).encode())
        assert (await answer(peer)).status == 429
        assert (await peer.rest()).startswith(b"hasty: 203.0.113.1 connects more than")


async def test_the_limit_on_all_connections_counts_those_of_the_proxy_once() -> None:
    settings = hubbub.Settings(clients_limit=1)
    async with web_serving(settings=settings, listeners=behind()) as (server, _):
        async with requesting(server, *asking("GET /root/raw", "203.0.113.1")) as one:
            assert (await answer(one)).status == 200
            assert (await refusal(server, *asking("GET /root/raw", "203.0.113.2")))[0] == 503
        await eventually(lambda: server._sessions.arrivals._limits.total == 0)
        async with requesting(server, *asking("GET /root/raw", "203.0.113.1")) as again:
            assert (await answer(again)).status == 200


async def test_from_others_the_headers_change_nothing() -> None:
    settings = hubbub.Settings(clients_per_address=1)
    listeners = behind("192.0.2.0/24", access=hubbub.Access(deny=["203.0.113.66"]))
    async with web_serving(settings=settings, listeners=listeners) as (server, _):
        lines = asking("GET /root/raw", "203.0.113.66", "Forwarded: for=", "X-Forwarded-Proto: ftp")
        async with requesting(server, *lines) as one:
            assert (await answer(one)).status == 200
            assert (await refusal(server, *asking("GET /root/raw", "203.0.113.1")))[1].startswith("crowded: 127.0.0.1:")


async def test_a_header_that_is_not_valid_is_said_and_the_next_request_is_answered() -> None:
    async with web_serving(listeners=behind()) as (server, _), Peer.of(at(server, 1)) as peer:
        for client, reason in (
            ("x", "'x' is not an address in X-Forwarded-For or Forwarded"),
            ("203.0.113.1", "the room 'nowhere' does not exist"),
        ):
            await peer.send("\r\n".join([*asking("GET /nowhere/raw", client), "", ""]).encode())
            assert await said(peer) == reason


async def test_several_headers_are_one_list() -> None:
    async with web_serving(listeners=behind("127.0.0.1", "192.0.2.7")) as (server, _):
        lines = asking("GET /root/json", "203.0.113.1", "X-Forwarded-For: 192.0.2.7")
        async with requesting(server, *lines) as peer:
            assert (await answer(peer)).status == 200
            await eventually(lambda: len(server.root) == 1)
            (reader,) = server._sessions.readers
            assert reader.client.address == "203.0.113.1"
            assert str(reader.client) == f"203.0.113.1:{Address.parse(peer.name).port}"


async def test_a_request_of_the_proxy_itself_counts_for_the_proxy() -> None:
    settings = hubbub.Settings(clients_per_address=1)
    async with (
        web_serving(settings=settings, listeners=behind()) as (server, _),
        requesting(server, "GET /root/raw") as one,
    ):
        assert (await answer(one)).status == 200
        assert (await refusal(server, "GET /root/raw"))[1] == "crowded: 127.0.0.1: limit of 1 clients reached"


async def test_a_connection_of_a_proxy_that_asks_for_nothing_is_forgotten() -> None:
    async with web_serving(listeners=behind()) as (server, _):
        async with Peer.of(at(server, 1)):
            await eventually(lambda: server._sessions.arrivals._limits.total == 1)
        await eventually(lambda: server._sessions.arrivals._limits.total == 0)
        assert not server._sessions.arrivals._limits._addresses


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (("X-Forwarded-Proto: https",), 200),
        (("Forwarded: for=203.0.113.1;proto=https",), 200),
        (("X-Forwarded-Proto: http",), 403),
        ((), 403),
    ],
)
async def test_behind_a_proxy_that_ends_tls_its_pages_may_read(headers: tuple[str, ...], status: int) -> None:
    lines = asking("GET /root/sse", "203.0.113.1", "Origin: https://localhost", *headers)
    async with web_serving(listeners=behind()) as (server, _), requesting(server, *lines) as peer:
        assert (await answer(peer)).status == status


async def test_tls_to_hubbub_is_that_of_the_client_unless_the_proxy_says_otherwise(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    listeners = behind(listener=certificates.listener(http=hubbub.Http()))
    async with web_serving(listeners=listeners) as (server, _):
        for origin, status in (("https://localhost", b"200"), ("http://localhost", b"403")):
            async with TlsPeer.of(at(server, 1), certificates.client_context()) as peer:
                lines = asking("GET /root/raw", "203.0.113.1", f"Origin: {origin}", "", "")
                await peer.send("\r\n".join(lines).encode())
                assert (await peer.line()).split()[1] == status


async def test_a_proxy_may_be_known_by_its_proxy_header(tmp_path: Path) -> None:
    """HAProxy in front, which passes on what nginx before it says."""
    listeners = behind("192.0.2.7", proxies=hubbub.Networks(["127.0.0.1"]))
    settings = hubbub.Settings(clients_per_address=1)
    async with web_serving(settings=settings, listeners=listeners) as (server, _):

        async def status(source: str, client: str) -> int:
            async with Peer.of(at(server, 1)) as peer:
                lines = "\r\n".join([*asking("GET /nowhere/raw", client), "", ""])
                await peer.send(f"PROXY TCP4 {source} 192.0.2.1 1 2\r\n{lines}".encode())
                return (await answer(peer)).status

        async with Peer.of(at(server, 1)) as peer:
            lines = "\r\n".join([*asking("GET /root/raw", "203.0.113.1"), "", ""])
            await peer.send(f"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\n{lines}".encode())
            assert (await answer(peer)).status == 200
            assert await status("192.0.2.7", "203.0.113.2") == 404
            assert await status("192.0.2.7", "203.0.113.1") == 429
            # From this one the header changes nothing.
            assert await status("203.0.113.1", "203.0.113.3") == 429
        await eventually(lambda: server._sessions.arrivals._limits.total == 0)
        assert not server._sessions.arrivals._limits._addresses


async def test_of_two_kinds_of_proxies_each_sends_its_own_header() -> None:
    listeners = behind("127.0.0.1", proxies=hubbub.Networks(["192.0.2.7"]))
    lines = asking("GET /root/raw", "203.0.113.1")
    async with web_serving(listeners=listeners) as (server, _), requesting(server, *lines) as peer:
        assert (await answer(peer)).status == 200


async def test_what_is_trusted_is_read_again_with_everything_else(tmp_path: Path) -> None:
    networks = tmp_path / "proxies"
    networks.write_text("192.0.2.7\n")
    async with web_serving(idle, listeners=behind(f"@{networks}")) as (server, _):
        networks.write_text("127.0.0.1\n")
        assert server.reload() == [f"the networks of @{networks}: 1 more, 1 fewer"]
        async with requesting(server, *asking("GET /root/json", "203.0.113.1")) as peer:
            await answer(peer)
            await server.broadcast("a")
            assert (await json_line(peer))["message"] == "a"
            (reader,) = server._sessions.readers
            assert reader.client.address == "203.0.113.1"


async def test_a_proxy_that_is_not_trusted_any_more_names_nobody_on_a_kept_connection(tmp_path: Path) -> None:
    networks = tmp_path / "networks"
    networks.write_text("127.0.0.1\n")
    async with (
        web_serving(idle, listeners=behind(f"@{networks}")) as (server, _),
        requesting(server, *asking("OPTIONS /root/json", "203.0.113.1")) as peer,
    ):
        assert (await answer(peer)).status == 204
        networks.write_text("192.0.2.7\n")
        server.reload()
        await peer.send("\r\n".join([*asking("GET /root/json", "203.0.113.1"), "", ""]).encode())
        assert (await answer(peer)).status == 200
        (reader,) = server._sessions.readers
        assert reader.client.address == "127.0.0.1"
