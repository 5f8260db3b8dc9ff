"""Whoever looks whether the server is there leaves no trace but a count: `nc -z`, and the health checks of HAProxy."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.abuse_tools import endings
from support.programs import HUBBUB, Peer, Program, address_in, require_program, serving_program, wait_until

pytestmark = pytest.mark.real

CONFIG = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 5s
    timeout server 5s
    default-server check inter 20ms
listen plain
    bind unix@{folder}/haproxy.sock
    server one {plain}
backend version_1
    server one {proxied} send-proxy check-send-proxy
backend version_2
    server one {proxied} send-proxy-v2 check-send-proxy
"""


def test_probes_leave_no_trace_in_the_chat_and_in_the_log_but_a_count(tmp_path: Path) -> None:
    nc, haproxy = require_program("nc"), require_program("haproxy")
    places = [f"--listen=tcp://127.0.0.1:0{query}" for query in ("", "?proxy-from=127.0.0.1")]
    with serving_program(*HUBBUB, "serve", "--verbose", *places) as server:
        plain, proxied = server.endpoint, address_in(server.output.line())
        with server.new_peer() as listener:
            for place in (plain, proxied):
                subprocess.run([nc, "-z", place.host, str(place.port)], check=True)
            wait_until(lambda: endings(server) == {"probe": 2}, "count")
            config = tmp_path / "haproxy.cfg"
            config.write_text(CONFIG.format(folder=tmp_path, plain=plain, proxied=proxied))
            with Program(haproxy, "-db", "-f", str(config)):
                # What version 1 says of a check is what it says of a client.
                for pattern in (rb" ended: lost: ", rb"let in: probe: a check of the proxy's own\n") * 3:
                    server.errors.expect(pattern)
            assert set(endings(server)) == {"probe"}
            with Peer(plain) as speaker:
                speaker.send(b"Hey\n")
                assert listener.line() == f"{speaker.name} connected.\n".encode()
                assert listener.line() == f"{speaker.name} says: Hey\n".encode()
        told = server.stop().splitlines()
        assert {line.partition(" ")[0] for line in told} == {speaker.name, listener.name}
