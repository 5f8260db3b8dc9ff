"""The public names: those of `hubbub`, and nothing else."""

from __future__ import annotations

from types import ModuleType

import hubbub


def test_the_package_shows_its_public_names_and_no_modules() -> None:
    assert dir(hubbub) == sorted(hubbub.__all__)
    assert not [name for name in dir(hubbub) if isinstance(getattr(hubbub, name), ModuleType)]
