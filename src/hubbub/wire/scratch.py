"""Room for what is read and taken over at once, shared by all connections of a thread."""

from __future__ import annotations

import threading
from typing import Final

from ..values.fixed_limits import READ_SIZE


class _Scratch(threading.local):
    """Another one for each thread: a second event loop may read while this one has yet to take over."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(READ_SIZE))


scratch: Final = _Scratch()
