"""The entries of the public names: their signatures and docstrings as Markdown.

A code host shows them as they are. On the site, mkdocstrings shows the same in their place, with links between them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import griffe

from .library import is_for_programs, public, target

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MADE_BY_HUBBUB: Final = frozenset({"Arrival", "Client", "Connection", "Hub", "Room", "Subscription"})
"""Classes of which programs make no objects, so that the arguments are of no interest."""

MEMBERS: Final = {
    # The rest of their methods are for hubbub itself.
    "Arrival": ("name", "address", "certificate_name", "key", "receive", "send", "close"),
    "Listener": (),
    # A server starts and closes its store.
    "SqliteStore": ("close", "statistics"),
    # Each code and each field has its text on a page of its own.
    "EndingCode": ("worth_retrying",),
    "Settings": (),
    "StoreStatistics": (),
}
"""The members that are shown, where it is not all that have docstrings."""

NO_SIGNATURE: Final = frozenset({"Settings", "StoreStatistics"})

INHERITS: Final = frozenset({"Server"})
"""Classes that are shown with what they inherit: few programs name the hub."""

_LONG: Final = 90
"""Characters from which a signature has a line for each argument."""


def entry(name: str) -> str:
    """The signature and the text of a public name, and those of its members."""
    thing = public(name)
    if isinstance(thing, griffe.Function):
        return "\n".join(_function(name, thing))
    if isinstance(thing, griffe.Class):
        return "\n".join(_class(name, thing))
    assert isinstance(thing, griffe.Attribute)
    alias = str(thing.value).replace("'", "")
    return "\n".join([*_code(f"{name} = {alias}"), *_text(thing)])


def _class(name: str, thing: griffe.Class) -> Iterator[str]:
    if thing.parameters and name not in MADE_BY_HUBBUB | NO_SIGNATURE:
        yield from _code(thing.signature())
    yield from _text(thing)
    members = list(_members(name, thing))
    values = [each for each in members if isinstance(each, griffe.Attribute)]
    properties = [each for each in values if _is_property(each)]
    for title, chosen in (("Values", [each for each in values if each not in properties]), ("Properties", properties)):
        if chosen:
            yield f"{title}:"
            yield ""
            yield from map(_line, chosen)
            yield ""
    for member in members:
        if isinstance(member, griffe.Function):
            yield f"### {name}.{member.name}"
            yield ""
            yield from _function(member.name, member)


def _members(name: str, thing: griffe.Class) -> Iterator[griffe.Object]:
    found = thing.all_members if name in INHERITS else thing.members
    for member in map(target, found.values()):
        if member.docstring and is_for_programs(member.name) and member.name in MEMBERS.get(name, (member.name,)):
            yield member


def _is_property(attribute: griffe.Attribute) -> bool:
    return "property" in attribute.labels or attribute.annotation is not None


def _function(name: str, thing: griffe.Function) -> Iterator[str]:
    awaited = "async " if "async" in thing.labels else ""
    yield from _code(f"{awaited}{thing.signature(name=name)}")
    yield from _text(thing)


def _code(signature: str) -> list[str]:
    if len(signature) > _LONG:
        signature = _broken(signature)
    return ["```python", signature, "```", ""]


def _broken(signature: str) -> str:
    """A signature with a line for each argument."""
    head, _, rest = signature.partition("(")
    arguments, depth = [""], 1
    for at, character in enumerate(rest):
        depth += (character in "([") - (character in ")]")
        if depth == 0:
            return "\n".join([f"{head}(", *(f"    {each.strip()}," for each in arguments), rest[at:]])
        if depth == 1 and character == ",":
            arguments.append("")
        else:
            arguments[-1] += character
    return signature


def _text(thing: griffe.Object) -> Iterator[str]:
    """A docstring as Markdown, section by section."""
    for section in _sections(thing):
        if isinstance(section, griffe.DocstringSectionText):
            yield section.value
        elif isinstance(section, griffe.DocstringSectionReturns):
            yield f"Returns: {_joined(section.value[0].description)}"
        else:
            yield f"{_TITLES[section.kind]}:"
            yield ""
            yield from (f"- {item}" for item in _items(section))
        yield ""


def _line(thing: griffe.Attribute) -> str:
    """An attribute as an item of a list."""
    parts = []
    for section in _sections(thing):
        is_text = isinstance(section, griffe.DocstringSectionText)
        parts.append(_joined(section.value) if is_text else f"{_TITLES[section.kind]} {'; '.join(_items(section))}")
    return f"- {_item(thing.name, thing.annotation, ' '.join(parts))}"


_TITLES: Final = {
    griffe.DocstringSectionKind.attributes: "Attributes",
    griffe.DocstringSectionKind.parameters: "Arguments",
    griffe.DocstringSectionKind.raises: "Raises",
}


def _sections(thing: griffe.Object) -> Iterable[griffe.DocstringSection]:
    return thing.docstring.parse("google") if thing.docstring else ()


def _items(section: griffe.DocstringSection) -> Iterator[str]:
    for item in section.value:
        if isinstance(item, griffe.DocstringRaise):
            yield _item(str(item.annotation).strip("()"), None, item.description)
        else:
            # The arguments have their types in the signature.
            kind = item.annotation if isinstance(item, griffe.DocstringAttribute) else None
            yield _item(item.name, kind, item.description)


def _item(name: str, kind: object, text: str) -> str:
    return f"`{name}{f': {kind}' if kind else ''}`: {_joined(text)}"


def _joined(text: str) -> str:
    return " ".join(text.split())
