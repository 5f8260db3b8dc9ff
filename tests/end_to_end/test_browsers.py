"""Chromium reads rooms: it comes back by itself and goes on where it was, and foreign pages see nothing."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from support.browser import Browser, chromium, site
from support.keys import secret_of, write_keys
from support.pages import ROOT
from support.programs import HUBBUB, Peer, finish, require_program, wait_until
from support.transcripts import parse
from support.web_programs import WebProgram, web_program

pytestmark = pytest.mark.real

EVENTS = """
const [url] = arguments;
window.heard = [];
window.source = new EventSource(url);
for (const type of ["message", "missed", "end"])
  source.addEventListener(type, (event) => heard.push({ type, id: event.lastEventId, data: event.data }));
return new Promise((resolve) => { source.onopen = resolve; });
"""
"""Read a stream, and note what is heard; it is done when the stream has begun."""

SOCKET = """
const [url, protocol] = arguments;
window.heard = [];
window.ended = null;
window.socket = new WebSocket(url, protocol);
socket.onmessage = (event) => heard.push(event.data);
socket.onclose = ({ code, reason, wasClean }) => { ended = [code, reason, wasClean]; };
return new Promise((resolve) => { socket.onopen = resolve; });
"""
"""Open a WebSocket, and note what is heard and how it ends."""

MODULE = """
const [server, options] = arguments;
return import(`${server}/hubbub.js`).then(({ subscribe, publish }) => {
  window.heard = [];
  window.states = [];
  window.say = (text) => publish(`${server}/root`, text, options);
  const read = async () => {
    const onState = (state) => states.push(state);
    for await (const entry of subscribe(`${server}/root`, { ...options, onState })) heard.push(entry);
  };
  read().catch((error) => heard.push(String(error)));
});
"""
"""Read the root room with the module that a server gives out, and have `say` publish there."""

ATTEMPTS = """
const [url] = arguments;
const loads = (name, attributes) => new Promise((resolve) => {
  const element = Object.assign(document.createElement(name), attributes);
  element.onload = () => resolve("loaded");
  element.onerror = () => resolve("refused");
  document.documentElement.append(element);
});
const opens = (source) => new Promise((resolve) => {
  source.onopen = () => resolve("open");
  source.onerror = () => resolve("refused");
});
const all = `${url}raw?since=all&poll=1`;
const fetches = (options) => fetch(all, options).then((answer) => answer.text(), () => "refused");
const framed = async () => {
  const frame = document.createElement("iframe");
  const loaded = new Promise((resolve) => { frame.onload = resolve; });
  frame.src = all;
  document.documentElement.append(frame);
  await loaded;
  return frame.contentDocument === null ? "refused" : "seen";
};
return (async () => ({
  events: await opens(new EventSource(`${url}sse?since=all`)),
  socket: await opens(new WebSocket(`${url.replace("http", "ws")}ws?since=all`)),
  fetch: await fetches({}),
  // A page gets an answer of which it sees nothing.
  blind: (await fetches({ mode: "no-cors" })) || "refused",
  preflight: await fetches({ headers: { "X-Any": "thing" } }),
  image: await loads("img", { src: all }),
  script: await loads("script", { src: all }),
  module: await import(`${new URL(url).origin}/hubbub.js`).then(() => "loaded", () => "refused"),
  style: await loads("link", { rel: "stylesheet", href: all }),
  frame: await framed(),
  stolen: window.stolen === undefined ? "refused" : "ran",
}))();
"""
"""All ways in which a page can have a browser read something; what comes of each."""

POST = """
const [url] = arguments;
const form = Object.assign(document.createElement("form"), { action: url, method: "post", enctype: "text/plain" });
const field = Object.assign(document.createElement("input"), { name: "forged", value: "forged" });
const frame = Object.assign(document.createElement("iframe"), { name: "answer" });
form.target = "answer";
form.append(field);
document.documentElement.append(frame, form);
// Only now: an empty frame is loaded, too.
const loaded = new Promise((resolve) => { frame.onload = resolve; });
const simple = { method: "POST", mode: "no-cors", body: "forged" };
// What is answered is not for this page, so that either way the fetch may fail.
return fetch(url, simple).catch(() => null).then(() => {
  form.submit();
  return loaded;
});
"""
"""Both ways in which a page can have a browser publish without asking anybody."""


FOREIGN = ["evil.example:{pages}", "127.0.0.1:{pages}", "evil.example:{pages}/sandboxed"]
"""Pages of another site, of another port, and of no origin."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    require_program("chromium")
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def pages() -> Iterator[int]:
    """The port of a site of its own, under every name."""
    with site() as port:
        yield port


