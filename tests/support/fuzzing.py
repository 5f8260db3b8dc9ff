"""What must hold for each parser, whatever bytes it is given; and a program that lets a fuzzer look for others.

    PYTHONPATH=tests python -P tests/support/fuzzing.py TARGET SECONDS

gives one of the `TARGETS` to atheris, which finds its way by the branches that an input takes. It ends with an error,
the traceback and the input if something did not hold.
"""

from __future__ import annotations

import importlib
import re
import sys
import tempfile
import tomllib
from collections.abc import Callable, Coroutine, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import click

from hubbub import (
    Access,
    Address,
    ByteLines,
    BytesFraming,
    Decoder,
    Delimited,
    Framing,
    FramingError,
    LengthPrefixed,
    Lines,
    Networks,
    Raw,
    SharedSecret,
)
from hubbub.cli.places import COMMON_KEYS, parse
from hubbub.cli.serve import serve
from hubbub.door.networks import parse_address
from hubbub.door.proxy import V2_LIMIT, ProxyHeader, ProxyHeaderError
from hubbub.framing.telnet import DONT, IAC, IAC_BYTE, WONT, TelnetFilter
from hubbub.values.text import plain_utf8
from hubbub.values.toml_lines import find_line
from hubbub.web.frames import BINARY, CLOSE, CONTINUATION, PING, TEXT, FrameDecoder

from support.feeding import Outcome, decode
from support.websocket import said

LIMIT = 8
"""How long a message may be: short, so that the fuzzer comes to it."""

CUTS = 4
"""How many bytes of an input say where the rest of it is cut."""

_SCRATCH = tempfile.TemporaryDirectory(prefix="hubbub-fuzzing-")


def _file(content: bytes) -> Path:
    """A file with this content; there is only one at a time."""
    path = Path(_SCRATCH.name) / "file"
    path.write_bytes(content)
    return path


