"""`hubbub log --export`: the messages of all rooms as lines of JSON, in a file."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from . import stdio
from .failure import Failure, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def new_file(path: Path) -> Iterator[Callable[[bytes], None]]:
    """What writes a file that has its name only when it is whole. A file that is there is not overwritten.

    Raises:
        Failure: there is a file, or none can be made.
        Unreachable: it cannot be written.
    """
    if path.exists():
        raise _exists(path)
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=".part")
    except OSError as error:
        raise Failure(f"--export: cannot write {path}: {error.strerror}") from None
    try:
        # As the files of other programs are.
        mask = os.umask(0)
        os.umask(mask)
        os.fchmod(descriptor, 0o666 & ~mask)
        yield partial(stdio.write_now, descriptor)
        os.fsync(descriptor)
        _rename(Path(name), path)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise Unreachable(f"cannot write {path}: {error.strerror}") from None
    finally:
        os.close(descriptor)
        with suppress(FileNotFoundError):
            Path(name).unlink()


def _rename(path: Path, to: Path) -> None:
    """Give a file another name, which no file has.

    Raises:
        FileExistsError: one has it by now.
    """
    try:
        to.hardlink_to(path)
    except FileExistsError:
        raise
    except OSError:
        # Some file systems have no links.
        if to.exists():
            raise FileExistsError from None
        path.rename(to)


def _exists(path: Path) -> Failure:
    return Failure(f"--export: {path} is there already; choose another name, or remove it")
