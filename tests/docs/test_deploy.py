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

import hubbub
from hubbub import Address, Role, Settings
from hubbub.apps.relay import relay
from hubbub.cli import main
from hubbub.cli.options import SETTINGS
from hubbub.cli.places import parse, parse_table

from support.certificates import make_certificates
from support.programs import finish, require_program
from support.web import answer, requesting

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


# Prometheus and Grafana.


def expressions() -> dict[str, list[str]]:
    """The queries of the alert rules and of the dashboard, by their file."""
    rules = re.findall(r"^ +expr: (.+)$", (DEPLOY / "alerts.yml").read_text(), re.MULTILINE)
    panels = json.loads((DEPLOY / "grafana.json").read_text())["panels"]
    return {"alerts.yml": rules, "grafana.json": [target["expr"] for panel in panels for target in panel["targets"]]}


async def test_alerts_the_dashboard_and_the_page_about_watching_name_the_metrics_that_there_are(tmp_path: Path) -> None:
    async with (
        hubbub.Server(
            relay,
            listeners=[hubbub.Listener(endpoint=Address("127.0.0.1", 0), http=hubbub.Http())],
            store=hubbub.SqliteStore(tmp_path / "feed.db"),
        ) as server,
        requesting(server, "GET /metrics", place=0) as peer,
    ):
        page = (await peer.exactly(int((await answer(peer)).headers["Content-Length"]))).decode()
    families = set(re.findall(r"^# TYPE (\S+)", page, re.MULTILINE))
    samples = set(re.findall(r"^(hubbub_\w+)", page, re.MULTILINE)) | {"hubbub_connections"}
    for file, queries in expressions().items():
        assert queries
        for query in queries:
            assert set(re.findall(r"hubbub_\w+", query)) <= samples, (file, query)
    documented = set(
        re.findall(
            r"`(hubbub_\w+)",
            (ROOT / "docs" / "topics" / "watching.md").read_text().partition("| metric |")[2].partition("\n\n")[0],
        )
    )
    assert documented == {name for name in families if not name.endswith(("_gcount", "_gsum"))}


@pytest.mark.real
def test_promtool_finds_nothing_wrong_with_the_alerts_and_the_dashboard(tmp_path: Path) -> None:
    promtool = require_program("promtool")
    alerts = finish(promtool, "check", "rules", str(DEPLOY / "alerts.yml"))
    assert alerts.status == 0, alerts
    # What the dashboard asks, as rules: JSON is YAML.
    queries = [query.replace("$__rate_interval", "5m") for query in expressions()["grafana.json"]]
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    dashboard = finish(promtool, "check", "rules", str(tmp_path / "rules.yml"))
    assert dashboard.status == 0, dashboard


@pytest.mark.real
def test_each_alert_is_given_when_it_should_be(tmp_path: Path) -> None:
    promtool = require_program("promtool")
    # What each alert looks at: in a server that is in trouble, and in one that is well.
    series = {
        'up{job="hubbub"}': ("0x20", "1x20"),
        "hubbub_ready": ("0x20", "1x20"),
        "hubbub_store_out": ("1x20", "0x20"),
        'hubbub_connections_ended_total{code="slow"}': ("0+1x20", "7x20"),
        'hubbub_connections{via="tcp"}': ("900x20", "800x20"),
        'hubbub_connections{via="ws"}': ("50x20", "50x20"),
        "hubbub_connections_limit": ("1000x20", "1000x20"),
        'hubbub_room_messages_total{room="root"}': ("7x20", "0+1x20"),
    }
    alerts = re.findall(r"- alert: (\w+)", (DEPLOY / "alerts.yml").read_text())
    tests = []
    for server, count in (0, 1), (1, 0):
        expected = [
            {
                "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)',
                "eval_time": "15m",
                "exp_samples": [{"labels": "{}", "value": count}],
            }
            for name in alerts
        ]
        inputs = [{"series": name, "values": values[server]} for name, values in series.items()]
        tests.append({"interval": "1m", "input_series": inputs, "promql_expr_test": expected})
    (tmp_path / "tests.yml").write_text(json.dumps({"rule_files": [str(DEPLOY / "alerts.yml")], "tests": tests}))
    tested = finish(promtool, "test", "rules", str(tmp_path / "tests.yml"))
    assert tested.status == 0, tested


@pytest.mark.real
def test_the_configuration_of_prometheus_on_the_operators_page_is_valid(tmp_path: Path) -> None:
    (example,) = re.findall(
        r"^```yaml\n(scrape_configs:.*?)^```", (ROOT / "docs" / "deploy.md").read_text(), re.MULTILINE | re.DOTALL
    )
    (tmp_path / "hubbub-secret").write_text("secret")
    (tmp_path / "hubbub-alerts.yml").write_text((DEPLOY / "alerts.yml").read_text())
    (tmp_path / "prometheus.yml").write_text(example.replace("/etc/prometheus", str(tmp_path)))
    checked = finish(require_program("promtool"), "check", "config", str(tmp_path / "prometheus.yml"))
    assert checked.status == 0, checked
