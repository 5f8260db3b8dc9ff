"""The command line, `hubbub`."""

from __future__ import annotations

import click

from .connect import connect
from .serve import serve

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="hubbub", message="%(prog)s %(version)s")
def main() -> None:
    """A TCP broadcast server: what one client says, every other hears."""


main.add_command(serve)
main.add_command(connect)
