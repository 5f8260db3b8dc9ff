"""curl, Node's own fetch and Node's `ws` read and speak over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.programs import Peer, Program, miss, require_program
from support.web_programs import web_program

pytestmark = pytest.mark.real

CLIENT = str(Path(__file__).parents[1] / "support" / "web_client.js")
NODE_WS = Path("/usr/share/nodejs/ws")
"""Where Debian has it."""


@pytest.mark.parametrize("command", [("curl", "-sSN"), ("node", CLIENT, "fetch")], ids=["curl", "fetch"])
def test_a_stream_is_read_as_it_comes_and_ends_well(command: tuple[str, ...]) -> None:
    program, *words = command
    with (
        web_program() as server,
        Program(require_program(program), *words, server.url("raw?since=all")) as raw,
        Program(require_program(program), *words, server.url("json?since=all")) as objects,
        Program(require_program(program), *words, server.url("sse?since=all")) as events,
    ):
        for line in ("Hey, é and 語", "two"):
            server.say(line)
            assert raw.output.line().decode() == f"{line}\n"
            assert json.loads(objects.output.line())["message"] == line
            events.output.expect(rb"id: [0-9a-f]{16}:\d+\ndata: %s\n\n" % line.encode())
        server.program.stop()
        assert raw.output.rest() == b""
        assert json.loads(objects.output.rest())["end"] == "shutdown"
        events.output.expect(rb"event: end\n")
        assert [each.wait() for each in (raw, objects, events)] == [0, 0, 0]


@pytest.mark.parametrize("protocol", ["", "hubbub.plain", "hubbub.json"])
def test_ws_of_node_speaks_and_hears(protocol: str) -> None:
    node = require_program("node")
    if not NODE_WS.exists():
        miss("node-ws")
    with (
        web_program() as server,
        Program(node, CLIENT, "ws", f"ws://{server.web}/root/ws", protocol) as client,
    ):

        def heard() -> list[Any]:
            fields: list[Any] = json.loads(client.output.line())
            return fields

        assert heard() == ["open", protocol]
        with Peer(server.program.endpoint) as peer:
            peer.send(b"one\ntwo\n")
            for line in ("one", "two"):
                is_binary, text = heard()
                message = json.loads(text) if protocol == "hubbub.json" else {"message": text}
                assert (is_binary, message["message"]) == (False, line)
            # Whom it has heard hears it.
            client.send("Hey, é and 語\n".encode())
            assert peer.line().decode() == "Hey, é and 語\n"
        server.program.stop()
        last = client.output.rest().splitlines()[-1]
        assert json.loads(last) == ["close", 1012, "shutdown: the server closed"]
        assert client.wait() == 0
