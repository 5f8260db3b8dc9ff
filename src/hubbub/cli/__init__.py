"""The command line, `hubbub`."""

from __future__ import annotations

import click

from ..server.run import open_missing_streams
from .bench import bench
from .check import check
from .connect import connect
from .failure import Commands
from .key import key
from .log import log
from .options import HELP
from .serve import serve
from .top import top

__all__ = ["main"]


@click.group(cls=Commands, context_settings={**HELP, "max_content_width": 100})
@click.version_option(package_name="hubbub", message="%(prog)s %(version)s")
def main() -> None:
    """A TCP broadcast server: each message of one client goes to all others."""
    open_missing_streams()


main.add_command(serve)
main.add_command(check)
main.add_command(connect)
main.add_command(key)
main.add_command(log)
main.add_command(top)
main.add_command(bench)