def hear(browser: Browser, count: int) -> list[dict[str, Any]]:
    """Wait until so many events have come; all of them."""
    heard: list[dict[str, Any]] = browser.wait_for("return heard.length >= arguments[0] && heard", count)
    return heard


def read_all(browser: Browser, server: WebProgram) -> str:
    """What a page of the server itself reads of the root room."""
    browser.visit(server.url("raw?since=all&poll=1"))
    text: str = browser.run("return fetch(location.href).then((answer) => answer.text())")
    return text


def messages(heard: list[dict[str, Any]]) -> list[str]:
    return [event["data"] for event in heard if event["type"] == "message"]


def log_of(store: Path) -> list[str]:
    """What a store has of the root room."""
    return finish(*HUBBUB, "log", str(store), "root").output.splitlines()


def test_a_page_of_the_server_itself_hears_what_nc_says(browser: Browser) -> None:
    nc = require_program("nc")
    with web_program() as server:
        browser.visit(server.url("raw?poll=1"))
        browser.run(EVENTS, "/root/sse")
        host, port = server.program.endpoint
        assert finish(nc, "-N", host, str(port), input="Hey, é and 語\n<b>no tag</b>\n".encode()).status == 0
        assert messages(hear(browser, 2)) == ["Hey, é and 語", "<b>no tag</b>"]


def test_a_page_of_an_origin_that_is_allowed_reads_all_kinds_of_streams(browser: Browser, pages: int) -> None:
    origin = f"http://boat.example:{pages}"
    with web_program(f"--allow-origin={origin}") as server:
        server.say("one", "two")
        browser.visit(origin)
        browser.run(EVENTS, server.url("sse?since=all"))
        assert messages(hear(browser, 2)) == ["one", "two"]
        fetch = "return fetch(arguments[0]).then((answer) => answer.text())"
        assert browser.run(fetch, server.url("raw?since=all&poll=1")) == "one\ntwo\n"
        objects = browser.run(fetch, server.url("json?since=all&poll=1")).splitlines()
        assert [json.loads(line).get("message") for line in objects] == ["one", "two", None]


@pytest.mark.parametrize("protocol", ["hubbub.plain", pytest.param("hubbub.json", marks=pytest.mark.long)])
def test_a_page_speaks_and_hears_over_a_websocket(browser: Browser, pages: int, protocol: str) -> None:
    origin = f"http://127.0.0.1:{pages}"
    with web_program(f"--allow-origin={origin}") as server, Peer(server.program.endpoint) as peer:
        browser.visit(origin)
        browser.run(SOCKET, f"ws://{server.web}/root/ws", protocol)
        peer.send(b"<b>no tag</b>\n")
        (data,) = browser.wait_for("return heard.length && heard")
        assert (json.loads(data)["message"] if protocol == "hubbub.json" else data) == "<b>no tag</b>"
        # Whom it has heard hears it.
        browser.run("socket.send('Hey, é and 語\\nand more')")
        assert peer.line().decode() == "Hey, é and 語\n"
        assert peer.line() == b"and more\n"
        server.program.stop()
        ended = browser.wait_for("return ended")
        assert ended == [1012, "shutdown: the server closed", True]


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_a_browser_comes_back_after_a_restart_and_misses_and_repeats_nothing(
    browser: Browser, pages: int, number: signal.Signals, tmp_path: Path
) -> None:
    store = tmp_path / "hubbub.db"
    origin = f"http://127.0.0.1:{pages}"
    options = (f"--allow-origin={origin}", f"--store={store}")
    numbers = [str(number) for number in range(30)]
    with web_program(*options) as server:
        browser.visit(origin)
        browser.run(EVENTS, server.url("sse"))
        server.say(*numbers[:10])
        hear(browser, 10)
        # What is not on the disk yet would be lost with the process, although it was heard.
        wait_until(lambda: len(log_of(store)) == 10, "commit")
        server.program.signal(number)
        server.program.wait()
    browser.wait_for("return source.readyState === EventSource.CONNECTING")
    with web_program(*options, ports=server.ports) as server:
        # Before it is back, and after.
        server.say(*numbers[10:20])
        browser.wait_for("return source.readyState === EventSource.OPEN")
        server.say(*numbers[20:])
        heard = hear(browser, 31 if number == signal.SIGTERM else 30)
        assert messages(heard) == numbers
        others = [event["type"] for event in heard if event["type"] != "message"]
        assert others == (["end"] if number == signal.SIGTERM else [])


