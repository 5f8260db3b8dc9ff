"""Hooks of mkdocs, which builds the site from `docs/`.

The pages are written for a code host, where they link to any file of the repository. The site has the pages of `docs/`
alone. So each file elsewhere that a page links to becomes a page of the site, too: Markdown as it is, an image as an
image, everything else as a page that shows its text, and a folder as a list of its files. The links are rewritten to
lead there.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from mkdocs.structure.files import File, Files, InclusionLevel

import hubbub

from docsite import entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

# mkdocs counts the warnings of its own loggers, and --strict makes them errors.
logger = logging.getLogger("mkdocs.plugins.docsite")

DOCS: Final = PurePosixPath("docs")

HOME: Final = {PurePosixPath("README.md"): PurePosixPath("index.md")}
"""The front page of the repository is that of the site."""

IMAGES: Final = frozenset((".svg", ".png", ".gif", ".cast"))

_LINK: Final = re.compile(r"""(?P<before>\]\(|(?:src|srcset)=")(?P<target>[^)"\s#]+)(?P<rest>#[^)"\s]*)?(?=[)"])""")
_FENCE: Final = re.compile(r"^ *(```+|~~~+).*?^ *\1 *$", re.MULTILINE | re.DOTALL)
_ENTRY: Final = re.compile(
    r"^## \w+\n\n<!-- generated: (hubbub\.(\w+)) -->\n.*?^<!-- end -->$", re.MULTILINE | re.DOTALL
)
_TITLED_FENCE: Final = re.compile(r'^( *```[\w-]+) ([^"={}\n]+)$', re.MULTILINE)
_OPENING: Final = re.compile(r' *(?:```+|~~~+)[\w-]*(?: title="[^"]*")?')
_LIST_IN_TEXT: Final = re.compile(r"<p>[^<]*\n(?:[-*]|1\.) ")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Replace each pattern in the navigation by the pages that match it and are not named there."""
    named = set(_named(config.nav))
    config.nav = _expanded(config.nav, Path(config.docs_dir), named)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what the pages link to outside of `docs/`."""
    root = _root(config)
    for path in HOME:
        _add(files, config, path, InclusionLevel.INCLUDED)
    for name in _named(config.nav):
        if not (Path(config.docs_dir) / name).exists() and (root / name).is_file():
            _add(files, config, PurePosixPath(name), InclusionLevel.INCLUDED)
    unread = list(files.documentation_pages())
    while unread:
        file = unread.pop()
        elsewhere = [path for path in _linked(file, root) if not path.is_relative_to(DOCS)]
        missing = [path for path in elsewhere if files.get_file_from_path(str(_uri(path, root))) is None]
        unread += [_add(files, config, path, InclusionLevel.NOT_IN_NAV) for path in dict.fromkeys(missing)]
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make the links lead to where their targets are on the site."""
    if page.is_homepage:
        # It has the tabs, and is short.
        page.meta["hide"] = ["navigation", "toc"]
    root = _root(config)
    here = _path(page.file, root)
    if here is None:
        return markdown
    folder = PurePosixPath(page.file.src_uri).parent

    def rewrite(link: re.Match[str]) -> str:
        path = _resolve(here, link["target"], root)
        if path is None:
            return link[0]
        target = os.path.relpath(_uri(path, root), folder)
        return f"{link['before']}{target}{_anchor(path, link['rest'] or '')}"

    text = _outside_fences(markdown, lambda part: _LINK.sub(rewrite, part))
    text = _TITLED_FENCE.sub(_with_title, text)
    for fence in _FENCE.finditer(text):
        opening = fence[0].partition("\n")[0]
        if not _OPENING.fullmatch(opening):
            logger.warning("%s: the site would not show %s as the beginning of code", page.file.src_uri, opening)
    return _ENTRY.sub(_directive, text)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Warn of a list that a code host shows as one, and the site does not."""
    if _LIST_IN_TEXT.search(html):
        logger.warning("%s: a list needs an empty line before it", page.file.src_uri)
    return html


def _with_title(fence: re.Match[str]) -> str:
    """The opening of a block with its title: the file or the name of the terminal. Ports may stand behind it."""
    name = [word for word in fence[2].split() if not word.isdigit()][-1]
    return f'{fence[1]} title="{name}"'


def _directive(region: re.Match[str]) -> str:
    """What mkdocstrings makes an entry of, instead of the one that a code host shows. It makes a heading of its own."""
    path, name = region.groups()
    options = ["merge_init_into_class: false"] if name in entries.MADE_BY_HUBBUB else []
    options += [f"members: [{', '.join(entries.MEMBERS[name])}]"] if name in entries.MEMBERS else []
    options += ["show_signature: false"] if name in entries.NO_SIGNATURE else []
    options += ["inherited_members: true"] if name in entries.INHERITS else []
    return f"::: {path}\n    options: {{{', '.join(options)}}}"


def _root(config: MkDocsConfig) -> Path:
    return Path(config.config_file_path).parent


def _named(nav: Any) -> Iterator[str]:
    """The files that a navigation names."""
    if isinstance(nav, str):
        yield nav
    elif nav:
        for item in nav.values() if isinstance(nav, dict) else nav:
            yield from _named(item)


def _expanded(nav: Any, docs: Path, named: set[str]) -> Any:
    if isinstance(nav, dict):
        return {title: _expanded(item, docs, named) for title, item in nav.items()}
    if not isinstance(nav, list):
        return nav
    expanded: list[Any] = []
    for item in nav:
        if isinstance(item, str) and "*" in item:
            expanded += sorted({str(path.relative_to(docs)) for path in docs.glob(item)} - named)
        else:
            expanded.append(_expanded(item, docs, named))
    return expanded


def _path(file: File, root: Path) -> PurePosixPath | None:
    """Where a file of the site is in the repository; None if it was made for the site."""
    return PurePosixPath(Path(file.abs_src_path).relative_to(root)) if file.abs_src_path else None


def _linked(file: File, root: Path) -> Iterator[PurePosixPath]:
    """The files and folders of the repository that a page links to."""
    here = _path(file, root)
    if here is not None and here.suffix == ".md":
        for link in _LINK.finditer(_FENCE.sub("", (root / here).read_text())):
            path = _resolve(here, link["target"], root)
            if path is not None:
                yield path
                if (root / path).is_dir() and not (root / path / "README.md").exists():
                    yield from (path / name for name in _names_in(root / path))


def _resolve(here: PurePosixPath, target: str, root: Path) -> PurePosixPath | None:
    """What a link on the page `here` leads to in the repository; None: nothing in it."""
    if ":" in target:
        return None
    path = PurePosixPath(os.path.normpath(here.parent / target))
    return path if path.parts and path.parts[0] != ".." and (root / path).exists() else None


def _anchor(path: PurePosixPath, anchor: str) -> str:
    """The anchor of a heading. On the pages of the library, a public name has another one than on a code host."""
    names = {f"#{name.lower()}": f"#hubbub.{name}" for name in hubbub.__all__}
    return names.get(anchor, anchor) if path.name.startswith("python-") else anchor


def _uri(path: PurePosixPath, root: Path) -> PurePosixPath:
    """Where the site has the source of a file or a folder of the repository."""
    if (root / path).is_dir():
        path /= "README.md"
    elif path.suffix != ".md" and path.suffix not in IMAGES:
        path = path.with_name(f"{path.name}.md")
    return HOME.get(path) or (path.relative_to(DOCS) if path.is_relative_to(DOCS) else path)


def _add(files: Files, config: MkDocsConfig, path: PurePosixPath, inclusion: InclusionLevel) -> File:
    source = _root(config) / path
    uri = str(_uri(path, _root(config)))
    if source.is_dir() and (source / "README.md").exists():
        source /= "README.md"
    if source.suffix == ".md" or source.suffix in IMAGES:
        file = File.generated(config, uri, abs_src_path=str(source), inclusion=inclusion)
    else:
        content = _listing(source) if source.is_dir() else _quotation(source)
        file = File.generated(config, uri, content=f"# {path}\n\n{content}", inclusion=inclusion)
    files.append(file)
    return file


def _listing(folder: Path) -> str:
    return "\n".join(f"- [{name}]({name}.md)" for name in _names_in(folder))


def _names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def _quotation(path: Path) -> str:
    return f"```{path.suffix.removeprefix('.') or 'text'}\n{path.read_text()}```\n"


def _outside_fences(markdown: str, change: Callable[[str], str]) -> str:
    parts: list[str] = []
    at = 0
    for fence in _FENCE.finditer(markdown):
        parts += [change(markdown[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*parts, change(markdown[at:])])
