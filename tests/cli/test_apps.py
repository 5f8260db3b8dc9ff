"""What `hubbub serve` can serve, and what it says when it can't."""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from hubbub import ByteLines, Delimited, Lines, Raw
from hubbub.apps.chat import chat
from hubbub.apps.chat import publish as chat_publish
from hubbub.apps.echo import echo
from hubbub.apps.relay import publish as relay_publish
from hubbub.apps.relay import relay
from hubbub.cli import apps
from hubbub.cli.apps import load
from hubbub.cli.failure import Failure
from hubbub.framing import Framing

from support.programs import HUBBUB, Finished, finish, hubbub_serve

SHOUT = """
import hubbub

async def shout(client: hubbub.Client) -> None:
    async for message in client:
        await client.send(message.upper() + "!")

class Nested:
    shout = staticmethod(shout)

def no_coroutine(client: hubbub.Client) -> None: ...

async def generator(client: hubbub.Client):
    yield

async def alone() -> None: ...
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory, in which the test is; what it imports from there is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    return tmp_path


def test_an_app_has_the_framing_that_suits_it() -> None:
    for name, handler, framing in (
        ("chat", chat, Lines()),
        ("echo", echo, Lines()),
        ("relay", relay, ByteLines(keepends=True)),
    ):
        app = load(name, None)
        assert (app.handler, app.framing) == (handler, framing)


def test_chat_and_relay_publish_and_echo_does_not() -> None:
    assert [load(name, None).publish for name in ("chat", "relay", "echo")] == [chat_publish, relay_publish, None]


def test_an_app_is_served_with_another_framing_if_it_is_told_so(here: Path) -> None:
    assert load("chat", Lines(crlf=True)).framing == Lines(crlf=True)
    assert load("relay", Delimited(b"\0")).framing == Delimited(b"\0")
    (here / "shouting.py").write_text(SHOUT)
    assert load("shouting:shout", Raw()).framing == Raw()


def test_a_module_in_the_current_directory_can_be_served(tmp_path: Path) -> None:
    (tmp_path / "shouting.py").write_text(SHOUT)
    with hubbub_serve("shouting:shout", cwd=tmp_path) as server, server.peer() as peer:
        peer.send(b"hey\n")
        assert peer.line() == b"HEY!\n"


def test_a_handler_may_be_an_attribute_of_something_in_the_module(here: Path) -> None:
    package = here / "package"
    package.mkdir()
    (package / "shouting.py").write_text(SHOUT)
    app = load("package.shouting:Nested.shout", None)
    assert getattr(app.handler, "__name__", None) == "shout"
    assert app.framing == Lines()


POSTED = (
    SHOUT
    + """
async def publish(publisher: hubbub.Publisher, messages: list[str]) -> hubbub.Position:
    return await publisher.room.broadcast_many([each.upper() for each in messages], sender=publisher)

class Wrong:
    shout = staticmethod(shout)
    publish = staticmethod(no_coroutine)

class Half:
    shout = staticmethod(shout)
    publish = staticmethod(alone)

class Same:
    publish = staticmethod(shout)