@pytest.mark.long
def test_a_browser_is_told_of_a_gap_where_the_server_has_forgotten(browser: Browser, pages: int) -> None:
    origin = f"http://127.0.0.1:{pages}"
    with web_program(f"--allow-origin={origin}") as server:
        browser.visit(origin)
        browser.run(EVENTS, server.url("sse"))
        server.say("before")
        hear(browser, 1)
        server.program.signal(signal.SIGKILL)
        server.program.wait()
    with web_program(f"--allow-origin={origin}", ports=server.ports) as server:
        server.say("after")
        before, missed, after = hear(browser, 3)
        assert (before["data"], missed["type"], after["data"]) == ("before", "missed", "after")
        fields = json.loads(missed["data"])
        assert (fields["missed"], fields["first"]) == (None, missed["id"])


def test_a_page_of_the_server_itself_reads_and_publishes_with_its_module(browser: Browser) -> None:
    with web_program() as server:
        server.say("one")
        browser.visit(server.url("raw?poll=1"))
        browser.run(MODULE, "", {"since": "all"})
        position = browser.run("return say('Hey, é and 語')")
        one, two = hear(browser, 2)
        assert [one["message"], two["message"]] == ["one", "Hey, é and 語"]
        assert (two["position"], browser.run("return states")) == (position, ["live"])


@pytest.mark.long
def test_a_page_of_an_origin_that_is_allowed_keeps_its_place_with_the_module(
    browser: Browser, pages: int, tmp_path: Path
) -> None:
    keys = write_keys(tmp_path / "keys.toml", boat="read write")
    origin = f"http://boat.example:{pages}"
    options = (f"--allow-origin={origin}", f"--keys={keys}", f"--store={tmp_path / 'hubbub.db'}", "--durable=ack")
    numbers = [str(number) for number in range(30)]

    def say(some: list[str]) -> None:
        for number in some:
            assert browser.run("return say(arguments[0])", number)

    with web_program(*options) as server:
        browser.visit(origin)
        browser.run(MODULE, server.origin, {"key": secret_of("boat").decode()})
        browser.wait_for("return states.length")
        say(numbers[:10])
        hear(browser, 10)
        server.program.signal(signal.SIGKILL)
        server.program.wait()
    browser.wait_for("return states.length === 2")
    with web_program(*options, ports=server.ports) as server:
        # Before it is back, and after.
        say(numbers[10:20])
        browser.wait_for("return states.at(-1) === 'live' && states.length > 2")
        say(numbers[20:])
        assert [entry.get("message") for entry in hear(browser, 30)] == numbers


@pytest.mark.long
def test_the_page_of_the_how_to_shows_what_a_sensor_says(browser: Browser) -> None:
    page = ROOT / "docs" / "how-to" / "sensor-on-a-web-page.md"
    (block,) = (block for block in parse(page.read_text()) if block.kind == "html")
    with web_program("--allow-origin=*", query="?role=read&replay=20") as server:
        server.say("21.5 °C")
        with site("\n".join(block.lines).replace("127.0.0.1:15282", str(server.web))) as port:
            browser.visit(f"http://127.0.0.1:{port}/sensor.html")
            browser.wait_for("return readings.childElementCount === 1")
            server.say("<b>21.7 °C</b>")
            browser.wait_for("return readings.childElementCount === 2")
            assert browser.run("return [now.innerText, state.innerText]") == ["<b>21.7 °C</b>", "live"]
            server.program.stop()
            browser.wait_for("return state.innerText === 'waiting'")


