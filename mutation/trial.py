"""Trials: what the tests say of a mutant.

Each trial is a process of its own, forked from one that has imported the libraries but not hubbub. It imports hubbub
with the change, and runs the tests until the first failure. No file is changed, so a trial that is killed leaves
nothing behind.
"""

from __future__ import annotations

import contextlib
import importlib.util
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import CodeType, ModuleType

import hypothesis
import pytest

from .mutants import Mutant

MEMORY_LIMIT = 2 * 1024**3
"""The data that one trial may allocate, in bytes: a mutant may append for ever."""

LIBRARIES = ("asyncio", "click", "cryptography.x509", "ssl", "trustme", "uvloop")
"""What the tests import and no mutant changes. It is imported once, which saves each trial 0.3 s."""

OPTIONS = (
    *("-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-profile=mutation"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)
"""For pytest. It would warn that hypothesis was imported before."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Tests to be run.

    Attributes:
        tests: files and folders, for pytest.
        seconds: how long the tests may take; after that they are killed, and count as failed.
        mutant: what is changed; `None` for nothing.
    """

    tests: tuple[str, ...]
    seconds: float
    mutant: Mutant | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a trial ended.

    Attributes:
        trial: the trial.
        passed: whether all tests passed, so that the mutant survives.
        seconds: how long it took.
    """

    trial: Trial
    passed: bool
    seconds: float


def run_trials(trials: Sequence[Trial], jobs: int) -> Iterator[Outcome]:
    """Run trials, `jobs` at a time, and give each outcome as soon as it is there."""
    for name in LIBRARIES:
        importlib.import_module(name)
    # Only a fork keeps what is imported.
    context = multiprocessing.get_context("fork")
    waiting = list(reversed(trials))
    running: dict[BaseProcess, tuple[Trial, float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                trial = waiting.pop()
                started = context.Process(target=_run, args=(trial,))
                started.start()
                running[started] = (trial, time.monotonic())
            now = time.monotonic()
            left = min(start + trial.seconds - now for trial, start in running.values())
            wait([process.sentinel for process in running], timeout=max(0, left))
            for process, (trial, start) in list(running.items()):
                seconds = time.monotonic() - start
                if not process.is_alive() or seconds >= trial.seconds:
                    del running[process]
                    _end(process)
                    yield Outcome(trial, process.exitcode == 0, seconds)
    finally:
        for process in running:
            _end(process)


def _end(process: BaseProcess) -> None:
    """End a trial, and what it has started and left behind."""
    assert process.pid is not None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # It may not have had its own group yet.
    process.kill()
    process.join()


def _run(trial: Trial) -> None:
    """Run the tests of a trial in this process, which ends with pytest's status."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT, MEMORY_LIMIT))
    # The same examples each time. One that fails is neither kept nor made smaller: that it fails is enough.
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    hypothesis.settings.register_profile("mutation", database=None, derandomize=True, phases=phases, deadline=None)
    if trial.mutant is not None:
        sys.meta_path.insert(0, _MutantFinder(trial.mutant))
        # What pytest says of a mutant is of no interest, but without one it says why the tests fail.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
    sys.exit(pytest.main([*OPTIONS, *trial.tests]))


class _MutantFinder(MetaPathFinder):
    """Finds the module that a mutant changes; the others are found as usual."""

    def __init__(self, mutant: Mutant) -> None:
        self._file = str(mutant.file.resolve())
        self._source = mutant.apply(mutant.file.read_bytes())

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin != self._file:
            return None
        loader = _MutantLoader(fullname, self._file, self._source)
        return importlib.util.spec_from_file_location(fullname, self._file, loader=loader)


class _MutantLoader(SourceFileLoader):
    """Loads a module from other source than its file has."""

    def __init__(self, fullname: str, path: str, source: bytes) -> None:
        super().__init__(fullname, path)
        self._changed_source = source

    def get_code(self, fullname: str) -> CodeType:
        # The method of the base class would load the byte code that is cached for the file.
        return self.source_to_code(self._changed_source, self.path)
