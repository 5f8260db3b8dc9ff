"""A broadcast server as one writes it with Twisted's LineReceiver: `PORT relay|echo`.

What a client has not taken yet, its transport keeps, without a bound: nobody is paused.
"""

from __future__ import annotations

import resource
import sys

from twisted.internet import reactor
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

clients: set[Lines] = set()


class Lines(LineReceiver):
    delimiter = b"\n"
    MAX_LENGTH = 65536

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)  # type: ignore[union-attr]  # Twisted has few types
        clients.add(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        clients.discard(self)


class Relay(Lines):
    def lineReceived(self, line: bytes) -> None:
        for client in clients:
            if client is not self:
                client.sendLine(line)  # type: ignore[no-untyped-call]  # Twisted has few types


class Echo(Lines):
    def lineReceived(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip("\r")
        self.sendLine(f"We got your message: {text}".encode())  # type: ignore[no-untyped-call]  # Twisted has few types


if __name__ == "__main__":
    _, port, mode = sys.argv
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    factory = Factory.forProtocol({"relay": Relay, "echo": Echo}[mode])
    # Twisted has few types.
    reactor.listenTCP(int(port), factory, backlog=4096, interface="127.0.0.1")  # type: ignore[arg-type, misc]
    reactor.run()  # type: ignore[misc]  # Twisted has few types
