"""What the tests of the hub share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.stepping import SteppedLoop, new_loop


@pytest.fixture
def loop() -> Iterator[SteppedLoop]:
    """A loop that the test turns by hand."""
    with new_loop() as loop:
        yield loop
