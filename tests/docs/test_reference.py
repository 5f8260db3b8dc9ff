"""The reference: what it has from the code is that of the code, and its examples print what stands below them."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import hubbub
from hubbub import EndingCode, FramingError
from hubbub.cli import main, places
from hubbub.cli.report import SAID_LIMIT, _as_json, _report_dropped
from hubbub.door import kinds

import docsite.reference as site
from docsite import hooks
from docsite.library import ROOT, undocumented
from support.programs import Peer, Program, hubbub_serve, require_program

LIBRARY = site.PYTHON_PAGES


def read(name: str) -> str:
    return (site.REFERENCE / f"{name}.md").read_text()


def blocks(page: str, language: str) -> list[str]:
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return found


def written(page: Path) -> str:
    """A page without what is made from the code."""
    return site._REGION.sub("", page.read_text())


def rows(text: str) -> list[list[str]]:
    """The cells of all tables in a text, row by row, but for their heads."""
    return [line.strip("|").split(" | ") for line in re.findall(r"^\| `.*\|$", text, re.MULTILINE)]


def names_in(cell: str) -> list[str]:
    return re.findall("`([^`]+)`", cell)


# What is made from the code.


@pytest.mark.parametrize("page", site.pages(), ids=lambda page: str(page.stem))
def test_the_generated_parts_are_those_of_the_code(page: Path) -> None:
    assert page.read_text() == site.rewritten(page.read_text()), "run `make docs`, and commit what it writes"


def test_each_option_is_on_the_pages() -> None:
    options = {option for command in main.commands.values() for each in site._options(command) for option in each.opts}
    pages = read("command-line") + read("settings")
    assert {option for option in options if f"`{option}" not in pages} == set()


def test_an_option_without_a_text_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    (readers,) = (option for option in main.commands["bench"].params if option.name == "readers")
    monkeypatch.setattr(readers, "help", None)
    with pytest.raises(site.UndocumentedError, match="the option --readers has no text"):
        site.rewritten(read("command-line"))


# The library.


def test_everything_public_has_a_docstring() -> None:
    assert list(undocumented()) == []


def test_each_public_name_has_one_entry() -> None:
    assert sorted(name for page in LIBRARY for name in site.entries(page)) == sorted(hubbub.__all__)


def test_a_signature_shows_the_values_of_its_defaults_and_the_types_of_its_arguments() -> None:
    shown = "".join(page.read_text() for page in LIBRARY)
    for name in ("run", "Server", "connect"):
        signature = shown.partition(f"```python\n{name}(\n")[2].partition("```")[0]
        assert "    port: int = 5000,\n" in signature
        assert "    framing: Framing[M] | None = None,\n" in signature
        assert "..." not in signature
        assert "Any" not in signature
    assert "    mode: int = 0o660,\n" in shown
    assert "- `peer: str`: " in shown


@pytest.mark.parametrize("page", LIBRARY, ids=lambda page: str(page.stem))
def test_each_public_name_is_in_an_example_of_its_page(page: Path) -> None:
    examples = "".join(blocks(written(page), "python"))
    assert [name for name in site.entries(page) if not re.search(rf"\bhubbub\.{name}\b", examples)] == []


@pytest.mark.parametrize("page", LIBRARY, ids=lambda page: str(page.stem))
def test_the_examples_print_what_stands_below_them(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = written(page)
    for script in blocks(text, "sh"):
        require_program("openssl")
        subprocess.run(["sh", "-ec", script], check=True, capture_output=True)
    examples = re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(examples) == len(blocks(text, "python"))
    for program, output in examples:
        if "hubbub.run(" in program:
            assert output_until_ctrl_c(program) == output
        else:
            exec(compile(program, str(page), "exec"), {"__name__": "__main__"})
            assert capsys.readouterr().out == output


def output_until_ctrl_c(program: str) -> str:
    """What a program prints that serves until Ctrl-C, which it is given after its first line."""
    with Program(sys.executable, "-c", program) as server:
        first = server.output.line()
        server.signal(signal.SIGINT)
        assert server.wait() == 0
        return (first + server.output.rest()).decode()


@pytest.mark.parametrize(
    ("opening", "titled"),
    [
        ("```console server 5000 5001", '```console title="server"'),
        ("```python examples/a.py my.py", '```python title="my.py"'),
        ("```toml hub.toml", '```toml title="hub.toml"'),
        ("```sh", "```sh"),
    ],
)
def test_a_block_has_its_file_or_terminal_as_its_title(opening: str, titled: str) -> None:
    assert hooks._TITLED_FENCE.sub(hooks._with_title, opening) == titled


# Endings.


def test_each_code_of_an_ending_is_there_with_whether_to_come_back() -> None:
    told = {code.strip("| `"): again.strip("| ") for code, *_, again in rows(read("endings").partition("## Errors")[0])}
    assert told == {str(code): "yes" if code.worth_retrying else "no" for code in EndingCode}


def test_each_error_of_a_framing_is_there_with_its_code() -> None:
    told = {names_in(error)[0]: names_in(code)[0] for error, code in rows(read("endings").partition("## Errors")[2])}
    errors = [error for name in hubbub.__all__ if isinstance(error := getattr(hubbub, name), type)]
    assert told == {error.__name__: error.code for error in errors if issubclass(error, FramingError)}


# Events.


def documented_events() -> dict[str, list[str]]:
    """The fields of each event, by the tables."""
    sections = re.split(r"^## ", read("events"), flags=re.MULTILINE)[1:]
    return {section.partition("\n")[0]: [names_in(row[0])[0] for row in rows(section)] for section in sections}


def test_the_examples_of_events_have_the_fields_of_the_tables() -> None:
    examples = [json.loads(example) for example in blocks(read("events"), "json")]
    assert {example.pop("event"): list(example) for example in examples} == documented_events()


@pytest.mark.long
def test_the_events_of_a_server_have_the_fields_of_the_tables() -> None:
    listen = ("--listen", "tcp://127.0.0.1:0", "--listen", "tcp://127.0.0.1:0?deny=127.0.0.1")
    with hubbub_serve("relay", "--log-format", "json", *listen) as server:
        denying = hubbub.Address.parse(json.loads(server.output.line())["address"])
        with Peer(denying) as refused:
            refused.rest()
        with server.peer() as peer:
            peer.send(b"Hey\n" * (SAID_LIMIT + 1))
            peer.end()
            peer.rest()
        server.signal(signal.SIGHUP)
        lines = [server.started.decode(), server.errors.line().decode(), *server.stop().splitlines()]
    # It would take seconds to fill an output that nobody reads.
    lines.append(_report_dropped(_as_json, 1, "the output was not read fast enough"))
    seen = {event.pop("event"): event for event in map(json.loads, lines)}
    assert {name: [field for field in event if field != "time"] for name, event in seen.items()} == documented_events()


def test_a_store_logs_the_messages_that_are_there_with_their_levels() -> None:
    told = re.findall(r"^- (\w+): `([^`]+)`", read("events"), re.MULTILINE)
    code = "".join(path.read_text() for path in (ROOT / "src" / "hubbub" / "stores").glob("*.py"))
    logged = re.findall(r'logger\.(info|warning|error)\(\s*"([^"]+)"', code)
    assert len(told) == len(logged)
    for level, message in told:
        pattern = re.escape(message.replace("PATH", "%s")).replace("…", ".*")
        assert any(level == one and re.fullmatch(pattern, text) for one, text in logged), message


# Places.


def test_each_key_of_a_place_is_there() -> None:
    told = [names_in(row[0]) for row in rows(read("settings").partition("| key of a place |")[2])]
    special = [key for kind in kinds.found() for key in kind.keys]
    keys = {example.partition("=")[0] for examples in told for example in examples}
    assert keys == {*places.COMMON_KEYS, *special}
    for example in (example for examples in told for example in examples):
        scheme = "unix:///hub.sock" if example.partition("=")[0] in special else "tcp://127.0.0.1:5000"
        assert places.parse(f"{scheme}?{example}").query


def test_each_form_of_a_place_is_there() -> None:
    table = read("settings").partition("| place |")[2].partition("| key of a place |")[0]
    assert {names_in(row[0])[0] for row in rows(table)} == {form for kind in kinds.found() for form in kind.forms}


# The site.


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Build the site there, with the command of `make docs`."""
    venv = Path(sys.executable).parent.parent
    steps = subprocess.run(["make", "-n", "docs", f"VENV={venv}"], cwd=ROOT, capture_output=True, text=True, check=True)
    (command,) = (step for step in steps.stdout.splitlines() if "mkdocs build" in step)
    return subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of what the site is built from."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in names.split("\0"):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.long
