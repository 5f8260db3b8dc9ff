"""`hubbub bench`: its options, what it prints, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

import hubbub
from hubbub import Address
from hubbub.cli import main
from hubbub.cli.bench import _run
from hubbub.load.load import Load, LoadFailure
from hubbub.load.plan import Plan

from bench.peer import free_port
from support.helpers import serving
from support.programs import (
    HUBBUB,
    Finished,
    Program,
    TerminalProgram,
    finish,
    hubbub_serve,
    refuses,
    require_program,
    wait_until,
)

BENCH = (*HUBBUB, "bench")
SHORT = ("--readers", "3", "--time", "0.2")
PACED = (*SHORT, "--rate", "100")

ALL_IS_WELL = "every line arrived, whole and in order"


@pytest.fixture(scope="module")
def relay() -> Iterator[str]:
    """A server that delivers every line."""
    with hubbub_serve("relay", "--quiet") as server:
        yield str(server.endpoint)


def run(*arguments: str, through: Sequence[str] = (), env: Mapping[str, str] | None = None) -> str:
    """What a run prints that succeeds."""
    finished = finish(*through, *BENCH, *arguments, env=env)
    assert (finished.status, finished.errors) == (0, "")
    return finished.output


def test_it_prints_figures_and_nothing_else_and_draws_a_plot(relay: str, tmp_path: Path) -> None:
    path = tmp_path / "plot.svg"
    plan, messages, deliveries, *_, latency, verdict = run(relay, *PACED, "--plot", str(path)).splitlines()
    assert plan.startswith("3 readers, 1 sender, lines of 100 bytes, 100 a second, 0.")
    assert messages.split()[:2] == ["messages", "20"]
    assert deliveries.split()[:2] == ["deliveries", "60"]
    assert latency.startswith("latency to the last reader: p50 ")
    assert verdict == ALL_IS_WELL
    assert "Latency to the last reader: 3 readers, 1 sender" in path.read_text()


def test_at_full_speed_there_is_throughput_and_no_latency(relay: str) -> None:
    latency = "latency: at full speed it only tells how long the queues are; give a --rate"
    *lines, verdict = run(relay, *SHORT).splitlines()
    # It may also say that the load itself was the limit.
    assert latency in lines
    assert verdict == ALL_IS_WELL


OPTIONS = {"readers": 2, "senders": 3, "size": 200, "rate": 100, "time": 0.2}


@pytest.mark.parametrize("by_variables", [False, True])
def test_each_option_and_each_variable_takes_effect(by_variables: bool, relay: str) -> None:
    if by_variables:
        variables = {f"HUBBUB_BENCH_{name.upper()}": str(value) for name, value in OPTIONS.items()}
        figures = json.loads(run(relay, env={**variables, "HUBBUB_BENCH_JSON": "1"}))
    else:
        figures = json.loads(run(relay, *[f"--{name}={value}" for name, value in OPTIONS.items()], "--json"))
    assert figures["plan"] == {**OPTIONS, "patience": 10.0}
    assert (figures["messages"], figures["deliveries"], figures["bytes"]) == (20, 40, 8_000)
    assert figures["problem"] is None


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--readers", "0"], "hubbub: --readers: "),
        (["--senders", "10000"], "hubbub: --senders: "),
        (["--rate", "0"], "hubbub: --rate: "),
        (["--size", "many"], "hubbub: --size: "),
        (["--size", "39"], "hubbub: size is 39; it must be 40 to 1048576 bytes"),
        (["--time", "2d"], "hubbub: time is 172800; it must be more than 0 and at most 86400 seconds"),
        (["--plot", "a.svg"], "hubbub: --plot draws the latency, which is measured only at a rate; add --rate"),
        (["--rate", "1", "--plot", "a.png"], "hubbub: --plot writes SVG only; name the file a.svg"),
        (["--rate", "1", "--plot", "no/a.svg"], "hubbub: there is no directory no; choose another file for --plot"),
    ],
)
def test_what_cannot_be_asked_is_said_with_status_2(options: list[str], error: str) -> None:
    result = CliRunner().invoke(main, ["bench", "1", *options])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1].startswith(error)


@pytest.mark.long
def test_a_plot_that_cannot_be_written_comes_behind_the_figures(relay: str, tmp_path: Path) -> None:
    path = tmp_path / f"{'x' * 300}.svg"
    finished = finish(*BENCH, relay, *PACED, "--plot", str(path))
    assert (finished.status, finished.errors) == (2, f"hubbub: cannot write {path}: File name too long\n")
    assert finished.output.endswith(f"{ALL_IS_WELL}\n")


def test_without_its_library_a_plot_is_refused_before_the_load(tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ModuleNotFoundError(\"No module named 'matplotlib'\")")
    # Nobody listens there.
    finished = finish(*BENCH, "1", *PACED, "--plot", "a.svg", env={"PYTHONPATH": str(tmp_path)}, cwd=tmp_path)
    message = "hubbub: --plot needs matplotlib; install it with: pip install matplotlib\n"
    assert finished == Finished(status=2, output="", errors=message)


def test_a_refused_connection_is_one_line_and_status_1() -> None:
    port = free_port()
    message = f"hubbub: cannot talk to 127.0.0.1:{port}: Connection refused\n"
    assert finish(*BENCH, str(port)) == Finished(status=1, output="", errors=message)


def test_a_reader_that_is_refused_is_told_why_also_as_json() -> None:
    with hubbub_serve("relay", "--clients-limit", "2") as server:
        finished = finish(*BENCH, str(server.endpoint), *SHORT, "--json")
        why = "has ended (full: server full: limit of 2 clients reached)\n"
        assert finished.status == 1
        # All connect at once, the sender too.
        who = (*(f"reader {number} of 3" for number in (1, 2, 3)), "sender 1 of 1")
        assert finished.errors in [f"hubbub: {one}: the connection to {server.endpoint} {why}" for one in who]
        told = json.loads(finished.output)
        assert (told["plan"]["readers"], told["problem"]) == (3, finished.errors.removeprefix("hubbub: ").rstrip())


def test_a_server_that_speaks_no_tls_is_told() -> None:
    with hubbub_serve("relay") as server:
        reason = "the TLS handshake failed: what the server sent is not TLS"
        message = f"hubbub: cannot talk to {server.endpoint}: {reason}\n"
        assert finish(*BENCH, f"tls://{server.endpoint}", "--readers", "1") == Finished(1, "", message)


def test_a_server_that_ends_connections_is_one_line_and_status_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        endpoint = Address.of(listening.getsockname())
        with Program(*BENCH, str(endpoint), "--readers", "1") as program:
            connections = [listening.accept()[0] for _ in range(2)]
            for connection in connections:
                connection.close()
            assert program.wait() == 1
            errors = program.errors.rest().decode()
    assert f"1 of 1: the connection to {endpoint} has ended (" in errors
    assert errors.startswith("hubbub: ")
    assert errors.count("\n") == 1


@pytest.mark.long
def test_a_faulty_run_has_status_1() -> None:
    """A reader's lines are lost; the last one is not, so that the run ends by itself."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        endpoint = Address.of(listening.getsockname())
        with Program(*BENCH, str(endpoint), "--readers", "1", "--rate", "100", "--time", "0.2") as program:
            reader, sender = (listening.accept()[0] for _ in range(2))
            with reader, sender, sender.makefile("rb") as lines:
                for line in lines:
                    if b" 000000000007 " not in line:
                        reader.sendall(line)
                    if b" 000000000019 " in line:
                        break
                assert program.wait() == 1
            assert program.output.rest().decode().endswith("of the deliveries, 1 never came\n")
            assert program.errors.rest() == b""


