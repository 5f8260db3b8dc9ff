"""Answers of HTTP, as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..values.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from http import HTTPStatus

_ALWAYS: Final = {
    # A browser shall not take a stream for a page of ours, keep it, or show it in a page of another site.
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def head(status: HTTPStatus, headers: Mapping[str, str]) -> bytes:
    """The head of an answer."""
    lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
    lines += [f"{name}: {value}" for name, value in {**_ALWAYS, **headers}.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def text(status: HTTPStatus, words: str, headers: Mapping[str, str], *, last: bool, empty: bool = False) -> bytes:
    """An answer whose body is text.

    Args:
        status: its status.
        words: what it says; nothing, where its status has no body.
        headers: further headers.
        last: whether the connection ends behind it.
        empty: whether it is the answer to HEAD, which has no body.
    """
    body = f"{printable(words)}\n".encode() if words else b""
    # An answer without a body has no length either (RFC 9110, 8.6).
    about = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body))} if words else {}
    ends = {"Connection": "close"} if last else {}
    return head(status, {**about, **ends, **headers}) + (b"" if empty else body)