@pytest.mark.long
def test_a_page_that_takes_no_entry_holds_the_server_back(browser: Browser) -> None:
    with web_program("--retention=128M", "--patience=60s") as server:
        browser.visit(server.url("raw?poll=1"))
        stalled = """
        return import("/hubbub.js").then(async ({ subscribe }) => {
          window.entries = subscribe("/root", { since: "all" });
          window.first = entries.next();
        });
        """
        browser.run(stalled)
        count = 60_000
        server.say(*[f"{number:>999}" for number in range(count)])
        assert int(browser.run("return first.then(({ value }) => value.message)")) == 0
        with closing(HTTPConnection(*server.web)) as connection:
            connection.request("GET", "/status")
            (row,) = json.load(connection.getresponse())["connections"]
        assert row["lag"]["bytes"] > count * 1000 / 2
        rest = """
        const [count] = arguments;
        const take = async () => {
          for (let number = 1; number < count; number++)
            if (Number((await entries.next()).value.message) !== number) return number;
          return count;
        };
        return take();
        """
        assert browser.run(rest, count) == count


@pytest.mark.parametrize("page", FOREIGN)
def test_a_page_of_another_site_reads_nothing_in_any_way(browser: Browser, pages: int, page: str) -> None:
    with web_program() as server:
        server.say("window.stolen = true")
        browser.visit(f"http://{page.format(pages=pages)}")
        outcomes: dict[str, Any] = browser.run(ATTEMPTS, server.url(""))
        assert set(outcomes.values()) == {"refused"}, outcomes
        assert set(browser.statuses(server.web.port)) == {403}


@pytest.mark.long
@pytest.mark.parametrize("page", FOREIGN)
def test_a_page_of_another_site_publishes_nothing(browser: Browser, pages: int, page: str) -> None:
    with web_program() as server:
        server.say("one")
        browser.visit(f"http://{page.format(pages=pages)}")
        browser.run(POST, server.url("").removesuffix("/"))
        wait_until(lambda: browser.statuses(server.web.port) == [403, 403], "refusal of both")
        assert read_all(browser, server) == "one\n"


def test_a_page_of_an_origin_that_is_allowed_publishes(browser: Browser, pages: int) -> None:
    origin = f"http://boat.example:{pages}"
    with web_program(f"--allow-origin={origin}") as server:
        browser.visit(origin)
        post = """
        const options = { method: "POST", body: "Hey, é and 語" };
        return fetch(arguments[0], options).then((answer) => answer.json());
        """
        assert browser.run(post, server.url("").removesuffix("/"))["messages"] == 1
        assert read_all(browser, server) == "Hey, é and 語\n"


@pytest.mark.long
def test_the_attempts_of_a_foreign_page_succeed_where_every_origin_is_allowed(browser: Browser, pages: int) -> None:
    """Otherwise, the test above would see nothing."""
    with web_program("--allow-origin=*") as server:
        server.say("window.stolen = true")
        browser.visit(f"http://evil.example:{pages}/")
        outcomes: dict[str, Any] = browser.run(ATTEMPTS, server.url(""))
        # No page may run or show what is text, and none may look into the frame of another.
        assert {name for name, outcome in outcomes.items() if outcome != "refused"} == {
            "events",
            "socket",
            "fetch",
            "module",
            "preflight",
        }
        assert 200 in browser.statuses(server.web.port)


def test_a_name_that_was_pointed_at_this_machine_gives_a_page_nothing(browser: Browser) -> None:
    with web_program() as server:
        server.say("window.stolen = true")
        # The page is of the very origin that it asks, as with DNS rebinding.
        browser.visit(f"http://evil.example:{server.web.port}/root/raw?since=all&poll=1")
        assert "this server is not known as 'evil.example" in browser.run("return document.body.innerText")
        status = "return fetch('/root/raw?since=all&poll=1').then((answer) => answer.status)"
        assert browser.run(status) == 403
        for source in ("EventSource('/root/sse')", "WebSocket(`ws://${location.host}/root/ws`)"):
            refused = f"return new Promise((resolve) => {{ new {source}.onerror = () => resolve('refused'); }})"
            assert browser.run(refused) == "refused"
        assert set(browser.statuses(server.web.port)) == {403}


@pytest.mark.long
def test_a_stream_is_seen_while_it_comes(browser: Browser, pages: int) -> None:
    with web_program(f"--allow-origin=http://127.0.0.1:{pages}") as server:
        browser.visit(f"http://127.0.0.1:{pages}/")
        browser.run(EVENTS, server.url("sse"))
        browser.run("source.onmessage = (event) => document.body.append(event.data, document.createElement('br'));")
        before = browser.screenshot()
        server.say("Hey, é and 語")
        hear(browser, 1)
        assert browser.run("return document.body.innerText") == "Hey, é and 語\n"
        after = browser.screenshot()
        assert before[:4] == after[:4] == b"\x89PNG"
        assert before != after
