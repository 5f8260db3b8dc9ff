"""How many files the process may have open."""

from __future__ import annotations


def allow_descriptors(count: int) -> int | None:
    """Raise the soft limit of open files as far as that is needed; the hard limit, if that is too low for it."""
    # Only POSIX has it, and the other commands run elsewhere, too.
    import resource  # noqa: PLC0415 - see above

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most if most < count else None
