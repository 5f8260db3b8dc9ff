"""What is handed to operators: the example of a configuration, the units of systemd and the Dockerfile."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Sequence
from configparser import ConfigParser
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hubbub import Role, Settings
from hubbub.cli import main
from hubbub.cli.options import SETTINGS
from hubbub.cli.places import parse, parse_table

from support.certificates import make_certificates

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def read_unit(name: str) -> ConfigParser:
    """A unit of systemd; of a directive that occurs several times, the last."""
    unit = ConfigParser(strict=False, interpolation=None, comment_prefixes=("#",))
    # Names of directives are in mixed case.
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / name)
    return unit


def assert_is_accepted(command: Sequence[str]) -> None:
    """See that `hubbub` knows a command and its options, without running it."""
    name, *arguments = command
    parameters, _, _ = main.commands[name].make_parser(click.Context(main.commands[name])).parse_args(list(arguments))
    assert parameters.keys() <= {parameter.name for parameter in main.commands[name].params}


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """A directory with the files that the example names."""
    certificates = make_certificates(tmp_path)
    certificates.server.rename(tmp_path / "cert.pem")
    certificates.server_key.rename(tmp_path / "key.pem")
    certificates.client_ca.rename(tmp_path / "clients.pem")
    (tmp_path / "secret").write_text("open sesame\n")
    (tmp_path / "denied").write_text("198.51.100.0/24  # an example\n")
    return tmp_path


def place_in(etc: Path, text: str) -> Path:
    """The example, with its files where they are."""
    path = etc / "hubbub.toml"
    path.write_text(text.replace("/etc/hubbub", str(etc)))
    return path


def test_the_example_of_a_configuration_is_good(etc: Path) -> None:
    path = place_in(etc, (DEPLOY / "hubbub.toml").read_text())
    result = CliRunner().invoke(main, ["check", str(path)])
    assert result.output == f"{path} is good: relay on [::]:5443, /run/hubbub/hubbub.sock\n"


def test_what_is_commented_out_in_the_example_is_good_too(etc: Path) -> None:
    text = re.sub(r"^# (?=[a-z-]+ = )", "", (DEPLOY / "hubbub.toml").read_text(), flags=re.MULTILINE)
    result = CliRunner().invoke(main, ["check", str(place_in(etc, text))])
    assert result.exit_code == 0, result.output
    assert "\nclients-limit = 10_000" in text


def test_what_is_commented_out_as_a_default_is_the_default(etc: Path) -> None:
    serve = main.commands["serve"]
    examples = {"tls-client-ca", "allow", "deny", "proxy-from", "quiet", "store", "replay", "store-age"}
    for key, value in re.findall(r"^# ([a-z-]+) = (\S+)", (DEPLOY / "hubbub.toml").read_text(), re.MULTILINE):
        if key not in examples:
            (parameter,) = (one for one in serve.params if f"--{key}" in one.opts)
            assert parameter.name in SETTINGS
            context = click.Context(serve)
            converted = parameter.type.convert(value.strip('"').replace("_", ""), parameter, context)
            assert converted == parameter.type_cast_value(context, parameter.get_default(context)), key


@pytest.mark.parametrize(
    ("name", "sections"),
    [("hubbub.service", ["Unit", "Service", "Install"]), ("hubbub.socket", ["Unit", "Socket", "Install"])],
)
def test_a_unit_is_one_of_systemd(name: str, sections: list[str]) -> None:
    unit = read_unit(name)
    assert unit.sections() == sections
    assert all(re.fullmatch(r"[A-Z][A-Za-z0-9]+", directive) for section in sections for directive in unit[section])


def test_the_service_starts_a_command_that_hubbub_accepts() -> None:
    program, *command = shlex.split(read_unit("hubbub.service")["Service"]["ExecStart"])
    assert Path(program).name == "hubbub"
    assert_is_accepted(command)


def test_the_service_has_time_to_drain_and_descriptors_for_its_clients() -> None:
    service, defaults = read_unit("hubbub.service")["Service"], Settings()
    assert int(service["TimeoutStopSec"]) > defaults.drain_time + 2 * defaults.cancel_time + defaults.store_patience
    assert defaults.clients_limit is not None
    assert int(service["LimitNOFILE"]) > defaults.clients_limit


def test_the_service_and_the_example_agree_on_where_things_are() -> None:
    service = read_unit("hubbub.service")["Service"]
    assert f"unix:///run/{service['RuntimeDirectory']}/" in (DEPLOY / "hubbub.toml").read_text()
    assert service["ExecStart"].endswith(" /etc/hubbub/hubbub.toml")


def test_the_socket_has_the_backlog_of_the_server() -> None:
    assert int(read_unit("hubbub.socket")["Socket"]["Backlog"]) == Settings().backlog


def test_what_the_image_runs_hubbub_accepts() -> None:
    text = (ROOT / "Dockerfile").read_text()
    instructions: dict[str, str] = dict(re.findall(r"^(ENTRYPOINT|CMD|STOPSIGNAL|USER) (.*)$", text, re.MULTILINE))
    entrypoint: list[str] = json.loads(instructions["ENTRYPOINT"])
    assert entrypoint == ["hubbub"]
    assert_is_accepted(json.loads(instructions["CMD"]))
    assert instructions["STOPSIGNAL"] == "SIGTERM"
    assert not instructions["USER"].startswith(("0", "root"))


def test_the_image_is_built_from_files_that_there_are() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert all((ROOT / name).exists() for name in kept)
    # What `pip install` needs of them.
    assert {"src", "pyproject.toml", "README.md", "LICENSE"} <= set(kept)


def names_in_table(heading: str) -> set[str]:
    """What the first columns of the tables below a heading of the operators' page name."""
    page = (ROOT / "docs" / "deploy.md").read_text()
    section = re.split(r"^##+ ", page.partition(f"{heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    columns: list[str] = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    return {name for column in columns for name in re.findall("`([^`]+)`", column)}


def test_the_limits_of_the_operators_page_are_settings() -> None:
    named = {name.replace("-", "_") for name in names_in_table("## Limits")}
    # The text of a notice is no limit.
    assert named == SETTINGS.keys() - {"notice"}


PLACES = (ROOT / "docs" / "how-to" / "places.md").read_text()


@pytest.mark.parametrize("place", re.findall(r"(?:tcp|tls|unix|fd)://[^\s`'\"]+", PLACES))
def test_the_places_of_the_page_about_them_are_places(place: str) -> None:
    assert parse(place).text == place


def test_the_files_of_the_page_about_places_are_valid() -> None:
    for example in re.findall(r"^```toml\n(.*?)^```", PLACES, re.MULTILINE | re.DOTALL):
        for place in tomllib.loads(example)["listen"]:
            listen = parse_table(place) if isinstance(place, dict) else parse(place)
            assert listen.attributes["role"] in (Role.WRITE, Role.READ)
