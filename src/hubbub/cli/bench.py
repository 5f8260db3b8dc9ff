"""`hubbub bench`: how much a server can take."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from functools import partial
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ..client.dial import reason_of
from ..load.figures import milliseconds
from ..load.lines import MAX_SENDERS, MIN_SIZE
from ..load.load import Load, LoadFailure
from ..load.plan import Plan
from ..server.run import loop_factory
from ..values.declaration import Group
from ..values.errors import ConnectionClosed
from ..values.settings import OUTPUT
from ..values.units import format_time
from .descriptors import SPARE, allow_descriptors
from .failure import Failure, Unreachable
from .options import Command, option
from .target import Target, target_argument
from .values import Size, Time, Whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from click._termui_impl import ProgressBar

    from ..load.latency import Latencies
    from ..values.address import Address

SHOW_TIME: Final = 0.25
"""How often the progress is updated, in seconds."""

INTERRUPTED: Final = 130
"""The exit status after Ctrl-C, as shells report it."""

LOAD: Final = Group("Load")

_DEFAULTS = Plan()

_option = partial(option, prefix="HUBBUB_BENCH")


@click.command(cls=Command)
@target_argument(required=True)
@_option(
    "--readers",
    group=LOAD,
    type=Whole(min=1),
    metavar="N",
    default=_DEFAULTS.readers,
    help="Connections that read all lines.",
)
@_option(
    "--senders",
    group=LOAD,
    type=Whole(1, MAX_SENDERS),
    metavar="N",
    default=_DEFAULTS.senders,
    help="Connections that send lines.",
)
@_option(
    "--size",
    group=LOAD,
    type=Size(),
    default=_DEFAULTS.size,
    help=f"Bytes of a line, its end included; at least {MIN_SIZE}.",
)
@_option(
    "--rate",
    group=LOAD,
    type=Whole(min=1),
    metavar="N",
    show_default="as fast as the server takes them",
    help="Lines per second that all senders together send. With a rate, the latency is measured.",
)
@_option(
    "--time",
    group=LOAD,
    type=Time(),
    default=format_time(_DEFAULTS.time),
    metavar="TIME",
    help="How long the senders send, as in 30s or 5m.",
)
@_option(
    "--plot",
    group=OUTPUT,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.svg",
    help="Draw the latency into this file; needs --rate.",
)
@_option("--json", "as_json", group=OUTPUT, is_flag=True, help="Print the figures as JSON.")
def bench(
    *,
    target: Target,
    readers: int,
    senders: int,
    size: int,
    rate: int | None,
    time: float,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Measure how much a server can take.

    It can be any server that passes on each line of a client to all others. Senders send as fast as the slowest
    reader reads, or at the --rate. Every reader checks that every line arrives, whole and in the order of its sender.
    The latency of a line is the time from when it was due to be sent until the last reader had it. It counts also when
    the server made the sender wait.

    Each option can also be set by a variable whose name begins with HUBBUB_BENCH_, as in HUBBUB_BENCH_RATE.

    The exit status is 0 if every line arrived as it was sent, and 1 if not. With --json, there is an object in either
    case, whose "problem" says what went wrong.
    """
    try:
        plan = Plan(readers=readers, senders=senders, size=size, rate=rate, time=time)
    except ValueError as error:
        raise Failure(str(error)) from None
    draw = _import_draw(plan, plot) if plot else None
    needed = readers + senders + SPARE
    if allowed := allow_descriptors(needed):
        raise Failure(
            f"{needed} open files are needed, but only {allowed} are allowed; raise the limit (ulimit -Hn {needed})"
        )
    load = Load(target.address, plan, tls=target.tls)
    problem, status = _drive(load, target.address)
    figures = load.figures if load.elapsed is not None else None
    if as_json:
        measured = figures.as_json() if figures is not None else {"plan": asdict(plan)}
        click.echo(json.dumps({**measured, "problem": problem}))
    if figures is not None:
        if not as_json:
            click.echo(figures)
        if draw is not None and plot is not None and figures.latencies:
            try:
                draw(plan, figures.latencies, plot)
            except OSError as error:
                raise Failure(f"cannot write {plot}: {error.strerror}") from None
        status = status or int(bool(figures.faults))
    if problem:
        raise Unreachable(problem)
    sys.exit(status)


def _drive(load: Load, endpoint: Address) -> tuple[str | None, int]:
    """Run the load; what went wrong, in words, and the exit status if nothing did."""
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_run(load))
    except LoadFailure as failure:
        return str(failure), 1
    except ConnectionClosed as closed:
        return f"cannot talk to {endpoint}: {closed.ending.reason if closed.ending else closed}", 1
    except OSError as error:
        return f"cannot talk to {endpoint}: {reason_of(error)}", 1
    except KeyboardInterrupt:
        return None, INTERRUPTED
    return None, 0


async def _run(load: Load) -> None:
    """Run the load, and show its progress if standard error is a terminal."""
    length = ceil(load.plan.time / SHOW_TIME)
    with click.progressbar(
        length=length,
        label="connecting",
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
        show_eta=False,
        show_percent=False,
    ) as bar:
        showing = asyncio.create_task(_show(load, bar))
        try:
            await load.run()
            bar.update(length - bar.pos)
        finally:
            showing.cancel()


async def _show(load: Load, bar: ProgressBar[Any]) -> None:
    before, deliveries = 0.0, 0
    while True:
        await asyncio.sleep(SHOW_TIME)
        elapsed = load.elapsed
        if elapsed is None:
            continue
        now = load.measurement.deliveries
        bar.label = f"{(now - deliveries) / (elapsed - before):13,.0f} deliveries/s"
        latencies = load.measurement.latencies
        if latencies is not None:
            bar.label += f", latency {milliseconds(latencies.latest)}"
        before, deliveries = elapsed, now
        bar.update(min(ceil(elapsed / SHOW_TIME), bar.length or 0) - bar.pos)


def _import_draw(plan: Plan, path: Path) -> Callable[[Plan, Latencies, Path], None]:
    """The function that draws the plot. Whether it can draw is known before the load starts.

    Raises:
        Failure: it cannot draw.
    """
    if plan.rate is None:
        raise Failure("--plot draws the latency, which is measured only at a rate; add --rate")
    if path.suffix != ".svg":
        raise Failure(f"--plot writes SVG only; name the file {path.with_suffix('.svg')}")
    if not path.parent.is_dir():
        raise Failure(f"there is no directory {path.parent}; choose another file for --plot")
    try:
        # matplotlib is an extra, and takes longer to import than everything else.
        from ..load.plot import draw  # noqa: PLC0415 - see above
    except ModuleNotFoundError:
        raise Failure("--plot needs matplotlib; install it with: pip install matplotlib") from None
    return draw
