"""Abuse 14: the certificate is replaced while the server is busy."""

from __future__ import annotations

import re
import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from shutil import copyfile

import pytest
from cryptography.x509 import load_pem_x509_certificate

from support.abuse_peers import TlsPeer
from support.abuse_tools import LIFTED, Meanwhile, endings
from support.certificates import make_certificates
from support.figures import note, scaled
from support.programs import WAIT_TIME, hubbub_serve, wait_until

ROTATIONS = scaled(50, 6)
READERS = scaled(20, 4)
BATCH = 200
WINDOW = 20 * BATCH
"""How far the sender is ahead of the slowest reader, in lines: the certificate changes while many are on their way."""


class NumberedReader:
    """Reads numbered lines to the end of the stream, in a thread of its own; each must come, once and in order.

    It tells how many have come (`count`), and the first that was `wrong`.
    """

    def __init__(self, peer: TlsPeer) -> None:
        self.count = 0
        self.wrong: bytes | None = None
        self._first: int | None = None
        self._peer = peer
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def next(self) -> int:
        """The number of the line that is to come next, once there was one."""
        return (self._first or 0) + self.count

    def join(self) -> None:
        self._thread.join(WAIT_TIME)
        assert not self._thread.is_alive(), "a reader does not hear the end"

    def _run(self) -> None:
        while line := self._peer.line():
            if line == b"server is closing\n":
                continue
            if self._first is None:
                # Who comes later hears from there on.
                self._first = int(line)
            if line != b"%d\n" % self.next:
                self.wrong = self.wrong or line
            self.count += 1


class Feed(Meanwhile):
    """Says numbered lines, some ahead of the slowest of its readers, who have heard the last when it is left."""

    def __init__(self, sender: TlsPeer, readers: list[NumberedReader]) -> None:
        super().__init__()
        self.readers = readers
        self.said = 0
        self._sender = sender

    def __exit__(self, *details: object) -> None:
        super().__exit__(*details)
        wait_until(lambda: self._ahead == 0, "reader that has heard all")

    @property
    def _ahead(self) -> int:
        return self.said - min(reader.next for reader in self.readers)

    def step(self) -> None:
        self._sender.send(b"".join([b"%d\n" % number for number in range(self.said, self.said + BATCH)]))
        self.said += BATCH
        wait_until(lambda: self._ahead < WINDOW, "reader that keeps up")


@pytest.mark.long
def test_14_a_certificate_replaced_under_load_is_shown_to_newcomers_and_costs_nobody_a_line(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    context = certificates.client_context()
    certificate, key = tmp_path / "current.pem", tmp_path / "current-key.pem"
    pairs = [(certificates.server, certificates.server_key), (certificates.other, certificates.other_key)]
    serial_numbers = [load_pem_x509_certificate(path.read_bytes()).serial_number for path, _ in pairs]
    assert len(set(serial_numbers)) == 2

    def put(pair: tuple[Path, Path]) -> None:
        for source, target in zip(pair, (certificate, key), strict=True):
            copyfile(source, tmp_path / "new")
            (tmp_path / "new").replace(target)

    put(pairs[0])
    with (
        hubbub_serve("relay", f"--tls-cert={certificate}", f"--tls-key={key}", *LIFTED) as server,
        ExitStack() as stack,
    ):

        def come() -> TlsPeer:
            return server.inside(stack.enter_context(TlsPeer(server.endpoint, context)))

        with Feed(come(), [NumberedReader(come()) for _ in range(READERS)]) as feed:
            for rotation in range(1, ROTATIONS + 1):
                before = feed.said
                put(pairs[rotation % 2])
                server.signal(signal.SIGHUP)
                server.errors.expect(rb"the certificate of %s has changed\n" % re.escape(str(certificate).encode()))
                newcomer = come()
                assert newcomer.serial_number == serial_numbers[rotation % 2]
                reader = NumberedReader(newcomer)
                wait_until(lambda: reader.count > 0, "line for a newcomer")  # noqa: B023 (it is called here)
                feed.readers.append(reader)
                assert feed.said > before
            # What is not good changes nothing.
            certificate.write_bytes(b"no certificate")
            server.signal(signal.SIGHUP)
            server.errors.expect(rb" has no certificate in [^\n]*; what was read before holds\n")
            assert come().serial_number == serial_numbers[ROTATIONS % 2]
        assert endings(server) == {}
        server.stop()
        for reader in feed.readers:
            reader.join()
        wrong = [reader.wrong for reader in feed.readers if reader.wrong is not None]
        lines = sum(reader.count for reader in feed.readers)
        note(14, f"{ROTATIONS} certificates under load: connections that ended", 0, 0)
        note(14, f"{ROTATIONS} certificates under load: lines wrong, of {lines:,} heard", len(wrong), 0)
        note(14, f"{ROTATIONS} certificates under load: newcomers that were shown the new one", ROTATIONS, ROTATIONS)
        assert not wrong
