"""Answers of HTTP, as bytes."""

from __future__ import annotations

import random
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from ..values.ending import Ending, EndingCode
from ..values.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

_ALWAYS: Final = {
    # A browser shall not take a stream for a page of ours, keep it, or show it in a page of another site.
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}

RETRY_AFTER: Final = (5, 15)
"""Seconds after which to ask again: at random between these, so that not all come back at once."""

_REFUSALS: Final = {
    EndingCode.FULL: HTTPStatus.SERVICE_UNAVAILABLE,
    EndingCode.OVERLOADED: HTTPStatus.SERVICE_UNAVAILABLE,
    EndingCode.CROWDED: HTTPStatus.TOO_MANY_REQUESTS,
    EndingCode.HASTY: HTTPStatus.TOO_MANY_REQUESTS,
    EndingCode.DENIED: HTTPStatus.FORBIDDEN,
    EndingCode.BAD_PROXY: HTTPStatus.BAD_REQUEST,
}
"""How the door refuses a connection. With any other ending, a request has had its own answer, or nobody is answered."""


def head(status: HTTPStatus, headers: Mapping[str, str]) -> bytes:
    """The head of an answer."""
    return _head(status, tuple(headers.items()))


@lru_cache
def _head(status: HTTPStatus, headers: tuple[tuple[str, str], ...]) -> bytes:
    """The same. Most answers to what is published have heads that others had."""
    lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
    lines += [f"{name}: {value}" for name, value in {**_ALWAYS, **dict(headers)}.items()]
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
    return whole(status, "text/plain; charset=utf-8", body, headers, last=last, empty=empty)


def whole(
    status: HTTPStatus, kind: str, body: bytes, headers: Mapping[str, str], *, last: bool, empty: bool = False
) -> bytes:
    """An answer with a body of that type, which may have none; see `text` for the rest."""
    # An answer without a body has no length either (RFC 9110, 8.6).
    about = {"Content-Type": kind, "Content-Length": str(len(body))} if body else {}
    ends = {"Connection": "close"} if last else {}
    return head(status, {**about, **ends, **headers}) + (b"" if empty else body)


def status_of(ending: Ending) -> HTTPStatus | None:
    """The status by which the door refuses somebody; None where it has none."""
    return _REFUSALS.get(ending.code)


def retry_after() -> dict[str, str]:
    """The header that says when to ask again (RFC 9110, 10.2.3)."""
    return {"Retry-After": str(random.randint(*RETRY_AFTER))}  # noqa: S311 - nothing is secret about it


def refusal(ending: Ending) -> bytes:
    """The answer to a connection that may not come in; nothing, where the door does not refuse it."""
    if (status := status_of(ending)) is None:
        return b""
    headers = retry_after() if ending.code.worth_retrying else {}
    return text(status, str(ending), headers, last=True)
