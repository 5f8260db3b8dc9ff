"""`python -m recording`: record the session that the README shows, and draw it for wide and for narrow screens."""

from __future__ import annotations

import os
import pty
import sys
import tempfile
import tty
from functools import reduce
from operator import xor
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from .drawing import draw
from .film import Film, wait_for_connections

if TYPE_CHECKING:
    from .film import Pane

ROOT: Final = Path(__file__).parent.parent

TITLE: Final = "Two telnets in a chat, and two readers of a feed"
DESCRIPTION: Final = (
    "First, hubbub serve runs a chat, and what one telnet says the other hears. Then hubbub serve relay passes on what"
    " socat reads from a serial line, a pseudo-terminal here, to two nc."
)

MEASURED: Final = ("WIMWV,214.8,R,10.1,N,A", "SDDBT,25.6,f,7.8,M,4.3,F", "HEHDT,274.1,T", "WIMWV,216.0,R,10.4,N,A")
"""What an instrument on a boat says: wind, depth, heading (NMEA 0183)."""


@click.command()
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=ROOT / "docs" / "images" / "chat-and-feed.svg",
    show_default="docs/images/chat-and-feed.svg",
    help="Where the recording is written.",
)
@click.option("--chat-port", default=5000, show_default=True, help="Where the chat listens.")
@click.option("--feed-port", default=5010, show_default=True, help="Where the feed listens.")
def main(*, output: Path, chat_port: int, feed_port: int) -> None:
    """Record a session of hubbub, telnet, socat and nc on real terminals as an SVG."""
    # The commands on the terminals are those of a shell where hubbub is installed.
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as directory, Film(Path(directory)) as film:
        chat, feed = columns = [_open_chat(film), _open_feed(film)]
        film.wait(0.5)
        _play_chat(film, chat, chat_port)
        _play_feed(film, feed, feed_port, Path(directory) / "ttyUSB0")
        # On the screen of a telephone, letters have half of the size if two columns share its width.
        narrow = output.with_stem(f"{output.stem}-narrow")
        for path, panes in ((output, columns), (narrow, [chat + feed])):
            path.write_text(draw(panes, title=TITLE, description=DESCRIPTION))
            click.echo(path)


def _open_chat(film: Film) -> list[Pane]:
    return [film.open_pane(f"chat: {who}") for who in ("the server", "a client", "another client")]


def _open_feed(film: Film) -> list[Pane]:
    whose = ("the server", "an instrument on a serial line", "a reader", "another reader")
    return [film.open_pane(f"feed: {who}") for who in whose]


def _play_chat(film: Film, panes: list[Pane], port: int) -> None:
    server, first, second = panes
    _start(film, server, "hubbub serve", port, 5000)
    for telnet in (first, second):
        telnet.type(f"telnet 127.0.0.1 {port}")
        telnet.see("Escape character")
        film.wait(0.5)
        server.see("connected.")
    first.see("connected.")
    film.wait(0.6)
    for speaker, hearer, words in ((first, second, "Hey"), (second, first, "Ho")):
        speaker.type(words)
        hearer.see(words)
        server.see(words)
        film.wait(0.6)
    second.press("^]")
    second.show_prompt("telnet> ")
    second.type("quit")
    second.see("Connection closed.")
    second.show_prompt()
    first.see("disconnected.")
    server.see("disconnected.")
    film.wait(1)


def _play_feed(film: Film, panes: list[Pane], port: int, device: Path) -> None:
    server, source, *readers = panes
    _start(film, server, "hubbub serve relay", port, 0)
    for count, reader in enumerate(readers, start=1):
        reader.type(f"nc 127.0.0.1 {port}")
        wait_for_connections(port, count)
        film.wait(0.3)
        server.see("connected.")
    # socat opens the slave, which must stay open until then.
    instrument, slave = pty.openpty()
    tty.setraw(slave)
    device.symlink_to(os.ttyname(slave))
    source.type(f"socat -u ./{device.name},b38400,raw tcp:127.0.0.1:{port}")
    film.wait(0.3)
    server.see("connected.")
    for measured in MEASURED:
        film.wait(0.6)
        sentence = f"${measured}*{reduce(xor, measured.encode()):02X}"
        os.write(instrument, f"{sentence}\r\n".encode())
        for pane in (*readers, server):
            pane.see(sentence)


def _start(film: Film, pane: Pane, command: str, port: int, default: int) -> None:
    pane.type(command if port == default else f"{command} --port {port}")
    film.wait(0.3)
    pane.see("Server started at: ")
    pane.see("Ctrl-C stops")
    film.wait(0.5)


if __name__ == "__main__":
    main()