def test_ctrl_c_ends_it_with_what_was_measured() -> None:
    with (
        hubbub_serve("relay") as server,
        Program(*BENCH, str(server.endpoint), "--time", "600", "--rate", "100") as program,
    ):
        server.output.expect(rb"said: bench-\w+ 0000 000000000005 ")
        program.signal(signal.SIGINT)
        assert program.wait() == 130
        assert program.output.rest().startswith(b"10 readers, 1 sender, lines of 100 bytes, 100 a second, ")
        assert program.errors.rest() == b""


def test_ctrl_c_before_the_start_prints_nothing() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        Program(*BENCH, str(Address.of(listening.getsockname()))) as program,
        listening.accept()[0],
    ):
        program.signal(signal.SIGINT)
        assert program.wait() == 130
        assert program.output.rest() == program.errors.rest() == b""


def test_on_a_terminal_progress_is_shown(relay: str) -> None:
    for options, shown in (((), b" deliveries/s"), (("--rate", "100"), rb" deliveries/s, latency [\d.]+ ms")):
        with TerminalProgram(*BENCH, relay, "--readers", "2", "--time", "600", *options) as terminal:
            terminal.output.expect(b"connecting")
            terminal.output.expect(shown)
            terminal.signal(signal.SIGINT)
            assert terminal.wait() == 130


async def test_there_is_no_progress_before_the_start() -> None:
    async def listen(client: hubbub.Client) -> None:
        await client.wait_closed()

    async with serving(listen) as (server, _):
        load = Load(server.addresses[0], Plan(patience=0.6))
        with pytest.raises(LoadFailure, match=r"reader 1 of 10 heard nothing within 0\.6 s"):
            await _run(load)
        assert load.elapsed is None


def test_the_limit_of_open_files_is_raised_where_it_may_be_and_else_that_is_said(relay: str) -> None:
    script = 'ulimit -{kind}n 80; exec "$0" "$@"'
    run(relay, "--readers", "60", "--time", "0.1", "--rate", "100", through=("sh", "-c", script.format(kind="S")))
    finished = finish("sh", "-c", script.format(kind=""), *BENCH, relay, "--readers", "60")
    message = "hubbub: 125 open files are needed, but only 80 are allowed; raise the limit (ulimit -Hn 125)\n"
    assert finished == Finished(status=2, output="", errors=message)


@pytest.mark.real
@pytest.mark.long
def test_it_works_against_ncat() -> None:
    endpoint = Address("127.0.0.1", free_port())
    with Program(require_program("ncat"), "--broker", "-l", endpoint.host, str(endpoint.port)):
        wait_until(lambda: not refuses(endpoint), "start of ncat")
        for options in (SHORT, PACED):
            assert run(str(endpoint), *options).endswith(f"{ALL_IS_WELL}\n")
        # It serves no more than 100 at a time. The others it ends; or it takes them, and some hear nothing.
        finished = finish(*BENCH, str(endpoint), "--readers", "120")
        assert (finished.status, finished.output) == (1, "")
        outcomes = rf"the connection to {endpoint} has ended \(|heard nothing within 10 s: "
        assert re.match(rf"hubbub: reader \d+ of 120:? ({outcomes}).*\n\Z", finished.errors)
