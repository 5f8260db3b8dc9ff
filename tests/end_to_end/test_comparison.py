"""The bench that compares servers: it works, its figures exist, and its load finds out who cheats."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from hubbub import Address

from bench.catalogue import build_catalogue, make_certificate
from support.abuse_peers import TlsPeer
from support.certificates import make_certificates
from support.programs import HUBBUB, Finished, Program, finish, miss, require_program, serving_program
from support.web_programs import web_program

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
PIECE_SIZE = 64 * 1024
FOUND_OUT = re.compile(r" heard | comes | what was not said yet")
BENCH = (sys.executable, "-m", "bench", "--runs", "1", "--seconds", "0.2")


def require_compiler() -> str:
    """The path of a C compiler that finds what the load is made of; without it the test is skipped."""
    compiler = require_program("cc")
    look = subprocess.run([compiler, "-E", "-"], input=b"#include <openssl/ssl.h>", capture_output=True, check=False)
    return compiler if look.returncode == 0 else miss("libssl-dev")


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The load generator, compiled."""
    program = tmp_path_factory.mktemp("load") / "load"
    sources = (ROOT / "bench" / "load").glob("*.c")
    subprocess.run([require_compiler(), "-O1", "-o", program, *sources, "-lssl", "-lcrypto"], check=True)
    return str(program)


