"""`python -m mutation`: a table of how many mutants of the core the tests kill, and the list of those that survive."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Final

import click

from .mutants import Mutant, find_mutants
from .trial import Trial, run_trials

ROOT: Final = Path(__file__).parent.parent

LINES: Final = ("tests/framing/test_lines.py", "tests/framing/test_messages.py", "tests/framing/test_contract.py")
FAN_OUT: Final = (
    "tests/hub/test_fan_out.py",
    "tests/hub/test_hold.py",
    "tests/hub/test_catching_up.py",
    "tests/hub/test_reader.py",
    "tests/hub/test_max_lag.py",
    "tests/hub/test_model.py",
)

CORE: Final = {
    "src/hubbub/framing/base.py": ("tests/framing",),
    "src/hubbub/framing/lines.py": LINES,
    "src/hubbub/framing/byte_lines.py": LINES,
    "src/hubbub/framing/cutting.py": (*LINES, "tests/framing/test_delimited.py"),
    "src/hubbub/log/chunk.py": ("tests/log/test_chunk.py", "tests/log/test_cursor.py", "tests/log/test_log.py"),
    "src/hubbub/log/log.py": ("tests/log", "tests/hub/test_catching_up.py", "tests/hub/test_room.py"),
    "src/hubbub/log/history.py": ("tests/log/test_log.py", "tests/hub/test_older_history.py"),
    "src/hubbub/log/seeking.py": ("tests/log/test_seeking.py", "tests/log/test_terms.py", "tests/log/test_older.py"),
    "src/hubbub/log/terms.py": ("tests/log/test_terms.py",),
    "src/hubbub/log/max_lag.py": ("tests/hub/test_max_lag.py",),
    "src/hubbub/log/cursor.py": ("tests/log/test_cursor.py", "tests/log/test_outbox.py", *FAN_OUT),
    "src/hubbub/log/outbox.py": ("tests/log/test_outbox.py", "tests/hub/test_reader.py"),
    "src/hubbub/log/rendering.py": ("tests/log/test_rendering.py", "tests/log/test_cursor.py"),
    "src/hubbub/hub/pump.py": ("tests/hub/test_pump.py", *FAN_OUT, "tests/server/test_older_end.py"),
    "src/hubbub/hub/fan_out.py": FAN_OUT,
    "src/hubbub/hub/fetches.py": ("tests/hub/test_older_history.py", *FAN_OUT),
    "src/hubbub/hub/stragglers.py": FAN_OUT,
    "src/hubbub/hub/reader.py": ("tests/hub/test_reader_ends.py", *FAN_OUT),
    "src/hubbub/hub/hold.py": ("tests/hub/test_hold.py", "tests/end_to_end/test_pace_promises.py"),
    "src/hubbub/hub/room.py": (
        "tests/hub/test_room.py",
        "tests/hub/test_room_lives.py",
        "tests/hub/test_older_history.py",
    ),
    "src/hubbub/wire/link.py": ("tests/wire/test_link.py", "tests/wire/test_inbox.py"),
    "src/hubbub/wire/inbox.py": (
        "tests/wire/test_inbox.py",
        "tests/wire/test_inbox_rates.py",
        "tests/wire/test_link.py",
    ),
}
"""The files of the core, as globs, and the tests that are to kill their mutants: the quickest first."""

PATIENCE: Final = 3
"""How many times longer than without a mutant the tests may take, beside `GRACE`."""

GRACE: Final = 5.0
"""Seconds."""

FIRST_TIME: Final = 600.0
"""How long the tests may take without a mutant, in seconds."""


def core() -> dict[Path, tuple[str, ...]]:
    """The files of the core, below the current folder, and their tests."""
    return {path.relative_to(ROOT): tests for glob, tests in CORE.items() for path in sorted(ROOT.glob(glob))}


def time_tests(selections: set[tuple[str, ...]], jobs: int) -> dict[tuple[str, ...], float]:
    """How long each selection of tests takes without a mutant, in seconds.

    Raises:
        click.ClickException: one of them fails.
    """
    times = {}
    for outcome in run_trials([Trial(tests, FIRST_TIME) for tests in sorted(selections)], jobs):
        if not outcome.passed:
            raise click.ClickException(f"the tests fail without a mutant: pytest {' '.join(outcome.trial.tests)}")
        times[outcome.trial.tests] = outcome.seconds
    return times


def table(files: list[Path], killed: list[Mutant], survivors: list[Mutant]) -> list[str]:
    """The figures of each file and of all together, as lines of a Markdown table."""
    rows = ["| file | mutants | killed | survived | score |", "|---|---:|---:|---:|---:|"]
    dead, alive = Counter(mutant.file for mutant in killed), Counter(mutant.file for mutant in survivors)
    figures = [(str(file), dead[file], alive[file]) for file in files]
    for name, gone, left in [*figures, ("all", len(killed), len(survivors))]:
        score = f"{gone / (gone + left):.0%}" if gone + left else ""
        rows.append(f"| {name} | {gone + left} | {gone} | {left} | {score} |")
    return rows


@click.command()
@click.option("--sample", type=click.IntRange(1), help="Try only so many mutants, drawn at random.  [default: all]")
@click.option("--seed", type=int, default=1, show_default=True, help="Which sample is drawn.")
@click.option("--jobs", type=click.IntRange(1), default=min(2, os.cpu_count() or 1), help="Mutants tried at a time.")
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(sample: int | None, seed: int, jobs: int, files: tuple[Path, ...]) -> None:
    """Break FILES (default: the core) in small ways, one at a time, and show which changes no test notices."""
    os.chdir(ROOT)
    tests = core()
    if unknown := set(files) - set(tests):
        raise click.UsageError(f"not in the table CORE of {__file__}: {', '.join(map(str, sorted(unknown)))}")
    chosen = list(files or tests)
    mutants = [mutant for file in chosen for mutant in find_mutants(file, file.read_bytes())]
    total = len(mutants)
    if sample is not None and sample < total:
        mutants = random.Random(seed).sample(mutants, sample)
    times = time_tests({tests[mutant.file] for mutant in mutants}, jobs)
    trials = []
    for mutant in mutants:
        selection = tests[mutant.file]
        trials.append(Trial(selection, GRACE + PATIENCE * times[selection], mutant))
    killed: list[Mutant] = []
    survivors: list[Mutant] = []
    start = time.monotonic()
    for done, outcome in enumerate(run_trials(trials, jobs), start=1):
        tried = outcome.trial.mutant
        assert tried is not None
        (survivors if outcome.passed else killed).append(tried)
        left = (time.monotonic() - start) / done * (len(trials) - done)
        told = "survived" if outcome.passed else "killed"
        click.echo(
            f"[{done}/{len(trials)}, {left / 60:.0f} min left] {told} in {outcome.seconds:.1f} s: {tried}", err=True
        )
    click.echo(f"{len(mutants)} of {total} mutants, seed {seed}\n")
    click.echo("\n".join(table(chosen, killed, survivors)))
    if survivors:
        click.echo("\nSurvivors:\n")
    for mutant in sorted(survivors, key=lambda mutant: (mutant.file, mutant.line)):
        click.echo(str(mutant))


if __name__ == "__main__":
    main()