def _cut(data: bytes) -> list[bytes]:
    """The pieces of a stream, all of it an input."""
    script, stream = data[:CUTS], data[CUTS:]
    places = sorted(byte * len(stream) // 255 for byte in script)
    return [stream[start:end] for start, end in pairwise([0, *places, len(stream)])]


def _singly(stream: bytes) -> list[bytes]:
    return [stream[at : at + 1] for at in range(len(stream))]


def _kept(holder: object) -> int:
    """How many bytes, or characters, an object keeps in its attributes."""
    slots = [slot for kind in type(holder).__mro__ for slot in getattr(kind, "__slots__", ())]
    values = [getattr(holder, slot) for slot in slots] + list(getattr(holder, "__dict__", {}).values())
    return sum(len(value) for value in values if isinstance(value, bytes | bytearray | str | list | dict))


def _size(message: Any) -> int:
    """How long a message is without its terminator, in bytes; in characters, if it is text."""
    return len(message.removesuffix(b"\n").removesuffix(b"\r") if isinstance(message, bytes) else message)


def _check_kept(decoder: Decoder[Any], pieces: list[bytes], overhead: int) -> None:
    """See that a decoder keeps one message at most, between any two pieces."""
    try:
        for piece in pieces:
            decoder.feed(piece)
            decoder.take_replies()
            assert _kept(decoder) <= LIMIT + overhead, f"{_kept(decoder)} bytes kept"
    except FramingError:
        return


def _check_cuts(framing: Framing[Any], pieces: list[bytes], outcome: Outcome[Any], **options: Any) -> None:
    """See that the stream of `pieces` is decoded in the same way however it is cut."""
    stream = b"".join(pieces)
    for cut in ([stream], _singly(stream)):
        other = decode(framing, cut, **options)
        if outcome.failure is not None:
            # Whether what is behind the failure was looked at or not is nobody's business.
            other.replies = outcome.replies
        assert other == outcome, f"{cut} is not decoded as {pieces} is"


def _check_framing(framing: Framing[Any], data: bytes, overhead: int) -> Outcome[Any]:
    """What a framing makes of an input; the same however that is cut."""
    pieces = _cut(data)
    stream = b"".join(pieces)
    outcome = decode(framing, pieces, limit=LIMIT)
    _check_cuts(framing, pieces, outcome, limit=LIMIT)
    for cut in ([stream], _singly(stream)):
        _check_kept(framing.decoder(LIMIT), cut, overhead)
    assert all(_size(message) <= LIMIT for message in outcome.messages), f"a message over the limit: {outcome}"
    return outcome


def _check_sent_on(framing: Framing[Any], messages: list[Any]) -> None:
    """See that messages which were received are found again once they are sent on."""
    assert len(decode(framing, [framing.encode(messages)]).messages) == len(messages)


SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

Target = Callable[[bytes], None]

TARGETS: dict[str, tuple[Target, list[bytes]]] = {}
"""Each with inputs to start from."""


def _target(*seeds: bytes) -> Callable[[Target], None]:
    def add(fuzz: Target) -> None:
        TARGETS[fuzz.__name__.removeprefix("fuzz_").replace("_", "-")] = fuzz, list(seeds)

    return add


@_target(
    b"\1\2\3\4one\r\ntwo\n\xe2\x82\xac\n\xff\xfd\x01x",
    b"\0\0\0\0123456789\n",
    b"\0\0\0\x8012345678\r\n",
    b"\0\0\0\0a\r\0b\0",
)
def fuzz_lines(data: bytes) -> None:
    """Lines of text and of bytes."""
    for framing in (Lines(), ByteLines(), ByteLines(keepends=True)):
        # A CR over the limit may be part of a line end. The decoder also keeps what ends a line: LF, and CR before it.
        outcome = _check_framing(framing, data, overhead=1 + 2)
        _check_sent_on(framing, outcome.messages)
        assert len(outcome.replies) <= len(data)


@_target(b"\1\2\3\4one\0two\r\nababa", b"\0\0\0\0123456789", b"\0\0\0\x8012345678\r")
def fuzz_delimited(data: bytes) -> None:
    for delimiter in (b"\0", b"\r\n", b"aba"):
        outcome = _check_framing(Delimited(delimiter), data, overhead=2 * len(delimiter))
        assert not any(delimiter in message for message in outcome.messages)
        if delimiter != b"aba":
            # The last one, which ended with the stream, may end like the beginning of that one.
            _check_sent_on(Delimited(delimiter), outcome.messages)


@_target(
    b"\1\2\3\4\xff\xfb\x1fone\n\xff\xfb\x24two\n\xff\xec",
    b"\1\2\3\4GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\1\2\3\4\x16\x03\x01\x02\0\x01",
)
def fuzz_beginning(data: bytes) -> None:
    """The beginning of a stream of text."""
    pieces = _cut(data)
    stream = b"".join(pieces)
    framings: list[Framing[Any]] = [Lines(), ByteLines(keepends=True), Delimited(b"\0")]
    for framing in framings:
        outcome = decode(framing, pieces, guarded=True)
        _check_cuts(framing, pieces, outcome, guarded=True)
        if stream[:1] not in (b"\xff", b"\x16") and b"HTTP" not in stream:
            assert outcome == decode(framing, pieces)


@_target(b"\1\2\3\4\3abc\0", b"\0\0\0\0\3\0abc", b"\0\0\0\0\0\0\0\3abc\0\0\0\x09")
def fuzz_length_prefixed(data: bytes) -> None:
    for framing in (LengthPrefixed(1), LengthPrefixed(2, "little"), LengthPrefixed(4)):
        outcome = _check_framing(framing, data, overhead=framing.size)
        _check_sent_on(framing, outcome.messages)
        stream = data[CUTS:]
        assert stream.startswith(framing.encode(outcome.messages))


@_target(b"\x20\x40\x60\x80abcdefgh")
def fuzz_raw(data: bytes) -> None:
    """Whatever arrives."""
    pieces = _cut(data)
    outcome = decode(Raw(), pieces, limit=1)
    assert outcome.messages == [piece for piece in pieces if piece]
    assert outcome.failure is None
    assert _kept(Raw().decoder(1)) == 0


@_target(b"\1\2\3\4a\xff\xfd\x1fb\xff\xfb\x01\xff\xff", b"\x40\x80\0\0\xff\xfa\x1f\0\x50\xff\xff\xff\xf0text\xff\xf9")
def fuzz_telnet(data: bytes) -> None:

    def filtered(pieces: list[bytes]) -> tuple[bytes, bytes]:
        telnet = TelnetFilter()
        text = b""
        for piece in pieces:
            text += telnet.feed(piece)
            # The beginning of a command.
            assert _kept(telnet) <= len(telnet.replies) + 3
        return text, bytes(telnet.replies)

    pieces = _cut(data)
    stream = b"".join(pieces)
    text, replies = filtered(pieces)
    assert filtered([stream]) == filtered(_singly(stream)) == (text, replies)
    assert len(text) <= len(stream)
    # Each was escaped, or stood before what is no command.
    assert text.count(IAC_BYTE) <= len(re.findall(rb"\xff(?=[\x00-\xeb\xff])", stream))
    if IAC not in stream:
        assert (text, replies) == (stream, b"")
    # Each is a refusal of something that takes as many bytes.
    assert len(replies) <= len(stream)
    assert len(replies) % 3 == 0
    for at in range(0, len(replies), 3):
        assert replies[at] == IAC
        assert replies[at + 1] in (DONT, WONT)


class _Frames(BytesFraming):
    """The messages in the frames of WebSocket, as a client sends them."""

    def decoder(self, limit: int) -> Decoder[bytes]:
        return FrameDecoder(limit, list)

    def encode(self, messages: Sequence[bytes]) -> bytes:
        return b"".join(said(BINARY, message) for message in messages)


@_target(
    b"\1\2\3\4" + said(TEXT, b"one") + said(BINARY, b"two", last=False) + said(PING, b"?") + said(CONTINUATION),
    b"\0\0\0\0" + said(TEXT, b"12345678") + said(CLOSE, b"\x03\xe8bye"),
    b"\0\0\0\x80" + said(TEXT, b"1234", last=False) + said(CONTINUATION, size=5),
    b"\0\0\0\0" + said(TEXT, b"a", long=8) + said(BINARY, size=1 << 63),
)
def fuzz_frames(data: bytes) -> None:
    """What a client of WebSocket sends."""
    pieces = _cut(data)
    outcome = decode(_Frames(), pieces, limit=LIMIT)
    stream = b"".join(pieces)
    for cut in ([stream], _singly(stream)):
        other = decode(_Frames(), cut, limit=LIMIT)
        # Of pings that come together, one is answered.
        assert (other.messages, other.failure) == (outcome.messages, outcome.failure)
        # The head of a frame, and the longest control frame, which may be owed besides.
        _check_kept(_Frames().decoder(LIMIT), cut, overhead=14 + 2 * 125)
    assert all(len(message) <= LIMIT for message in outcome.messages)
    _check_sent_on(_Frames(), outcome.messages)


@_target(
    b"\1\2\3\4PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\nhello\n",
    b"\1\2\3\4PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 1 2\r\n",
    b"\1\2\3\4PROXY UNKNOWN\r\n",
    b"\1\2\3\4" + SIGNATURE + b"\x21\x11\0\x0c\xc0\0\2\7\xc6\x33\x64\1\x12\x67\1\xbbhello",
    b"\1\2\3\4" + SIGNATURE + b"\x21\x21\0\x24" + bytes(36),
    b"\1\2\3\4" + SIGNATURE + b"\x20\0\0\0",
)
def fuzz_proxy_header(data: bytes) -> None:

    def read(pieces: list[bytes]) -> tuple[int, bool, Address | None, str]:
        header, all_used = ProxyHeader(), 0
        try:
            for piece in pieces:
                used = header.feed(piece)
                assert 0 <= used <= len(piece)
                assert header.complete or used == len(piece)
                assert _kept(header) <= V2_LIMIT
                all_used += used
        except ProxyHeaderError as error:
            assert not header.complete
            return 0, False, header.source, str(error)
        return all_used, header.complete, header.source, ""

    pieces = _cut(data)
    stream = b"".join(pieces)
    used, complete, source, failure = read(pieces)
    assert read([stream]) == read(_singly(stream)) == (used, complete, source, failure)
    if source is not None:
        address = parse_address(source.host)
        assert address is not None
        assert complete
        assert 0 <= source.port <= 65535
        # In its usual form, and without what somebody may have put behind a %.
        assert source.host == str(address)
        assert "%" not in source.host
    if complete:
        # What is behind it changes nothing.
        assert read([stream[:used]]) == (used, complete, source, failure)


class _Sender:
    """Says one message, as a client that is to be authenticated does."""

    def __init__(self, message: str | bytes) -> None:
        self._message = message

    async def receive(self) -> str | bytes:
        return self._message


def _result(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")


@_target(b" first \n\xfefirst\n", b"first\r\nsecond\n\xfesecond\r\n", b"\xff\xfe\xff\0", b"\n\xfe\n")
def fuzz_secret(data: bytes) -> None:
    """A file of secrets, and a first message; a byte 0xFE is between them."""
    content, _, stream = data.partition(b"\xfe")
    secrets = {secret for secret in re.split(rb"[\r\n]", content) if secret}
    try:
        shared = SharedSecret(_file(content))
    except ValueError:
        assert not secrets
        return
    assert secrets
    framings: list[Framing[Any]] = [Lines(), ByteLines(), ByteLines(keepends=True), Delimited(b"\0")]
    for framing in framings:
        for message in decode(framing, [stream]).messages[:1]:
            said = message.encode() if isinstance(message, str) else message
            sender: Any = _Sender(message)
            assert _result(shared(sender)) == (said.rstrip(b"\r\n") in secrets)
    assert shared.reload() is None


@_target(
    b'app = "relay"\nport = 5000\nframing = "nul"\n',
    b'listen = [\n "tcp://[::]:5000?framing=raw",\n]\nquiet = true\n',
    b'retention = "16M"\npace = "none"\npatience = 1.5\n',
    b'[table]\nallow = ["192.0.2.0/24"]\n',
    b"prot = 5000\n",
    b'notice = """\n{missed}\n"""\nwhen-slow = "skip" # comment\n',
    b"retention = 1.5\n",
    b"port = inf\n",
    b"patience = 1" + b"0" * 400 + b"\n",
    b"port = " + b"1" * 5000 + b"\n",
    b"port = " + b"[" * 5000 + b"\n",
)
def fuzz_config(data: bytes) -> None:
    """A configuration file, and the options that are made of it."""
    text = data.decode(errors="replace")
    # It must not name a file, since that could be anything, even a device; and to find a line takes their square.
    if "@" in text or "\\" in text or text.count("\n") > 60:
        return
    path = _file(data)
    try:
        serve.make_context("serve", ["--config", str(path)])
    except click.ClickException as error:
        told = re.search(r"line (\d+)", error.format_message())
        assert told is None or 1 <= int(told[1]) <= len(text.splitlines()) + 1
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError):
        return
    lines = text.splitlines(keepends=True)
    for key in values:
        number = find_line(text, key)
        assert 1 <= number <= len(lines)
        assert key not in tomllib.loads("".join(lines[: number - 1]))


@_target(
    b"tcp://127.0.0.1:5000",
    b"tls://[::]:5443?framing=lines&tls-cert=a&allow=192.0.2.0/24",
    b"unix:///run/%41.sock?mode=660",
    b"fd://3?secret-file=s",
    b"fd://systemd",
    b"tcp://[::]:5000?room=weather",
    b"tcp://[::]:5000?deny=192.0.2.0/24&deny=198.51.100.0/24",
)
def fuzz_listen_url(data: bytes) -> None:
    text = data.decode(errors="replace")
    try:
        url = parse(text)
    except ValueError:
        return
    assert url == parse(text)
    assert url.scheme in {"tcp", "tls", "unix", "fd"}
    assert url.query.keys() <= {*COMMON_KEYS, "mode"}
    # Nothing of what was written is lost: two networks to deny are not one.
    assert len(url.query) == len(parse_qsl(urlsplit(text).query, keep_blank_values=True))
    match endpoint := url.attributes["endpoint"]:
        case Address():
            assert url.scheme in {"tcp", "tls"}
            assert 0 <= endpoint.port <= 65535
        case Path():
            assert url.scheme == "unix"
        case int():
            assert url.scheme == "fd"


@_target(
    b"192.0.2.0/24\n# comment\n2001:db8::/32 # another\n",
    b"::ffff:192.0.2.0/120",
    b"fe80::1%eth0",
    b"192.0.2.1/24",
    b"\xff\n",
    "192.0.2.0/24\n".encode("utf-16"),
    b"\xff\xfe",
)
def fuzz_networks(data: bytes) -> None:
    """An entry of a list of networks, and a file of them."""
    text = plain_utf8(data).decode(errors="replace")
    assert Access(allow=["0.0.0.0/0", "::/0"]).refusal(text) is None
    networks, path = _networks_in(text), _file(data)
    try:
        read = Networks([f"@{path}"])
    except ValueError as error:
        if str(path) not in str(error):
            raise
        return
    # Then each of its lines is an entry.
    assert networks is not None
    for entry in networks:
        host = entry.partition("/")[0]
        assert host in Networks([entry])
        assert host in read
    assert read.reload() is None


def _networks_in(text: str) -> list[str] | None:
    """The networks in a file, as the plainest reader finds them; None if some line has none."""
    entries = [entry for line in text.splitlines() if (entry := line.partition("#")[0].strip())]
    try:
        # A file that names another one is none of networks.
        return entries if all(not entry.startswith("@") and Networks([entry]) for entry in entries) else None
    except ValueError:
        return None


def main(target: str, seconds: str) -> None:
    """Let atheris look for an input with which something does not hold. It ends the process."""
    # Importing it here leaves the rest of this file to those who do not have it.
    atheris = importlib.import_module("atheris")
    # They were imported above. Once more, so that the fuzzer sees which branches they take.
    for name in [name for name in sys.modules if name.partition(".")[0] == "hubbub" or name == "support.feeding"]:
        del sys.modules[name]
    with atheris.instrument_imports(include=["hubbub"]):
        fuzz, seeds = importlib.import_module("support.fuzzing").TARGETS[target]
    with tempfile.TemporaryDirectory(prefix="hubbub-corpus-") as corpus:
        for number, seed in enumerate(seeds):
            Path(corpus, f"seed-{number}").write_bytes(seed)
        # One input may take 10 s, and all of it a GiB.
        options = (f"-max_total_time={seconds}", "-max_len=1024", "-rss_limit_mb=1024", "-timeout=10")
        atheris.Setup([sys.argv[0], *options, "-print_final_stats=1", corpus], fuzz)
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
