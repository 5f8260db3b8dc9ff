"""`python -m hubbub` is `hubbub`."""

from .cli import main

main(prog_name="hubbub")
