"""Rooms over HTTP behind nginx and HAProxy, which speak HTTP/2 in TLS to the client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from hubbub import Address

from bench.peer import free_port
from support.certificates import SERVER_NAME, make_certificates
from support.programs import Program, refuses, require_program, wait_until
from support.web_programs import web_program

pytestmark = pytest.mark.real

NAME = f"--allow-host={SERVER_NAME}"
"""HAProxy passes on the name that the client asks for."""

TIMEOUT = 17
"""Seconds that a proxy waits for the next byte: a bit more than hubbub's heartbeats are apart."""

NGINX = """
daemon off;
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
    }}
}}
"""
"""Everything else is as it is by default, the buffering above all."""

HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client {timeout}s
    timeout server {timeout}s
frontend any
    bind 127.0.0.1:{port} ssl crt both.pem alpn h2,http/1.1
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


@pytest.mark.parametrize("name", PROXIES)
def test_every_stream_flows_through_a_proxy_and_ends_when_the_server_does(name: str, tmp_path: Path) -> None:
    with web_program(NAME) as server, proxy(name, tmp_path, server.web) as endpoint, ExitStack() as stack:
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


@pytest.mark.long
@pytest.mark.parametrize("name", PROXIES)
def test_heartbeats_keep_a_silent_stream_through_a_proxy_that_waits_for_seconds(name: str, tmp_path: Path) -> None:
    with (
        web_program(NAME) as server,
        proxy(name, tmp_path, server.web) as endpoint,
        curl(tmp_path, endpoint, "sse") as events,
    ):
        # That is longer than the proxy waits for a byte.
        events.output.expect(rb":\n\n:\n\n")
        server.say("one")
        events.output.expect(rb"data: one\n\n")


def test_a_proxy_header_of_haproxy_says_whose_stream_it_is(tmp_path: Path) -> None:
    with (
        web_program(NAME, "--verbose", query="?proxy-from=127.0.0.1") as server,
        proxy("haproxy", tmp_path, server.web, "send-proxy-v2") as endpoint,
    ):
        with curl(tmp_path, endpoint, "sse?poll=1", "--interface", "127.0.0.77") as events:
            assert events.wait() == 0
        server.program.errors.expect(rb"127\.0\.0\.77:\d+ ended: finished: the stream has caught up\n")
