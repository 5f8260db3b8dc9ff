"""The servers that are compared."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import trustme

from .peer import Peer

_FOLDER: Final = Path(__file__).parent / "peers"

HUBBUB: Final = "hubbub"
STORELESS: Final = "hubbub, no store"
JETSTREAM: Final = "NATS JetStream"
REDIS_STREAMS: Final = "Redis Streams"
LIMIT: Final = "the C limit"
RAW: Final = "hubbub, raw over HTTP"
SSE: Final = "hubbub, SSE"
WEBSOCKET: Final = "hubbub, WebSocket"
POST: Final = "hubbub, POST"
NCHAN_SSE: Final = "nchan, SSE"
NCHAN: Final = "nchan, WebSocket"
NCHAN_POST: Final = "nchan, POST"
NATS_WEBSOCKET: Final = "NATS, WebSocket"
NODE_WS: Final = "Node, ws"
WEBSOCKETS: Final = "websockets"

_NCHAN_MODULE: Final = "/usr/lib/nginx/modules/ngx_nchan_module.so"
_NODE_WS: Final = "/usr/share/nodejs/ws"
"""Where Debian's packages have them: libnginx-mod-nchan and node-ws."""

_NCHAN_CONFIG: Final = (
    f"load_module {_NCHAN_MODULE};"
    + """
daemon off;
master_process off;
pid nginx.pid;
events {{ worker_connections 20000; }}
http {{
    access_log off;
    client_body_temp_path .;
    proxy_temp_path .;
    fastcgi_temp_path .;
    uwsgi_temp_path .;
    scgi_temp_path .;
    nchan_shared_memory_size 1G;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        # A POST for each message.
        keepalive_requests 1000000000;
        location /sub {{
            nchan_subscriber;
            nchan_channel_id hub;
            nchan_subscriber_first_message newest;
        }}
        location /pub {{
            nchan_publisher;
            nchan_channel_id hub;
            # As much as hubbub keeps: 16 MiB of messages of 100 bytes.
            nchan_message_buffer_length 160000;
        }}
    }}
}}
"""
)

_CERTIFICATE: Final = "certificate.pem"


