"""What begins a conversation over HTTP, where that is installed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..hub.hub import Hub
    from ..hub.publisher import Publish
    from ..web.conversation import Conversation
    from .watch import Watch


def conversations(hub: Hub[Any], watch: Watch, publish: Publish[Any] | None) -> Callable[[], Conversation]:
    """What begins a conversation over HTTP.

    Args:
        hub: has the rooms.
        watch: what pages show of the server.
        publish: publishes what is posted; None: nothing may be.

    Raises:
        ImportError: what that needs is not installed.
    """
    try:
        from ..web import pages, streams  # noqa: PLC0415 - what it needs is an extra
        from ..web.conversation import Conversation  # noqa: PLC0415 - what it needs is an extra

        # Each kind is a file, which would be read for the first request.
        pages.found()
        streams.found()
    except ModuleNotFoundError as error:
        raise ImportError(f"HTTP needs {error.name}; install it with: pip install 'hubbub[web]'") from error
    return partial(Conversation, hub, watch, publish)
