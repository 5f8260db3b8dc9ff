"""What `hubbub serve` tells systemd, on a real datagram socket as systemd has one (sd_notify(3))."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from hubbub.cli.systemd import notify

from support.programs import WAIT_TIME, assert_relays, hubbub_serve


@contextmanager
def listening_at(address: str) -> Iterator[socket.socket]:
    """What systemd has at the other end."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.settimeout(WAIT_TIME)
        manager.bind(address)
        yield manager


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """The other end, and how it is named to a service."""
    path = str(tmp_path / "notify")
    name = path if request.param == "path" else f"@hubbub-tests-{os.getpid()}-{tmp_path.name}"
    with listening_at(name.replace("@", "\0", 1)) as listening:
        yield listening, name


@pytest.mark.parametrize("options", [(), ("--quiet",)])
def test_it_says_when_it_is_ready_and_when_it_stops(manager: tuple[socket.socket, str], options: list[str]) -> None:
    listening, name = manager
    with hubbub_serve("relay", *options, env={"NOTIFY_SOCKET": name}) as server:
        assert listening.recv(100) == b"READY=1"
        # It is ready indeed.
        assert_relays(server.endpoint)
        server.stop()
        assert listening.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("name", ["/missing/notify", "@hubbub-tests-missing", "no-path", "/" + "x" * 200])
def test_that_nobody_is_there_does_not_hurt(name: str) -> None:
    with hubbub_serve("relay", env={"NOTIFY_SOCKET": name}) as server:
        assert_relays(server.endpoint)
        server.stop()
        assert server.errors.rest() == b""


def test_an_at_sign_within_a_path_is_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening_at(str(tmp_path / "a@b")) as manager:
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "a@b"))
        notify("STATUS=here")
        assert manager.recv(100) == b"STATUS=here"


def test_without_systemd_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
