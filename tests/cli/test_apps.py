"""What `hubbub serve` can serve, and what it says when it can't."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from hubbub import ByteLines, Delimited, Lines, Raw
from hubbub.apps.chat import chat
from hubbub.apps.echo import echo
from hubbub.apps.relay import relay
from hubbub.cli.apps import load
from hubbub.cli.failure import Failure
from hubbub.framing import Framing

from support.programs import HUBBUB, finish, hubbub_serve

SHOUT = """
import hubbub

async def shout(client: hubbub.Client) -> None:
    async for message in client:
        await client.send(message.upper() + "!")

class Nested:
    shout = staticmethod(shout)

def no_coroutine(client: hubbub.Client) -> None: ...
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory, in which the test is; what it imports from there is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    return tmp_path


def test_an_app_has_the_framing_that_suits_it() -> None:
    assert load("chat", None) == (chat, Lines())
    assert load("echo", None) == (echo, Lines())
    assert load("relay", None) == (relay, ByteLines(keepends=True))


def test_an_app_is_served_with_another_framing_if_it_is_told_so(here: Path) -> None:
    assert load("chat", Lines(crlf=True)) == (chat, Lines(crlf=True))
    assert load("relay", Delimited(b"\0")) == (relay, Delimited(b"\0"))
    (here / "shouting.py").write_text(SHOUT)
    assert load("shouting:shout", Raw())[1] == Raw()


def test_a_module_in_the_current_directory_can_be_served(tmp_path: Path) -> None:
    (tmp_path / "shouting.py").write_text(SHOUT)
    with hubbub_serve("shouting:shout", cwd=tmp_path) as server, server.peer() as peer:
        peer.send(b"hey\n")
        assert peer.line() == b"HEY!\n"


def test_a_handler_may_be_an_attribute_of_something_in_the_module(here: Path) -> None:
    package = here / "package"
    package.mkdir()
    (package / "shouting.py").write_text(SHOUT)
    handler, framing = load("package.shouting:Nested.shout", None)
    assert handler.__name__ == "shout"
    assert framing == Lines()


CHOOSE = "choose chat, echo, relay, or write module:handler"
NO_MODULE = "here or installed; check the name before the colon"
NO_COROUTINE = "is not a coroutine function; define it with 'async def'"
TEXT_ONLY = "works with text only; choose --framing lines or crlf-lines, or the app relay"


@pytest.mark.parametrize(
    ("app", "framing", "message"),
    [
        ("nosuch", None, f"there is no app 'nosuch'; {CHOOSE}"),
        (":handler", None, f"there is no app ':handler'; {CHOOSE}"),
        ("shouting:", None, f"there is no app 'shouting:'; {CHOOSE}"),
        (".shouting:shout", None, f"there is no app '.shouting:shout'; {CHOOSE}"),
        ("no.such:handler", None, f"there is no module 'no' {NO_MODULE}"),
        ("shouting.nosuch:handler", None, f"there is no module 'shouting.nosuch' {NO_MODULE}"),
        ("shouting:nosuch", None, "module 'shouting' has no 'nosuch'; check the name after the colon"),
        ("shouting:shout.nosuch", None, "module 'shouting' has no 'shout.nosuch'; check the name after the colon"),
        ("shouting:no_coroutine", None, f"shouting:no_coroutine {NO_COROUTINE}"),
        ("shouting:Nested", None, f"shouting:Nested {NO_COROUTINE}"),
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


@pytest.mark.parametrize(
    ("source", "last_line"),
    [
        ("import nosuchmodule\n", "ModuleNotFoundError: No module named 'nosuchmodule'"),
        ("from shouting import shout\n", "ImportError: cannot import name 'shout' from "),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
    ],
)
def test_an_error_in_your_module_is_shown_with_its_traceback(source: str, last_line: str, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(source)
    (tmp_path / "shouting.py").touch()
    finished = finish(*HUBBUB, "serve", "broken:handler", cwd=tmp_path)
    assert finished.status == 1
    assert finished.output == ""
    traceback = finished.errors.splitlines()
    assert traceback[0] == "Traceback (most recent call last):"
    assert f'  File "{tmp_path}/broken.py", line 1, in <module>' in traceback
    assert traceback[-1].startswith(last_line)