def run_bench(results: Path, *words: str, path: str | None = None) -> str:
    """What it says on standard error."""
    require_compiler()
    environment = {**os.environ, **({"PATH": path} if path else {})}
    done = subprocess.run(
        [*BENCH, *words, "--results", results], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def options(name: str, *values: str) -> list[str]:
    return [word for value in values for word in (name, value)]


def assert_measured(finished: Finished, figure: str = "deliveries_per_s") -> None:
    """See that the load found nothing wrong, and has a figure."""
    assert finished.status == 0, finished.errors
    assert json.loads(finished.output)[figure] > 0


def assert_found_out(finished: Finished) -> None:
    """See that the load says in one line what is wrong."""
    assert finished.status == 1, finished.errors
    assert len(finished.errors.splitlines()) == 1
    assert FOUND_OUT.search(finished.errors)


def peers_in(*modes: str) -> list[tuple[str, str]]:
    """Each server that is compared in these modes: its name, and the mode."""
    return [(peer.name, mode) for peer in build_catalogue(Path()) for mode in modes if mode in peer.commands]


def load_peer(load: str, scenario: str, name: str, mode: str, folder: Path, *words: str) -> Finished:
    """Load the server of that name, started in that mode, for a moment; `folder` has what it needs."""
    (peer,) = (one for one in build_catalogue(folder) if one.name == name)
    if peer.missing:
        pytest.skip(f"{peer.missing} is not installed")
    with peer.running(mode, os.sched_getaffinity(0)) as running:
        small = ("--readers", "5", "--seconds", "0.3")
        return finish(load, scenario, "--dialect", peer.dialect, *running.words, *small, *words)


# It measures 12 times, which takes half a minute on a quiet machine.
@pytest.mark.timeout(600)
def test_one_command_writes_figures_tables_and_plots(tmp_path: Path) -> None:
    peers = options("--peer", "hubbub", "the C limit", "asyncio streams")
    said = run_bench(tmp_path, *options("--scenario", "echo", "rooms", "connect"), *peers)
    assert "min left] Connection rate, 64 at a time: the C limit: " in said
    run_bench(tmp_path, *options("--scenario", "fan-out", "latency"), "--peer", "hubbub", "--add")
    report = json.loads((tmp_path / "results.json").read_text())
    assert {each["peer"] for each in report["measurements"]["echo"]} == {"hubbub", "asyncio streams"}
    measured = [each for scenario in report["measurements"].values() for each in scenario]
    assert {each["failure"] for each in measured} == {""}
    assert all(run["load_share"] > 0 and run["server_share"] > 0 for each in measured for run in each["runs"])
    tables = (tmp_path / "README.md").read_text()
    assert "| connect, 64 at a time: `connections_per_s` | at least 0.5 times Redis | not measured |" in tables
    assert re.search(
        r"\| echo, 64 connections: `answers_per_s` \| at least 1.3 times asyncio streams \| [\d.]+ \|", tables
    )
    plots = {plot.name: ET.parse(plot).getroot().tag for plot in tmp_path.glob("*.svg")}
    assert plots == dict.fromkeys(["fan-out.svg", "latency.svg", "connect.svg"], "{http://www.w3.org/2000/svg}svg")


def test_tables_and_plots_are_written_again_without_measuring(tmp_path: Path) -> None:
    committed = ROOT / "bench" / "results"
    (tmp_path / "results.json").write_bytes((committed / "results.json").read_bytes())
    done = finish(sys.executable, "-m", "bench", "--redraw", "--results", str(tmp_path), cwd=ROOT)
    assert (done.status, done.errors) == (0, "")
    assert (tmp_path / "README.md").read_text() == (committed / "README.md").read_text()
    assert {plot.name for plot in tmp_path.glob("*.svg")} == {plot.name for plot in committed.glob("*.svg")}


def test_each_server_has_a_colour_of_its_own(tmp_path: Path) -> None:
    from bench.plots import COLOURS  # noqa: PLC0415 (Matplotlib takes long, and each worker imports this file)

    assert list(COLOURS) == [peer.name for peer in build_catalogue(tmp_path)]
    for colours in zip(*COLOURS.values(), strict=True):
        assert len(set(colours)) == len(COLOURS)


def test_a_server_that_is_not_installed_is_left_out_with_a_line_that_says_so(tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("cc", "as", "ld"):
        (programs / name).symlink_to(require_program(name))
    peers = options("--peer", "hubbub", "NATS")
    said = run_bench(tmp_path, "--scenario", "connect", *peers, path=str(programs))
    assert "NATS is left out: nats-server is not installed\n" in said
    assert "Left out: NATS (nats-server not installed)." in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize(
    ("scenario", "app"),
    [
        ("broadcast", "relay"),
        ("chat", "relay"),
        *(("broadcast", f"broken_relays:{fault}") for fault in ("losing", "repeating", "swapping", "tearing")),
        # There, each client waits until its line is heard.
        *(("chat", f"broken_relays:{fault}") for fault in ("repeating", "tearing")),
        ("tls", "relay"),
        ("tls", "broken_relays:losing"),
    ],
)
def test_the_load_passes_an_honest_server_and_ends_with_one_line_where_it_is_not(
    scenario: str, app: str, load: str, tmp_path: Path
) -> None:
    command = [*HUBBUB, "serve", app, "--framing", "byte-lines", "--port", "0", "--quiet"]
    words = ["broadcast" if scenario == "tls" else scenario, "--readers", "20"]
    if scenario == "tls":
        certificates = make_certificates(tmp_path)
        command += ["--tls-cert", str(certificates.server), "--tls-key", str(certificates.server_key)]
        words += ["--tls", "1"]
    with serving_program(*command, cwd=ROOT / "tests" / "support") as server:
        words += ["--port", str(server.endpoint.port), "--server-pid", str(server.pid)]
        finished = finish(load, *words, "--seconds", "0.5" if app == "relay" else "5")
    if app == "relay":
        assert_measured(finished)
    else:
        assert_found_out(finished)


@pytest.mark.parametrize("app", ["relay", *(f"support.broken_relays:{each}" for each in ("losing", "repeating"))])
@pytest.mark.parametrize("dialect", ["raw stream", "events", "text frames"])
def test_the_load_sees_what_is_wrong_in_events_and_in_frames_too(dialect: str, app: str, load: str) -> None:
    folder = ROOT / "tests"
    with web_program("--framing=byte-lines", app=app, cwd=folder) as server:
        plain, web = server.ports
        words = ("--port", str(web), "--sender-port", str(plain), "--readers", "20", "--dialect", dialect)
        finished = finish(load, "broadcast", *words, "--seconds", "0.5" if app == "relay" else "5")
    if app == "relay":
        assert_measured(finished)
    else:
        assert_found_out(finished)


# nchan loses messages now and then at full speed, or stops. A measurement of it then fails and says so.
@pytest.mark.parametrize(
    ("name", "mode"), [each for each in peers_in("web", "body") if not each[0].startswith("nchan")]
)
def test_each_server_that_is_compared_over_http_passes_all_lines(
    name: str, mode: str, load: str, tmp_path: Path
) -> None:
    assert_measured(load_peer(load, "broadcast", name, mode, tmp_path))


@pytest.mark.parametrize(("name", "mode"), peers_in("post"))
def test_each_server_that_takes_posts_answers_them_all(name: str, mode: str, load: str, tmp_path: Path) -> None:
    assert_measured(load_peer(load, "post", name, mode, tmp_path), "answers_per_s")


@pytest.mark.parametrize(("name", "mode"), peers_in("tls"))
def test_each_server_that_is_compared_in_tls_passes_all_lines(name: str, mode: str, load: str, tmp_path: Path) -> None:
    make_certificate(tmp_path)
    assert_measured(load_peer(load, "broadcast", name, mode, tmp_path, "--tls", "1"))


@pytest.mark.parametrize(("name", "mode"), peers_in("store"))
def test_each_server_that_stores_passes_all_lines_to_all_readers(
    name: str, mode: str, load: str, tmp_path: Path
) -> None:
    assert_measured(load_peer(load, "broadcast", name, mode, tmp_path))


@pytest.mark.parametrize("fault", ["", "losing"])
@pytest.mark.parametrize("dialect", ["jetstream", "redis stream"])
def test_the_load_reads_streams_and_notices_a_message_that_is_lost(dialect: str, fault: str, load: str) -> None:
    command = (sys.executable, "tests/support/stream_servers.py", dialect, fault)
    with Program(*command, cwd=ROOT) as server:
        words = ("--port", server.output.line().decode(), "--readers", "5", "--seconds", "0.3")
        finished = finish(load, "broadcast", "--dialect", dialect, *words)
    if fault:
        assert_found_out(finished)
    else:
        assert_measured(finished)


@pytest.mark.timeout(120)
def test_a_store_is_measured_by_itself(tmp_path: Path) -> None:
    require_compiler()
    done = finish(sys.executable, "-m", "bench.store", "--runs", "1", "--scale", "0.01", cwd=ROOT)
    assert done.status == 0, done.errors
    rows = [line.split(" | ") for line in done.output.splitlines()[2:]]
    assert len(rows) == 7
    assert all(float(row[2].split()[0].replace(",", "")) > 0 for row in rows)


@pytest.mark.parametrize("transport", ["hubbub", "uvloop", "asyncio"])
def test_each_tls_transport_that_is_compared_passes_all_pieces(transport: str, tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    chain = tmp_path / "chain.pem"
    chain.write_bytes(certificates.server_key.read_bytes() + certificates.server.read_bytes())
    context = certificates.client_context()
    count = 5
    with (
        Program(sys.executable, "-m", "bench.tls.server", transport, str(chain), cwd=ROOT) as server,
        TlsPeer(endpoint := Address("127.0.0.1", int(server.output.line())), context) as reader,
        TlsPeer(endpoint, context) as sender,
    ):
        sender.send(b"go %d" % count)
        assert reader.exactly(count * PIECE_SIZE) == b"x" * count * PIECE_SIZE
