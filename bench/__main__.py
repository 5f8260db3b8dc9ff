"""`python -m bench`: measure, and write the tables and plots."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import click

from .catalogue import build_catalogue, make_certificate
from .measure import Bench, Processors, taking_part
from .plots import write_plots
from .report import Report, write_tables
from .scenarios import SCENARIOS

_FOLDER: Final = Path(__file__).parent
_FIGURES: Final = "results.json"
_FLAGS: Final = ("-O2", "-Wall", "-Wextra", "-Werror")


class Progress:
    """Says on standard error what was just measured, and how long the rest will take.

    Args:
        total: how many runs there will be.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._start = time.monotonic()

    def __call__(self, outcome: str) -> None:
        self._done += 1
        left = (time.monotonic() - self._start) / self._done * (self._total - self._done)
        click.echo(f"[{self._done}/{self._total}, {left / 60:.0f} min left] {outcome}", err=True)


@click.command()
@click.option(
    "--scenario",
    "names",
    multiple=True,
    type=click.Choice([scenario.name for scenario in SCENARIOS]),
    help="Measure only this; may be repeated.",
)
@click.option("--peer", "only", multiple=True, help="Measure only this server; may be repeated.")
@click.option("--runs", type=click.IntRange(1), default=5, show_default=True, help="Runs of which the median counts.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="Length of each run, for a quick look.")
@click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=_FOLDER / "results",
    show_default="bench/results",
    help="Where tables and plots are written.",
)
@click.option("--add", is_flag=True, help="Keep the results of other scenarios that are there.")
@click.option("--redraw", is_flag=True, help="Measure nothing; write tables and plots from the results that are there.")
def main(
    *,
    names: tuple[str, ...],
    only: tuple[str, ...],
    runs: int,
    seconds: float | None,
    results: Path,
    add: bool,
    redraw: bool,
) -> None:
    """Measure hubbub and other servers on loopback, and write a table and plots of it."""
    if redraw:
        _write(Report.load(results / _FIGURES), results)
        return
    results.mkdir(parents=True, exist_ok=True)
    build = _FOLDER / "build"
    scenarios = [scenario for scenario in SCENARIOS if not names or scenario.name in names]
    catalogue = build_catalogue(build)
    if unknown := set(only) - {peer.name for peer in catalogue}:
        raise click.UsageError(
            f"there is no server {', '.join(unknown)}; there is {', '.join(p.name for p in catalogue)}"
        )
    wanted = [peer for peer in catalogue if not only or peer.name in only]
    missing = {peer.name: peer.missing for peer in wanted if peer.missing}
    for name, what in missing.items():
        click.echo(f"{name} is left out: {what} is not installed", err=True)
    peers = [peer for peer in wanted if not peer.missing]
    _compile(build)
    make_certificate(build)
    total = runs * sum(len(taking_part(one, point, peers)) for one in scenarios for point in one.points)
    bench = Bench(build / "load", Processors.split(), runs=runs, seconds=seconds, tell=Progress(total))
    file = results / _FIGURES
    report = Report(missing=missing)
    if add and file.exists():
        report.measurements = Report.load(file).measurements
    for scenario in scenarios:
        report.measurements[scenario.name] = bench.measure(scenario, peers)
        # Each scenario is kept as soon as it is done.
        report.save(file)
    _write(report, results)


def _write(report: Report, results: Path) -> None:
    """Write the tables and the plots."""
    (results / "README.md").write_text(write_tables(report, SCENARIOS))
    for plot in write_plots(report, results):
        click.echo(plot)
    click.echo(results / "README.md")


def _compile(build: Path) -> None:
    build.mkdir(exist_ok=True)
    programs = (("load", "load/*.c", ("-lssl", "-lcrypto")), ("limit", "peers/limit.c", ()))
    for program, pattern, libraries in programs:
        sources = _FOLDER.glob(pattern)
        try:
            subprocess.run(["cc", *_FLAGS, "-o", build / program, *sources, *libraries], check=True)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            needed = "a compiler and OpenSSL's headers (Debian: gcc libc6-dev libssl-dev)"
            raise click.ClickException(f"{program} is C, and needs {needed}: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
