"""A server whose log is on a disk that is full for a while."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from support.programs import HUBBUB, ServerProgram, address_in, require_program, wait_until

SCRIPT = """
mount -t tmpfs -o size=16k tmpfs "$0" && cd "$0" && head -c 8000 /dev/zero > filler && exec "$@" > log
"""
"""Starts a program that logs to a tiny disk of its own, on which there is little room left."""


def test_lines_are_dropped_and_counted_while_the_disk_is_full_and_clients_do_not_notice(tmp_path: Path) -> None:
    own_disks = (require_program("unshare"), "--user", "--map-root-user", "--mount")
    if subprocess.run([*own_disks, "true"], check=False).returncode:
        pytest.skip("no namespace can be made")
    command = (*own_disks, "sh", "-c", SCRIPT, str(tmp_path), *HUBBUB, "serve", "relay", "--port=0", "--probe-time=0")
    with ServerProgram(*command) as server:
        log, filler = (Path(f"/proc/{server.pid}/root{tmp_path}", name) for name in ("log", "filler"))
        wait_until(lambda: log.exists() and log.read_bytes().endswith(b"\n"), "start")
        server.endpoint = address_in(log.read_bytes())
        with server.peer() as listener, server.peer() as speaker:
            wait_until(lambda: log.read_bytes().count(b" connected.\n") == 2, "connections")
            said = 0

            def logged_after(count: int) -> str:
                nonlocal said
                for _ in range(count):
                    said += 1
                    line = b"%06d\n" % said
                    speaker.send(line)
                    assert listener.line() == line
                return log.read_text()

            assert "said: 000500" not in logged_after(500)
            filler.unlink()
            wait_until(lambda: "dropped" in logged_after(1), "report")
            wait_until(lambda: f"said: {said:06}" in log.read_text(), "last line")
            whole = re.findall(r"^\S+ said: \d{6}$", log.read_text(), re.MULTILINE)
            dropped = re.findall(r"^(\d+) lines dropped: No space left on device\.$", log.read_text(), re.MULTILINE)
            assert len(whole) + sum(map(int, dropped)) == said
        server.stop()
