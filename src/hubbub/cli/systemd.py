"""Telling systemd how far the service is (sd_notify(3))."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def notify(state: str) -> None:
    """Tell it, where it wants to know; `state` is as in READY=1."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # An abstract one is written with @ in the place of its zero byte (unix(7)).
    address = address.replace("@", "\0", 1) if address.startswith("@") else address
    # A service that cannot say that it is ready serves all the same.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier, suppress(OSError):
        notifier.sendto(state.encode(), address)
