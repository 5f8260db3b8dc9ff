"""Runs each `async def` test on an event loop, or on every kind of loop, and checks that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import inspect
import os
import signal
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import uvloop

TEST_TIME = 60.0
"""The longest an `async def` test may take, in seconds, unless it is marked `slow`."""

EXAMPLES = 30
"""How many examples Hypothesis tries in each of its tests."""

LONG_EXAMPLES = 200
"""The same with `--long`."""


def _new_debug_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    # It would log what is slow, which on a busy machine is anything.
    loop.slow_callback_duration = inf
    return loop


def _start_eagerly(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    # That of the standard library does not take the options of uvloop before Python 3.13.3.
    return asyncio.Task(coroutine, loop=loop, **{**options, "eager_start": True})


def _new_eager_loop() -> asyncio.AbstractEventLoop:
    loop = uvloop.new_event_loop()
    loop.set_task_factory(_start_eagerly)
    return loop


@pytest.fixture
def default_port() -> Iterator[None]:
    """The port that servers have by default, and those that pages name, for one test at a time."""
    with Path(tempfile.gettempdir(), f"hubbub-tests-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio-debug": _new_debug_loop,
    "uvloop": uvloop.new_event_loop,
}
if sys.version_info >= (3, 12):
    LOOPS["uvloop-eager"] = _new_eager_loop


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--long` and `--every-loop`."""
    parser.addoption("--long", action="store_true", help="run the tests marked `long` too")
    parser.addoption("--every-loop", action="store_true", help="run each async test on every kind of event loop")


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts what runs in the background without SIGINT, and so would all programs that the tests start be.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _limit_examples(LONG_EXAMPLES if config.getoption("long") else EXAMPLES)


def _limit_examples(count: int) -> None:
    """Have Hypothesis try so many examples, however long a busy machine takes for one."""
    slow = [hypothesis.HealthCheck.too_slow]
    hypothesis.settings.register_profile("hubbub", max_examples=count, deadline=None, suppress_health_check=slow)
    hypothesis.settings.load_profile("hubbub")


def pytest_collection_finish() -> None:
    """Freeze what exists so far: the collection after each async test then looks at that test's objects only."""
    gc.collect()
    gc.freeze()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if inspect.iscoroutinefunction(metafunc.function):
        metafunc.fixturenames.append("loop_kind")
        metafunc.parametrize("loop_kind", _loops_for(metafunc))


def _loops_for(metafunc: pytest.Metafunc) -> list[str]:
    """All kinds of loop with `--every-loop`; else one, which the name of the test decides."""
    kinds = list(LOOPS)
    if metafunc.config.getoption("every_loop"):
        return kinds
    # A checksum: the hash of a string differs between the workers of pytest-xdist.
    return [kinds[zlib.crc32(metafunc.definition.nodeid.encode()) % len(kinds)]]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests marked `long`, unless `--long` is given."""
    if config.getoption("long"):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    kind = str(pyfuncitem.callspec.params["loop_kind"])
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    with asyncio.Runner(debug=kind == "asyncio-debug", loop_factory=LOOPS[kind]) as runner:
        runner.run(_run_test(pyfuncitem.obj, arguments))
    # An unclosed socket or transport warns when it is collected, and warnings are errors.
    gc.collect()
    return True


async def _run_test(test: Callable[..., Any], arguments: dict[str, Any]) -> None:
    before = asyncio.all_tasks()
    async with asyncio.timeout(TEST_TIME):
        await test(**arguments)
    left = asyncio.all_tasks() - before
    assert not left, f"the test left tasks behind: {left}"
