"""What the tests of the commands have at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.certificates import Certificates, make_certificates
from support.keys import write_keys


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path)


@pytest.fixture
def directory(tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with files that options may name; none of hubbub's variables is set."""
    for name in [name for name in os.environ if name.startswith("HUBBUB_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    Path("secret").write_text("open sesame\n")
    write_keys(Path("keys.toml"), boat="read write")
    Path("networks").write_text("198.51.100.0/24\n")
    Path("empty").touch()
    return tmp_path
