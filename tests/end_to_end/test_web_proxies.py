"""Rooms over HTTP behind nginx and HAProxy, which speak HTTP/2 in TLS to the client."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Semaphore
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from hubbub import Address

from bench.peer import free_port
from support.certificates import SERVER_NAME, make_certificates
from support.programs import WAIT_TIME, Program, refuses, require_program, wait_until
from support.web_programs import web_program

pytestmark = pytest.mark.real

OPTIONS = (f"--allow-host={SERVER_NAME}", "--forwarded-from=127.0.0.1")
"""The proxies pass on the name that the client asks for, and say that it asks over TLS."""

TIMEOUT = 17
"""Seconds that a proxy waits for the next byte: a bit more than hubbub's heartbeats are apart."""

NGINX = """
daemon off;
# It is killed at the end of a test. Workers would outlive their master.
master_process off;
pid nginx.pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path .;
    proxy_temp_path .;
    fastcgi_temp_path .;
    uwsgi_temp_path .;
    scgi_temp_path .;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate both.pem;
        ssl_certificate_key both.pem;
        location / {{
            proxy_pass http://{web};
            proxy_read_timeout {timeout}s;
        }}
        location /root/ws {{
            proxy_pass http://{web};
            proxy_read_timeout {timeout}s;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
}}
"""
"""What is not for WebSockets is as it is by default, the buffering above all."""

HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client {timeout}s
    timeout server {timeout}s
    timeout tunnel {timeout}s
frontend any
    bind 127.0.0.1:{port} ssl crt both.pem alpn h2,http/1.1
    http-request set-header X-Forwarded-Proto https
    default_backend hubbub
backend hubbub
    server hubbub {web} {words}
"""

PROXIES = {"nginx": (NGINX, ("-e", "stderr", "-p", ".", "-c")), "haproxy": (HAPROXY, ("-db", "-f"))}
"""The configuration of each, and its options."""


@contextmanager
def proxy(name: str, folder: Path, web: Address, words: str = "") -> Iterator[Address]:
    """One in front of a place, with these words for HAProxy's server; where it listens."""
    program = require_program(name)
    certificates = make_certificates(folder)
    (folder / "both.pem").write_bytes(certificates.server.read_bytes() + certificates.server_key.read_bytes())
    endpoint = Address("127.0.0.1", free_port())
    config, options = PROXIES[name]
    (folder / "config").write_text(config.format(port=endpoint.port, web=web, words=words, timeout=TIMEOUT))
    with Program(program, *options, "config", cwd=folder):
        wait_until(lambda: not refuses(endpoint), f"start of {name}")
        yield endpoint


@contextmanager
def curl(folder: Path, endpoint: Address, kind: str, *options: str) -> Iterator[Program]:
    """curl, which reads a stream of the root room and has its head."""
    address = f"{SERVER_NAME}:{endpoint.port}"
    words = ("--cacert", str(folder / "ca.pem"), "--connect-to", f"{address}:{endpoint}", "--http2", *options)
    with Program(require_program("curl"), "-sSNi", *words, f"https://{address}/root/{kind}") as program:
        program.output.expect(rb"HTTP/2 200 \r\n.*?\r\n\r\n")
        yield program


