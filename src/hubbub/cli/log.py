"""`hubbub log`: what a store has, while a hubbub writes it or afterwards."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import nullcontext, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ..framing.texts import framing_of
from ..stores.reading import Damage, NoSuchRoom, StoreReader
from ..stores.room_reading import RoomReader
from ..stores.verifying import Verification, check_structure
from ..values.declaration import Group
from ..values.errors import PositionLost, StoreError
from ..values.settings import MESSAGES, OUTPUT
from ..values.text import printable
from ..values.units import readable
from . import stdio
from .failure import Failure, Unreachable, guess
from .log_export import new_file
from .log_messages import ENDLESS, AsBytes, AsJson, AsText, Copy
from .log_rooms import rooms_as_json, rooms_as_table
from .options import Command, option
from .values import Place, StorePath

if TYPE_CHECKING:
    from collections.abc import Callable

    from click._termui_impl import ProgressBar

    from ..framing import Framing
    from ..values.since import Since
    from .log_messages import Form

FOLLOW_TIME: Final = 0.1
"""How often `--follow` looks for new messages, in seconds."""

FAULTS_LIMIT: Final = 100
"""Faults that are listed."""

INTERRUPTED: Final = 130
"""The exit status after Ctrl-C, as shells report it."""

STORE: Final = Group("The whole store")

_option = partial(option, prefix="HUBBUB_LOG")


def _complete_room(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The rooms of the store whose names begin so."""
    try:
        with StoreReader(Path(ctx.params["path"])) as store:
            return [name for name in store.names() if name.startswith(incomplete)]
    except (Damage, StoreError):
        return []


@click.command(cls=Command)
@click.argument("path", type=StorePath(dir_okay=False))
@click.argument("room", required=False, shell_complete=_complete_room)
@_option(
    "--since",
    group=MESSAGES,
    type=Place(),
    metavar="PLACE",
    show_default="all",
    help="Begin there: with the last N messages, bytes (64K) or minutes (10m), at a time (RFC 3339), or after a "
    "position.",
)
@_option(
    "--until", group=MESSAGES, type=Place(), metavar="PLACE", help="End there, where --since would begin with the same."
)
@_option("--follow", "-f", group=MESSAGES, is_flag=True, help="Go on with what is stored from now on, until Ctrl-C.")
@_option(
    "--verify",
    group=STORE,
    is_flag=True,
    help="Check the whole file: that SQLite can read it, and that messages, bytes, times and terms fit together.",
)
@_option(
    "--export",
    group=STORE,
    type=click.Path(path_type=Path),
    metavar="FILE|-",
    help="Write the messages of all rooms to a new file, or to standard output, as --json does, each with its room.",
)
@_option("--json", "as_json", group=OUTPUT, is_flag=True, help="Print JSON, an object on each line.")
def log(
    *,
    path: Path,
    room: str | None,
    since: Since | None,
    until: Since | None,
    follow: bool,
    verify: bool,
    export: Path | None,
    as_json: bool,
) -> None:
    """Show what a store has.

    PATH is the file of `hubbub serve --store`. The file is only read, while a hubbub writes it or afterwards. Without
    ROOM, its rooms are listed. SIZE there counts 256 bytes for each batch of messages, beside their own.

    With ROOM, its messages are printed. To a pipe or a file, they are the very bytes that clients read, so another
    server can be fed with them. On a terminal, each is a line in which control characters are escaped.

    With --json, each message is an object with its "position", "time" (RFC 3339), "sender" and "message". Where a
    message is not UTF-8, it is in base64, and "base64" is true. Messages of a framing that is not hubbub's own can be
    printed as bytes only, in whole batches.

    Each option can also be set by a variable whose name begins with HUBBUB_LOG_, as in HUBBUB_LOG_SINCE.

    The exit status is 1 if the store is damaged, if messages are gone before they could be printed, or if the output
    cannot be written.
    """
    _check_options(
        room,
        of_room={"--since": since, "--until": until, "--follow": follow},
        of_store={"--verify": verify, "--export": export},
        as_json=as_json,
    )
    if export is None:
        # Ctrl-C ends the program at once, as it ends `cat`.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        store = click.get_current_context().with_resource(StoreReader(path))
    except StoreError as error:
        raise Failure(str(error)) from None
    except Damage as damage:
        raise _damaged(path, damage) from None
    try:
        if verify:
            sys.exit(_verify(store))
        elif export is not None:
            sys.exit(_export(store, export))
        elif room is not None:
            sys.exit(_print(store, room, since, until, as_json=as_json, follow=follow))
        for line in rooms_as_json(store) if as_json else rooms_as_table(store):
            _write(line)
    except Damage as damage:
        raise _damaged(path, damage) from None
    except NoSuchRoom as gone:
        raise Unreachable(f"room {gone.name} was deleted meanwhile") from None
    except StoreError as error:
        raise Unreachable(str(error)) from None


def _check_options(room: str | None, *, of_room: dict[str, Any], of_store: dict[str, Any], as_json: bool) -> None:
    """See that all options that are given go together.

    Raises:
        Failure: they do not.
    """
    rooms, stores = ([name for name, value in group.items() if value] for group in (of_room, of_store))
    if stores and (room is not None or rooms or as_json or stores[1:]):
        raise Failure(f"{stores[0]} is about the whole store; give it alone, without a room and other options")
    if rooms and room is None:
        raise Failure(f"{rooms[0]} is about the messages of a room; name the room after the path")
    if of_room["--follow"] and of_room["--until"]:
        raise Failure("--follow never ends, and --until says where to end; choose one of them")


