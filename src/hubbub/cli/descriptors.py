"""How many files the process may have open."""

from __future__ import annotations

from typing import Final

SPARE: Final = 64
"""Descriptors that a command needs beside those of its connections, and some to spare."""


def allow_descriptors(count: int | None) -> int | None:
    """Raise the soft limit of open files, as far as the hard limit allows.

    Args:
        count: how many files may have to be open; None: any number.

    Returns:
        The hard limit if it is below `count`, else None.
    """
    # Only POSIX has this module, and the other commands also run elsewhere.
    import resource  # noqa: PLC0415 - see above

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    most = hard if count is None else count if hard == unlimited else min(count, hard)
    if soft != unlimited and (most == unlimited or soft < most):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most if count is not None and most < count else None
