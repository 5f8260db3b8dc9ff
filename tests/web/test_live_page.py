"""The files of the live page: they are all given out, tell nothing of the server, and ask no other server."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import hubbub
from hubbub.values.ending import EndingCode
from hubbub.web.static_files import FOLDER

from support.helpers import Peer, at
from support.keys import write_keys
from support.web import answer, listeners, refusal, requesting, web_serving

LIVE = FOLDER / "live"
NAMES = sorted(path.name for path in LIVE.iterdir() if path.is_file())
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def target_of(name: str) -> str:
    return "/" if name == "index.html" else f"/live/{name}"


def text_of(name: str) -> str:
    return (LIVE / name).read_text()


async def test_each_file_has_its_type_and_a_policy_that_lets_nothing_else_in() -> None:
    async with web_serving() as (server, _), Peer.of(at(server, 1)) as peer:
        for name in NAMES:
            await peer.send(f"GET {target_of(name)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            head = await answer(peer)
            body = await peer.exactly(int(head.headers["Content-Length"]))
            assert (head.status, body) == (200, (LIVE / name).read_bytes())
            assert head.headers["Content-Type"] == TYPES[Path(name).suffix]
            policy = head.headers["Content-Security-Policy"].split("; ")
            assert policy[:2] == ["default-src 'none'", "script-src 'self'"]
            assert {"frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} <= set(policy)
            assert "unsafe" not in head.headers["Content-Security-Policy"]
            assert head.headers["Referrer-Policy"] == "no-referrer"
            assert head.headers["X-Content-Type-Options"] == "nosniff"


async def test_head_has_no_body_and_other_methods_and_files_are_refused() -> None:
    async with web_serving() as (server, _), Peer.of(at(server, 1)) as peer:
        await peer.send(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = await answer(peer)
        assert (head.status, head.headers["Content-Length"]) == (200, str(len((LIVE / "index.html").read_bytes())))
        # The next answer follows at once.
        assert (await answer(peer)).headers["Content-Length"] == "3"
        for target in ("/live", "/live/", "/live/nothing.js", "/live/../page.py", "/index.html", "/app.js"):
            assert (await refusal(server, f"GET {target}"))[0] == 404
        assert (await refusal(server, "DELETE /"))[0] == 405


async def test_the_files_need_no_key_and_the_state_does(tmp_path: Path) -> None:
    keys = hubbub.Keys(write_keys(tmp_path / "keys.toml", desk="watch"))
    places = listeners(authenticate=keys, endpoint=hubbub.Address("0.0.0.0", 0))
    async with web_serving(listeners=places) as (server, _):
        for target, status in (("/", 200), ("/live/app.js", 200), ("/status", 401)):
            async with requesting(server, f"GET {target} HTTP/1.1", "Host: localhost") as peer:
                assert (await answer(peer)).status == status


async def test_pages_of_other_sites_and_other_names_get_no_file() -> None:
    async with web_serving() as (server, _):
        for header in ("Origin: https://evil.example", "Sec-Fetch-Site: cross-site"):
            assert (await refusal(server, "GET /live/app.js HTTP/1.1", "Host: localhost", header))[0] == 403
        assert (await refusal(server, "GET / HTTP/1.1", "Host: evil.example"))[0] == 403


@pytest.mark.parametrize("name", NAMES)
def test_a_file_names_no_other_server_and_makes_no_markup(name: str) -> None:
    text = text_of(name)
    # A name of a namespace is not asked for, and the words of the page have addresses of this machine.
    urls = re.sub(r"http://(www\.w3\.org/2000/svg|127\.0\.0\.1:8080|localhost:8080/)", "", text)
    assert not re.findall(r"\w+://\w|//\w+\.\w|@import|url\(", urls)
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function", text)
    assert not re.findall(r"<[^>]* (on\w+|style)=", text)
    assert len(text.splitlines()) <= 350


def test_every_file_that_is_used_exists_and_every_one_is_used() -> None:
    used = set(re.findall(r'"live/([\w.]+)"', text_of("index.html")))
    for name in NAMES:
        used |= set(re.findall(r'from "\./([\w.]+)"', text_of(name)))
    assert used == set(NAMES) - {"index.html"}


def test_every_ending_is_explained() -> None:
    meanings = re.search(r"const MEANINGS = \{(.*?)\};", text_of("endings.js"), re.DOTALL)
    assert meanings is not None
    explained = [name.strip('"') for name in re.findall(r'^  ("?[\w-]+"?): "', meanings[1], re.MULTILINE)]
    assert explained == [code.value for code in EndingCode]
