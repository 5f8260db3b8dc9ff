"""systemd: telling it how far the service is (sd_notify(3)), and the sockets that it passes (sd_listen_fds(3))."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST_PASSED: Final = 3
"""The first descriptor that systemd passes."""


def notify(state: str) -> None:
    """Tell systemd the state of the service, as in READY=1, if systemd has asked for it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # The name of an abstract socket is written with @ in the place of its zero byte (unix(7)).
    address = address.replace("@", "\0", 1) if address.startswith("@") else address
    # A service that cannot tell its state serves all the same.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier, suppress(OSError):
        notifier.sendto(state.encode(), address)


def passed_descriptors() -> Sequence[int]:
    """The descriptors of the sockets that systemd has passed.

    Raises:
        ValueError: there are none.
    """
    count = int(os.environ.get("LISTEN_FDS", "0"))
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or count < 1:
        raise ValueError("systemd passed no sockets to this process; check the .socket unit")
    passed = range(FIRST_PASSED, FIRST_PASSED + count)
    # Programs that this process may start must not inherit them.
    for descriptor in passed:
        os.set_inheritable(descriptor, False)
    return passed