"""
)


def test_what_publishes_is_beside_the_handler_where_http_is_spoken(here: Path) -> None:
    (here / "posted.py").write_text(POSTED)
    assert load("posted:shout", None).publish is None
    assert getattr(load("posted:shout", None, publishes=True).publish, "__name__", None) == "publish"
    assert load("posted:Nested.shout", None, publishes=True).publish is None
    # A handler of that name is a handler.
    assert load("posted:Same.publish", None, publishes=True).publish is None


@pytest.mark.parametrize(
    ("app", "message"),
    [
        ("posted:Wrong.shout", "posted:Wrong.publish is not a coroutine function; define it with 'async def'"),
        (
            "posted:Half.shout",
            "posted:Half.publish cannot be called with a publisher and messages (too many positional arguments); "
            "define it as in 'async def publish(publisher, messages)'",
        ),
    ],
)
def test_a_publish_that_cannot_be_called_is_an_error_where_http_is_spoken(app: str, message: str, here: Path) -> None:
    (here / "posted.py").write_text(POSTED)
    assert load(app, None).publish is None
    with pytest.raises(Failure) as caught:
        load(app, None, publishes=True)
    assert caught.value.message == message


def test_a_module_can_be_served_over_http(tmp_path: Path) -> None:
    (tmp_path / "posted.py").write_text(POSTED)
    places = "--listen=tcp://127.0.0.1:0", "--listen=http://127.0.0.1:0"
    with hubbub_serve("posted:shout", *places, cwd=tmp_path) as server, server.peer() as peer:
        url = server.output.expect(rb"http://[\d.:]+")[0].decode()
        with urllib.request.urlopen(f"{url}/root", b"hey") as answer:
            assert json.loads(answer.read())["messages"] == 1
        assert peer.line() == b"HEY\n"


CHOOSE = "choose chat, echo, relay, or write module:handler"
NO_MODULE = "check the name before the colon"
NO_COROUTINE = "is not a coroutine function; define it with 'async def'"
TEXT_ONLY = "works with text only; choose --framing lines or crlf-lines, or the app relay"


@pytest.mark.parametrize(
    ("app", "framing", "message"),
    [
        ("nosuch", None, f"there is no app 'nosuch'; {CHOOSE}"),
        ("5010", None, "there is no app '5010'; did you mean --port 5010?"),
        ("h:5010", None, "there is no app 'h:5010'; did you mean --host h --port 5010?"),
        (":handler", None, f"there is no app ':handler'; {CHOOSE}"),
        ("shouting:", None, f"there is no app 'shouting:'; {CHOOSE}"),
        (".shouting:shout", None, f"there is no app '.shouting:shout'; {CHOOSE}"),
        ("no.such:handler", None, f"cannot find the module 'no'; {NO_MODULE}"),
        ("shouting.nosuch:handler", None, f"cannot find the module 'shouting.nosuch'; {NO_MODULE}"),
        ("shouting:nosuch", None, "module 'shouting' has no 'nosuch'; check the name after the colon"),
        ("shouting:shout.nosuch", None, "module 'shouting' has no 'shout.nosuch'; check the name after the colon"),
        ("shouting:no_coroutine", None, f"shouting:no_coroutine {NO_COROUTINE}"),
        ("shouting:Nested", None, f"shouting:Nested {NO_COROUTINE}"),
        ("shouting:generator", None, "shouting:generator is a generator; a handler has no 'yield'"),
        (
            "shouting:alone",
            None,
            "shouting:alone cannot be called with a client (too many positional arguments); "
            "define it as in 'async def handler(client)'",
        ),
        ("shouting.py:shout", None, "cannot find the module 'shouting.py'; write shouting:shout"),
        ("chat", Raw(), f"chat {TEXT_ONLY}"),
        ("echo", ByteLines(), f"echo {TEXT_ONLY}"),
    ],
)
def test_what_cannot_be_served_is_an_error_that_says_what_to_do(
    app: str, framing: Framing[Any] | None, message: str, here: Path
) -> None:
    (here / "shouting.py").write_text(SHOUT)
    with pytest.raises(Failure) as caught:
        load(app, framing)
    assert caught.value.message == message


BROKEN = {
    "syntax": "async def handler(client)\n    pass\n",
    "nobody": "import nosuchmodule\n",
    "nothing": "from empty import handler\n",
    "raises": "def fail():\n    raise ValueError('two\\nlines')\n\nfail()\n",
    "calls": "import json\n\njson.loads('{')\n",
    "asserts": "assert False\n",
    "exits": "raise SystemExit('bye')\n",
    "imports": "import os\nimport asserts\n",
    "nulls": "\0",
}
"""Modules that cannot be imported."""


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("syntax", "{here}/syntax.py, line 1: SyntaxError: expected ':'"),
        ("nobody", "{here}/nobody.py, line 1: ModuleNotFoundError: No module named 'nosuchmodule'"),
        (
            "nothing",
            "{here}/nothing.py, line 1: ImportError: cannot import name 'handler' from 'empty' ({here}/empty.py)",
        ),
        ("raises", r"{here}/raises.py, line 2: ValueError: two\nlines"),
        # The line is the user's own one.
        ("calls", "{here}/calls.py, line 3: JSONDecodeError: Expecting property name enclosed in double quotes: "),
        ("asserts", "{here}/asserts.py, line 1: AssertionError"),
        ("exits", "{here}/exits.py, line 1: SystemExit: bye"),
        ("imports", "{here}/asserts.py, line 1: AssertionError"),
        ("nulls", "module 'nulls': "),
    ],
)
def test_a_module_that_cannot_be_imported_is_one_line_that_names_the_line(
    module: str, message: str, here: Path
) -> None:
    for name, source in BROKEN.items():
        (here / f"{name}.py").write_text(source)
    (here / "empty.py").touch()
    with pytest.raises(Failure) as caught:
        load(f"{module}:handler", None)
    begin, end = (
        message.replace("{here}", str(here)),
        f"; correct that, or see all of it with: python -c 'import {module}'",
    )
    assert caught.value.message.startswith(begin)
    assert caught.value.message.endswith(end)


def test_of_a_module_that_is_installed_the_line_is_named_too(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps, "_LIBRARIES", (str(here),))
    (here / "broken.py").write_text("1 / 0\n")
    with pytest.raises(Failure, match=f"^{here}/broken.py, line 1: ZeroDivisionError: division by zero; "):
        load("broken:handler", None)


@pytest.mark.parametrize("command", [["serve", "syntax:handler"], ["check", "hubbub.toml"]])
def test_serve_and_check_print_that_line(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "syntax.py").write_text(BROKEN["syntax"])
    (tmp_path / "hubbub.toml").write_text("app = 'syntax:handler'\n")
    finished = finish(*HUBBUB, *command, cwd=tmp_path)
    place = "hubbub.toml, line 1: " if command[0] == "check" else ""
    line = f"{place}{tmp_path}/syntax.py, line 1: SyntaxError: expected ':'"
    advice = "correct that, or see all of it with: python -c 'import syntax'"
    assert finished == Finished(status=2, output="", errors=f"hubbub: {line}; {advice}\n")
