"""Variables of the environment: those that a platform sets, and those that are empty."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hubbub.cli import environment, main
from hubbub.cli.serve import serve

from support.programs import HUBBUB, finish, hubbub_serve, serving_program

OTHERS = {
    "HUBBUB_PORT_5000_TCP": "tcp://10.96.14.3:5000",
    "HUBBUB_PORT_5000_TCP_ADDR": "10.96.14.3",
    "HUBBUB_PORT_5000_TCP_PORT": "5000",
    "HUBBUB_PORT_5000_TCP_PROTO": "tcp",
    "HUBBUB_PORT_5001_UDP": "udp://10.96.14.3:5001",
    "HUBBUB_SERVICE_HOST": "10.96.14.3",
    "HUBBUB_SERVICE_PORT": "5000",
    "HUBBUB_SERVICE_PORT_LINES": "5000",
}
Variables = Callable[[dict[str, str]], None]

KUBERNETES = {"HUBBUB_PORT": "tcp://10.96.14.3:5000", **OTHERS}
"""What Kubernetes sets in each container for a Service named hubbub."""


def ignored(names: dict[str, str]) -> str:
    return (
        f"variables of a Service named hubbub are ignored: {', '.join(sorted(names))}; "
        "in Kubernetes, enableServiceLinks: false for the pod removes them"
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration file with a port, which a variable would beat."""
    path = tmp_path / "hubbub.toml"
    path.write_text("port = 0\n")
    return path


def test_a_server_starts_in_a_pod_beside_a_service_named_hubbub(file: Path) -> None:
    with serving_program(*HUBBUB, "serve", "--config", str(file), env=KUBERNETES) as server:
        assert server.endpoint.host == "127.0.0.1"
        assert server.errors.line().decode() == f"{ignored(KUBERNETES)}\n"
        with server.new_peer() as peer:
            finished = finish(*HUBBUB, "connect", str(server.endpoint), input=b"Hey\n", env=KUBERNETES)
            assert (finished.status, finished.errors) == (0, f"hubbub: {ignored(KUBERNETES)}\n")
            assert peer.line().endswith(b" connected.\n")
    assert finish(*HUBBUB, "check", str(file), env=KUBERNETES).output.endswith(" is good: chat on 127.0.0.1:0\n")


@pytest.fixture
def variables(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Variables:
    """Sets variables; none of hubbub's is set before."""

    def set_all(values: dict[str, str]) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return set_all


def param(name: str, *arguments: str) -> Any:
    """What `hubbub serve` makes of an option."""
    with serve.make_context("serve", list(arguments)) as context:
        return context.params[name]


def test_a_port_that_the_user_sets_counts_beside_variables_of_the_platform(variables: Variables) -> None:
    assert environment.warning() is None
    variables({**OTHERS, "HUBBUB_PORT": "7000"})
    assert param("port") == 7000
    assert environment.warning() == ignored(OTHERS)


def test_connect_goes_to_the_default_port_where_the_platform_has_set_another(variables: Variables) -> None:
    variables(KUBERNETES)
    with main.commands["connect"].make_context("connect", []) as context:
        assert context.params["target"].address == ("127.0.0.1", 5000)


def test_a_port_that_is_neither_a_number_nor_the_platforms_is_an_error(variables: Variables) -> None:
    variables({"HUBBUB_PORT": "10.96.14.3:5000", "HUBBUB_PORT_NUMBER": "1"})
    result = CliRunner().invoke(main, ["serve"])
    assert result.exit_code == 2
    assert "'10.96.14.3:5000' is not" in result.stderr
    assert environment.warning() is None


@pytest.mark.parametrize(
    ("name", "meaning"),
    [("host", ""), ("farewell", None), ("notice", None), ("port", 5000), ("secret_file", None), ("allow", ())],
)
def test_an_empty_variable_means_what_an_empty_option_means_or_nothing(
    variables: Variables, name: str, meaning: object
) -> None:
    variables({f"HUBBUB_{name.upper()}": ""})
    assert param(name) == meaning


def test_an_empty_host_in_a_variable_is_all_of_this_machine() -> None:
    with hubbub_serve(env={"HUBBUB_HOST": ""}) as server:
        assert server.endpoint.host == "0.0.0.0"
