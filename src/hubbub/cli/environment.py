"""The variables of the environment, some of which are the platform's, though they are named like ours."""

from __future__ import annotations

import os
import re
from typing import Final

import click

# In a Kubernetes pod, each Service sets variables that begin with its name. Docker's links do so too.
_OF_A_SERVICE: Final = re.compile(
    r"HUBBUB_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)


def read(name: str) -> str | None:
    """The value of a variable, which may be empty; None if it is not set, or set by the platform."""
    value = os.environ.get(name)
    return None if value is None or _is_foreign(name, value) else value


def warning() -> str | None:
    """Which variables are ignored because the platform has set them, and what to do; None if there are none."""
    foreign = sorted(name for name, value in os.environ.items() if _is_foreign(name, value))
    if not foreign:
        return None
    return (
        f"variables of a Service named hubbub are ignored: {', '.join(foreign)}; "
        "in Kubernetes, enableServiceLinks: false for the pod removes them"
    )


def warn() -> None:
    """Say on standard error what is ignored, if anything is."""
    if ignored := warning():
        click.echo(f"hubbub: {ignored}", err=True)


def _is_foreign(name: str, value: str) -> bool:
    return _OF_A_SERVICE.fullmatch(name) is not None or (name == "HUBBUB_PORT" and "://" in value)
