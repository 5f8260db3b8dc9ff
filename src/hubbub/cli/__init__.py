"""The command line, `hubbub`."""

from __future__ import annotations

import os

import click

from .bench import bench
from .check import check
from .connect import connect
from .failure import Group
from .options import HELP
from .serve import serve

__all__ = ["main"]


@click.group(cls=Group, context_settings={**HELP, "max_content_width": 100})
@click.version_option(package_name="hubbub", message="%(prog)s %(version)s")
def main() -> None:
    """A TCP broadcast server: each message of one client goes to all others."""
    _open_missing_streams()


def _open_missing_streams() -> None:
    # A socket would take the number of a stream that is missing (`>&-`). Then output would go to a client, or libuv
    # would abort.
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The file gets the lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)


main.add_command(serve)
main.add_command(check)
main.add_command(connect)
main.add_command(bench)