def test_the_site_takes_nothing_from_other_hosts(clone: Path) -> None:
    assert build(clone).returncode == 0
    pages = list((clone / "site").rglob("*.html"))
    assert len(pages) > 20
    loaded = re.compile(r'<(?:script|img|iframe|source)\b[^>]*\bsrc="(?:https?:)?//|<link\b[^>]*\bhref="(?:https?:)?//')
    assert [str(page) for page in pages if loaded.search(page.read_text())] == []
    # mkdocstrings has written the entries of the library, with the same signatures as on the page of a code host.
    (library,) = (page.read_text() for page in pages if page.name == "python-connect.html")
    text = re.sub(r"<[^>]*>|&#34;", "", library)
    assert "port: int = 5000" in text
    assert "DEFAULT_PORT" not in text
    assert "generated:" not in text


@pytest.mark.long
def test_the_site_is_not_built_with_a_fault(clone: Path) -> None:
    faults = {
        "[a page](nowhere.md)": "'nowhere.md'",
        "[a page](../NOWHERE.md)": "'../NOWHERE.md'",
        "[a heading](deploy.md#nowhere)": "'deploy.md#nowhere'",
        "text\n- no list": "a list needs an empty line",
        '```python "no language"\nprint()\n```': "as the beginning of code",
    }
    page = clone / "docs" / "performance.md"
    page.write_text("\n\n".join([page.read_text(), *faults]))
    (clone / "docs" / "forgotten.md").write_text("# In no navigation\n")
    result = build(clone)
    assert result.returncode != 0
    warnings = [line for line in result.stderr.splitlines() if line.startswith("WARNING")]
    assert [told for told in (*faults.values(), "forgotten.md") if told not in result.stderr] == []
    assert len(warnings) == len(faults) + 1
