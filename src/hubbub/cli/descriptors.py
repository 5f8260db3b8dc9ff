"""How many files the process may have open."""

from __future__ import annotations


def allow_descriptors(count: int | None) -> int | None:
    """Raise the soft limit of open files to `count`, or as far as it goes; the hard limit, if that is less."""
    # Only POSIX has it, and the other commands run elsewhere, too.
    import resource  # noqa: PLC0415 - see above

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    most = hard if count is None else count if hard == unlimited else min(count, hard)
    if soft != unlimited and (most == unlimited or soft < most):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most if count is not None and most < count else None