def _write(data: bytes) -> None:
    """Write on standard output.

    Raises:
        SystemExit: nobody reads it any more, so there is nobody to tell.
        Unreachable: it cannot be written.
    """
    try:
        stdio.write_now(stdio.STDOUT, data)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        raise Unreachable(f"cannot write standard output: {error.strerror}") from None


def _damaged(path: Path, damage: Damage) -> Unreachable:
    return Unreachable(f"the store {path} is damaged: {damage}; see hubbub log {path} --verify")


def _print(
    store: StoreReader, name: str, since: Since | None, until: Since | None, *, as_json: bool, follow: bool
) -> int:
    """Print the messages of a room; the exit status."""
    try:
        room = RoomReader(store, name)
    except NoSuchRoom:
        near = guess(name, store.names())
        raise Failure(f"{store.path} has no room {name!r}{near or f'; hubbub log {store.path} lists them'}") from None
    framing = framing_of(room.framing)
    now = time.time()
    start = _find(room, "--since", since, now) if since else room.start.seq
    stop = ENDLESS if follow else _find(room, "--until", until, now) if until else room.head.seq
    if as_json:
        form: Form = AsJson(_known(room, framing), room, {})
    elif os.isatty(stdio.STDOUT):
        form = AsText(framing)
    else:
        form = AsBytes(framing)
    copy = Copy(room, form, _write, start)
    told = 0
    while True:
        _run(copy, room, stop)
        if copy.gone > told:
            position = room.position(room.start.seq)
            click.echo(f"hubbub: messages before {position} are gone: {copy.gone - told}", err=True)
            told = copy.gone
        if not follow:
            return int(told > 0)
        # A server that closes its store meanwhile can tidy up.
        store.release()
        try:
            stdio.wait_read(stdio.STDOUT, FOLLOW_TIME)
        except BrokenPipeError:
            return 1


def _run(copy: Copy, room: RoomReader, stop: int, progress: Callable[[int], object] = lambda size: None) -> None:
    """Copy messages, and say where the store is damaged."""
    try:
        copy.run(stop, progress)
    except Damage as damage:
        raise Damage(f"room {room.name}, after {room.position(copy.at)}: {damage}") from None


def _find(room: RoomReader, name: str, place: Since, now: float) -> int:
    try:
        return room.find(place, now)
    except PositionLost as error:
        raise Failure(f"{name}: {error}") from None


def _known(room: RoomReader, framing: Framing[Any] | None) -> Framing[Any]:
    """A framing in which single messages are found.

    Raises:
        Failure: it is not known.
    """
    if framing is None:
        raise Failure(
            f"room {room.name} has the framing {printable(room.framing)}, which is not hubbub's own, so its messages "
            "cannot be told apart; leave out --json to print their bytes"
        )
    return framing


def _export(store: StoreReader, path: Path) -> int:
    """Write the messages of all rooms; the exit status."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    copies: list[tuple[Copy, RoomReader]] = []
    try:
        with nullcontext(_write) if str(path) == "-" else new_file(path) as write:
            rooms = [RoomReader(store, name) for name in store.names()]
            for room in rooms:
                form = AsJson(_known(room, framing_of(room.framing)), room, {"room": room.name})
                copies.append((Copy(room, form, write, room.start.seq), room))
            with _progress("exporting", sum(map(_size, rooms))) as bar:
                for copy, room in copies:
                    _run(copy, room, room.head.seq, bar.update)
    except KeyboardInterrupt:
        return INTERRUPTED
    gone = sum(copy.gone for copy, _ in copies)
    if gone:
        click.echo(f"hubbub: messages are gone that were to be exported: {gone}", err=True)
    return int(gone > 0)


def _verify(store: StoreReader) -> int:
    """Check the whole file, and print what is wrong; the exit status."""
    begun = time.monotonic()
    with _progress("checking", _size_of(store)) as bar:
        check = Verification(store, bar.update)
        faults = list(islice(check.faults(), FAULTS_LIMIT))

        def show() -> None:
            bar.label = f"SQLite's own check, {time.monotonic() - begun:.0f} s"
            bar.render_progress()

        begun = time.monotonic()
        faults += check_structure(store, show)
    for fault in faults[:FAULTS_LIMIT]:
        _write(f"{printable(fault)}\n".encode())
    if len(faults) >= FAULTS_LIMIT:
        _write(b"perhaps more: only the first faults are listed\n")
    if not faults:
        size = readable(store.size())
        _write(f"good: rooms: {check.rooms}, messages: {check.messages:,}, file: {size}\n".encode())
    return int(bool(faults))


def _size_of(store: StoreReader) -> int:
    """Counted bytes of all rooms, as far as they can be read."""
    size = 0
    for name in store.names():
        with suppress(Damage, NoSuchRoom):
            size += _size(RoomReader(store, name))
    return size


def _size(room: RoomReader) -> int:
    return room.head.offset - room.start.offset


def _progress(label: str, size: int) -> ProgressBar[int]:
    """A bar on standard error, if that is a terminal. It is drawn at most a thousand times."""
    return click.progressbar(
        length=size,
        label=label,
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
        update_min_steps=max(1, size // 1000),
    )
