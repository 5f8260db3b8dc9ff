"""The layers of the package: no import points upwards, none goes in a circle, and the core stays small."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import hubbub

from support.imports import Import, Package

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"values"}),
    frozenset({"framing"}),
    frozenset({"log"}),
    frozenset({"wire"}),
    frozenset({"hub", "client", "stores"}),
    frozenset({"door", "sources"}),
    frozenset({"web"}),
    frozenset({"server"}),
    # The package itself, which is its public names.
    frozenset({"__init__"}),
    frozenset({"apps", "load"}),
    frozenset({"cli"}),
    frozenset({"__main__"}),
)
"""The folders and files below the package, from the lowest layer up. One may import those of lower layers, and itself;
not its neighbours in the same layer. An import for type checkers only is an import."""

CORE = (
    "log.chunk",
    "log.log",
    "log.cursor",
    "log.outbox",
    "log.rendering",
    "framing.base",
    "framing.lines",
    "hub.fan_out",
    "hub.room",
    "hub.reader",
)
"""What has to be read to understand how a message travels."""

CORE_LIMIT = 2000
"""Lines of the core together. The aim is 1,500, an hour's reading; this holds what is reached."""

FILE_LIMIT = 350
"""Lines of any one file."""

PACKAGE = Package.at(Path(hubbub.__file__).parent)


def layer_of(package: Package, module: str) -> str:
    """The folder of a module, or the file, where it lies in the package itself."""
    below = module.removeprefix(package.root.name).removeprefix(".")
    return below.partition(".")[0] or "__init__"


def own_imports(package: Package, module: str) -> Iterator[Import]:
    """The imports of a module that stay within the package."""
    name = package.root.name
    return (each for each in package.imports_of(module) if each.module == name or each.module.startswith(f"{name}."))


def unplaced(package: Package) -> list[str]:
    """The folders and files that are in no layer."""
    return sorted({layer_of(package, module) for module in package.modules} - frozenset().union(*LAYERS))


def wrong_imports(package: Package) -> list[str]:
    """The imports that point upwards or sideways, each as a line to read."""
    # A stray file is another test's matter.
    heights = {name: height for height, names in enumerate(LAYERS) for name in names}
    found: list[str] = []
    for module, path in package.modules.items():
        here = layer_of(package, module)
        for each in own_imports(package, module):
            there = layer_of(package, each.module)
            if here in heights and here != there and heights.get(there, -1) >= heights[here]:
                direction = "sideways" if heights[there] == heights[here] else "upwards"
                found.append(f"{path.relative_to(package.root)}:{each.line}: {direction}, to {each.module}")
    return found


def circle(package: Package) -> list[str]:
    """The modules of a circle of imports, if there is one."""
    imports = {module: {each.module for each in own_imports(package, module)} for module in package.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return sorted(set(error.args[1]))
    return []


def lines_of(path: Path) -> int:
    return len(path.read_text().splitlines())


def long_files(package: Package) -> list[str]:
    """The files over the limit, each with its length."""
    lengths = {path.relative_to(package.root): lines_of(path) for path in package.modules.values()}
    return [f"{path}: {lines} lines" for path, lines in lengths.items() if lines > FILE_LIMIT]


def size_of_core(package: Package) -> int:
    return sum(lines_of(package.modules[f"{package.root.name}.{module}"]) for module in CORE)


@pytest.mark.parametrize("find", [unplaced, wrong_imports, circle, long_files])
def test_the_package_has_no_such_fault(find: Callable[[Package], list[str]]) -> None:
    """No file in no layer, no import that points upwards or sideways, no imports in a circle, and no long file."""
    assert not find(PACKAGE)


def test_the_core_is_small() -> None:
    assert size_of_core(PACKAGE) <= CORE_LIMIT


# What is above would hold for want of eyes, too: it has to see each fault in a package that has it.


def make_package(folder: Path, files: dict[str, str]) -> Package:
    """A package of these files and no others."""
    for name, text in files.items():
        path = folder / "example" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Package.at(folder / "example")


@pytest.mark.parametrize(
    ("name", "text", "wrong"),
    [
        ("values/a.py", "from ..log import log", "values/a.py:1: upwards, to example.log.log"),
        ("values/a.py", "from ..log.log import Log", "values/a.py:1: upwards, to example.log.log"),
        ("values/a.py", "import example.log.log", "values/a.py:1: upwards, to example.log.log"),
        ("values/a.py", "from example import log", "values/a.py:1: upwards, to example.log"),
        ("values/a.py", "from .. import Log", "values/a.py:1: upwards, to example"),
        ("values/a.py", "if TYPE_CHECKING:\n    from ..log import log", "values/a.py:2: upwards, to example.log.log"),
        ("values/a.py", "def f():\n    from ..log import log", "values/a.py:2: upwards, to example.log.log"),
        ("hub/b/c.py", "from ...client import d", "hub/b/c.py:1: sideways, to example.client.d"),
        ("__init__.py", "from .cli import main", "__init__.py:1: upwards, to example.cli"),
        ("hub/e.py", "from ..wire import link\nfrom ..log.log import Log\nimport asyncio, examples", None),
        ("hub/b/c.py", "from .. import e\nfrom ..e import E\nfrom ...log import log", None),
        ("log/f.py", "from . import log\nfrom .log import Log", None),
        ("__main__.py", "from .cli import main", None),
    ],
)
def test_an_import_that_points_upwards_or_sideways_would_be_found(
    name: str, text: str, wrong: str | None, tmp_path: Path
) -> None:
    there = ("__init__", "log/__init__", "log/log", "wire/link", "client/d", "hub/e", "cli/__init__")
    package = make_package(tmp_path, {**{f"{file}.py": "" for file in there}, name: text})
    assert wrong_imports(package) == ([] if wrong is None else [wrong])


def test_a_file_in_no_layer_would_be_found(tmp_path: Path) -> None:
    package = make_package(tmp_path, {"__init__.py": "", "stray.py": "", "attic/a.py": "", "log/log.py": ""})
    assert unplaced(package) == ["attic", "stray"]


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (
            {
                "hub/a.py": "from .b import B",
                "hub/b.py": "if TYPE_CHECKING:\n    from .c import C",
                "hub/c.py": "def f():\n    from . import a",
                "hub/beside.py": "from .a import A",
            },
            ["example.hub.a", "example.hub.b", "example.hub.c"],
        ),
        ({"log/__init__.py": "from .d import D", "log/d.py": "from ..log import E"}, ["example.log", "example.log.d"]),
        ({"log/d.py": "from .e import E", "log/e.py": "import asyncio"}, []),
    ],
)
def test_a_circle_would_be_found(files: dict[str, str], found: list[str], tmp_path: Path) -> None:
    assert circle(make_package(tmp_path, files)) == found


def test_long_files_and_a_large_core_would_be_found(tmp_path: Path) -> None:
    files = {f"{module.replace('.', '/')}.py": "#\n" * (CORE_LIMIT // len(CORE)) for module in CORE}
    assert size_of_core(make_package(tmp_path, files)) == CORE_LIMIT
    files["hub/room.py"] += "#\n" * (FILE_LIMIT - CORE_LIMIT // len(CORE))
    package = make_package(tmp_path, files)
    assert not long_files(package)
    assert size_of_core(package) > CORE_LIMIT
    files["hub/room.py"] += "#"
    assert long_files(make_package(tmp_path, files)) == ["hub/room.py: 351 lines"]