def build_catalogue(build: Path) -> tuple[Peer, ...]:
    """All peers, hubbub first.

    Args:
        build: the folder that holds what was compiled, and the certificate.
    """
    serve = (sys.executable, "-m", "hubbub", "serve")
    certificate = build / _CERTIFICATE
    # One machine is all clients.
    limits = ("clients-limit", "clients-per-address", "clients-per-subnet", "connect-rate")
    unlimited = ("--quiet", *(f"--{name}=none" for name in limits))
    quiet = ("--port", "{port}", *unlimited)
    web = (*serve, "relay", *unlimited, "--listen=tcp://127.0.0.1:{sender}", "--listen=http://127.0.0.1:{port}")
    posted = (*serve, "relay", *unlimited, "--listen=http://127.0.0.1:{sender}", "--listen=tcp://127.0.0.1:{port}")
    ncat = ("ncat", "--broker", "--max-conns", "20000", "--listen", "127.0.0.1", "{port}")
    return (
        Peer(
            HUBBUB,
            "lines",
            {
                "relay": (*serve, "relay", *quiet),
                "tls": (*serve, "relay", *quiet, "--tls-cert", str(certificate)),
                "echo": (*serve, "echo", *quiet),
                "answer": (*serve, "echo", *quiet),
                # Who stops reading stays, for the whole run: it is not to be spared by being cut off.
                "slow": (*serve, "relay", *quiet, "--when-slow", "skip", "--patience", "3600"),
                "store": (*serve, "relay", *quiet, "--store", "{folder}/hubbub.db"),
                **dict.fromkeys(("web", "body"), (*serve, "relay", *quiet)),
                "rooms": (*serve, "bench.peers.hubbub_rooms:rooms", *quiet, "--framing", "byte-lines"),
            },
        ),
        Peer("hubbub, plain asyncio", "lines", _own(sys.executable, "hubbub_asyncio.py")),
        Peer(STORELESS, "lines", {"store": (*serve, "relay", *quiet)}),
        Peer(
            LIMIT,
            "lines",
            {"relay": (str(build / "limit"), "{port}"), "answer": (str(build / "limit"), "{port}", "echo")},
            programs=("cc",),
        ),
        Peer(
            "NATS",
            "nats",
            _broker(
                ("nats-server", "--addr", "127.0.0.1", "--port", "{port}"),
                ("--tls", "--tlscert", str(certificate), "--tlskey", str(certificate)),
            ),
            programs=("nats-server",),
        ),
        Peer(
            "Redis",
            "redis",
            _broker(
                ("redis-server", "{config}"),
                (
                    *("--port", "0", "--tls-port", "{port}", "--tls-auth-clients", "no"),
                    *("--tls-cert-file", str(certificate), "--tls-key-file", str(certificate)),
                ),
            ),
            programs=("redis-server",),
            # It is to keep nothing, and to let in all clients, whose addresses are many.
            config='bind 127.0.0.1\nport {port}\nprotected-mode no\nsave ""\nappendonly no\n'
            "maxclients 19000\ntcp-backlog 4096\n",
        ),
        Peer(
            JETSTREAM,
            "jetstream",
            {"store": ("nats-server", "--config", "{config}")},
            programs=("nats-server",),
            # By default it forces nothing to the disk for two minutes. Nobody waits for its acknowledgements here, and
            # with its usual limit it drops what comes faster than it is stored.
            config="listen: 127.0.0.1:{port}\njetstream {{ store_dir: {folder}, sync_interval: 1s,"
            " max_buffered_msgs: 1000000, max_buffered_size: 1GB }}\n",
        ),
        Peer(
            REDIS_STREAMS,
            "redis stream",
            {"store": ("redis-server", "{config}")},
            programs=("redis-server",),
            # Its default: it forces its log to the disk every second.
            config='bind 127.0.0.1\nport {port}\nprotected-mode no\nsave ""\ndir {folder}\n'
            "appendonly yes\nappendfsync everysec\n",
        ),
        Peer(
            "Mosquitto",
            "mqtt",
            _broker(("mosquitto", "-c", "{config}")),
            programs=("mosquitto",),
            # Without these it drops messages, or leaves them to Nagle's algorithm.
            config="listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nset_tcp_nodelay true\n",
        ),
        Peer(
            "ncat --broker",
            "lines",
            {
                "relay": ncat,
                "tls": (*ncat, "--ssl", "--ssl-cert", str(certificate), "--ssl-key", str(certificate)),
            },
            programs=("ncat",),
        ),
        Peer("Node, net", "lines", _own("node", "node_lines.js", tls=certificate), programs=("node",)),
        Peer("asyncio protocols", "lines", _own(sys.executable, "asyncio_protocol.py", "uvloop", tls=certificate)),
        Peer("asyncio streams", "lines", _own(sys.executable, "asyncio_streams.py", "uvloop", tls=certificate)),
        Peer("Twisted", "lines", _own(sys.executable, "twisted_lines.py"), modules=("twisted",)),
        Peer(
            WEBSOCKETS,
            "websocket",
            dict.fromkeys(("relay", "web"), (sys.executable, str(_FOLDER / "websockets_broadcast.py"), "{port}")),
            modules=("websockets",),
        ),
        Peer(RAW, "raw stream", {"web": web}),
        Peer(SSE, "events", {"web": web}),
        Peer(WEBSOCKET, "text frames", {"web": web}),
        Peer(POST, "posted body", {"post": web, "body": posted}),
        _nchan(NCHAN_SSE, "nchan events", "web"),
        _nchan(NCHAN, "nchan frames", "web"),
        _nchan(NCHAN_POST, "nchan events", "post"),
        Peer(
            NATS_WEBSOCKET,
            "nats frames",
            {"web": ("nats-server", "--config", "{config}")},
            programs=("nats-server",),
            config='listen: "127.0.0.1:-1"\nwebsocket {{ listen: "127.0.0.1:{port}", no_tls: true }}\n',
        ),
        Peer(
            NODE_WS,
            "websocket",
            {"web": ("node", str(_FOLDER / "node_ws.js"), "{port}")},
            programs=("node",),
            files=(_NODE_WS,),
        ),
    )


def make_certificate(folder: Path) -> Path:
    """Write the file with the key and certificate of all servers."""
    file = folder / _CERTIFICATE
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(file))
    return file


def _broker(command: tuple[str, ...], tls: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """What relays and answers at once, and in TLS with those words more."""
    return {"relay": command, "answer": command, **({"tls": command + tls} if tls else {})}


def _nchan(name: str, dialect: str, mode: str) -> Peer:
    """A server of one process, which keeps messages for those who come later, as hubbub does."""
    command = ("nginx", "-e", "stderr", "-p", "{folder}", "-c", "{config}")
    return Peer(name, dialect, {mode: command}, programs=("nginx",), files=(_NCHAN_MODULE,), config=_NCHAN_CONFIG)


def _own(interpreter: str, program: str, *words: str, tls: Path | None = None) -> dict[str, tuple[str, ...]]:
    """A program of the bench, which is told what to do: what echoes answers."""
    start = (interpreter, str(_FOLDER / program), "{port}")
    relay, echo = (*start, "relay", *words), (*start, "echo", *words)
    return {"relay": relay, "echo": echo, "answer": echo, **({"tls": (*relay, str(tls))} if tls else {})}