class Socket(ClientConnection):
    """A WebSocket that answers pings as a browser does, and lets a test wait for them."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # The thread that reads starts at once.
        self._pings = Semaphore(0)
        super().__init__(*arguments, **options)

    def process_event(self, event: Any) -> None:
        super().process_event(event)
        if isinstance(event, Frame) and event.opcode is Opcode.PING:
            self._pings.release()

    def wait_for_ping(self) -> None:
        assert self._pings.acquire(timeout=WAIT_TIME), f"no ping within {WAIT_TIME:g} s"

    def hear(self) -> str | bytes:
        """The next message."""
        return self.recv(timeout=WAIT_TIME)

    def end(self) -> tuple[int, str]:
        """The code and the reason with which the server closes it."""
        with pytest.raises(ConnectionClosed) as closed:
            self.hear()
        frame = closed.value.rcvd
        assert frame is not None, "the connection broke"
        return frame.code, frame.reason


@contextmanager
def socket_through(folder: Path, endpoint: Address, site: str = "") -> Iterator[Socket]:
    """A WebSocket of a page in the root room, which hears all that was said; the page is of the proxy, or of `site`."""
    address = f"{SERVER_NAME}:{endpoint.port}"
    client = connect(
        f"wss://{address}/root/ws?since=all",
        sock=socket.create_connection(endpoint),
        ssl=ssl.create_default_context(cafile=folder / "ca.pem"),
        origin=Origin(f"https://{site or address}"),
        create_connection=Socket,
        open_timeout=WAIT_TIME,
        # The server is to ping.
        ping_interval=None,
        proxy=None,
    )
    assert isinstance(client, Socket)
    with client:
        yield client


@pytest.mark.parametrize("name", PROXIES)
def test_every_stream_flows_through_a_proxy_and_ends_when_the_server_does(name: str, tmp_path: Path) -> None:
    with web_program(*OPTIONS) as server, proxy(name, tmp_path, server.web) as endpoint, ExitStack() as stack:
        # HAProxy passes on a head with the first bytes of its body.
        server.say("one")
        kinds = (f"{kind}?since=all" for kind in ("raw", "json", "sse"))
        raw, objects, events = (stack.enter_context(curl(tmp_path, endpoint, kind)) for kind in kinds)

        def hear(line: str) -> None:
            assert raw.output.line() == f"{line}\n".encode()
            assert json.loads(objects.output.line())["message"] == line
            events.output.expect(rb"data: %s\n\n" % line.encode())

        hear("one")
        server.say("two")
        hear("two")
        server.program.stop()
        assert raw.output.rest() == b""
        assert json.loads(objects.output.rest())["end"] == "shutdown"
        events.output.expect(rb'event: end\ndata: {"end": "shutdown"')
        assert [program.wait() for program in (raw, objects, events)] == [0, 0, 0], objects.errors.rest()


@pytest.mark.parametrize("name", PROXIES)
def test_websockets_speak_and_hear_through_a_proxy_and_end_when_the_server_does(name: str, tmp_path: Path) -> None:
    with (
        web_program(*OPTIONS) as server,
        proxy(name, tmp_path, server.web) as endpoint,
        socket_through(tmp_path, endpoint) as first,
        socket_through(tmp_path, endpoint) as second,
    ):
        server.say("who is there?")
        assert first.hear() == second.hear() == "who is there?"
        for speaker, listener in ((first, second), (second, first)):
            for line in ("Hey, é and 語", "x" * 60_000):
                speaker.send(line)
                assert listener.hear() == line
        server.program.stop()
        assert first.hear() == second.hear() == "server is closing"
        assert first.end() == second.end() == (1012, "shutdown: the server closed")


@pytest.mark.parametrize("name", PROXIES)
def test_a_page_of_another_site_opens_no_websocket_through_a_proxy(name: str, tmp_path: Path) -> None:
    with (
        web_program(*OPTIONS) as server,
        proxy(name, tmp_path, server.web) as endpoint,
        pytest.raises(InvalidStatus) as refused,
        socket_through(tmp_path, endpoint, "elsewhere.example"),
    ):
        pass
    assert refused.value.response.status_code == 403


@pytest.mark.long
@pytest.mark.parametrize("name", PROXIES)
def test_heartbeats_keep_silent_streams_through_a_proxy_that_waits_for_seconds(name: str, tmp_path: Path) -> None:
    with (
        web_program(*OPTIONS) as server,
        proxy(name, tmp_path, server.web) as endpoint,
        curl(tmp_path, endpoint, "sse") as events,
        socket_through(tmp_path, endpoint) as client,
    ):
        # From the first to the third is longer than the proxy waits for a byte.
        events.output.expect(rb":\n\n:\n\n:\n\n")
        for _ in range(3):
            client.wait_for_ping()
        server.say("one")
        events.output.expect(rb"data: one\n\n")
        assert client.hear() == "one"


def test_a_proxy_header_of_haproxy_says_whose_stream_it_is(tmp_path: Path) -> None:
    with (
        web_program(*OPTIONS, "--verbose", query="?proxy-from=127.0.0.1") as server,
        proxy("haproxy", tmp_path, server.web, "send-proxy-v2") as endpoint,
    ):
        with curl(tmp_path, endpoint, "sse?poll=1", "--interface", "127.0.0.77") as events:
            assert events.wait() == 0
        server.program.errors.expect(rb"127\.0\.0\.77:\d+ ended: finished: the stream has caught up\n")
