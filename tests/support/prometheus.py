"""Prometheus, which scrapes one server."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

from hubbub import Address

from support.programs import WAIT_TIME, Program, require_program

CONFIGURATION = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: hubbub
    authorization: {{credentials_file: {secret}}}
    static_configs: [{{targets: ["{target}"]}}]
"""

Query = Callable[[str], list[tuple[dict[str, str], float]]]
"""The results of a query: labels but for those of Prometheus itself, and the value."""


@contextmanager
def prometheus(directory: Path, target: Address, secret: Path) -> Iterator[Query]:
    """Prometheus, whose requests have the secret from that file."""
    configuration = directory / "prometheus.yml"
    configuration.write_text(CONFIGURATION.format(secret=secret, target=target))
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        address = Address.of(free.getsockname())
    command = (
        require_program("prometheus"),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={address}",
    )
    with Program(*command) as program:
        program.errors.expect(b"Server is ready to receive web requests")
        yield lambda query: _results(address, query)


def _results(address: Address, query: str) -> list[tuple[dict[str, str], float]]:
    # The test wrote the address.
    with urlopen(f"http://{address}/api/v1/query?query={quote(query)}", timeout=WAIT_TIME) as response:
        answer: Any = json.load(response)
    ours = {"__name__", "instance", "job"}
    return [
        ({name: value for name, value in one["metric"].items() if name not in ours}, float(one["value"][1]))
        for one in answer["data"]["result"]
    ]
