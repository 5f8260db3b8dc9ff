"""Chromium, driven by its own driver: WebDriver is JSON over HTTP (https://www.w3.org/TR/webdriver2/)."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from support.programs import WAIT_TIME, Program, require_program, wait_until
from support.threaded import in_thread

OPTIONS = (
    "--headless=new",
    # Root may not have one.
    "--no-sandbox",
    # Containers have little of it.
    "--disable-dev-shm-usage",
    # Every name in this domain is this machine, as its owner may decide.
    "--host-resolver-rules=MAP *.example 127.0.0.1",
)


class Browser:
    """One window of Chromium.

    Args:
        port: that of the driver, on this machine.
    """

    def __init__(self, port: int) -> None:
        self._driver = partial(HTTPConnection, "127.0.0.1", port, timeout=WAIT_TIME)
        options = {"binary": require_program("chromium"), "args": OPTIONS}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"}}
        # By the ids of requests: their URLs, and the statuses of their answers.
        self._asked: dict[str, str] = {}
        self._answered: list[tuple[str, int]] = []
        self._session = ""
        self._session = "/" + self._call("POST", "session", capabilities={"alwaysMatch": wanted})["sessionId"]

    def visit(self, url: str) -> None:
        """Go to a page, and wait until it is there."""
        self._call("POST", "url", url=url)

    def run(self, script: str, *arguments: Any) -> Any:
        """What the body of a function returns on the page; if that is a promise, what it comes to."""
        return self._call("POST", "execute/sync", script=script, args=arguments)

    def wait_for(self, script: str, *arguments: Any) -> Any:
        """Wait until it returns something that is true; what it is."""
        result: Any = None

        def look() -> bool:
            nonlocal result
            result = self.run(script, *arguments)
            return bool(result)

        wait_until(look, script)
        return result

    def statuses(self, port: int) -> list[int]:
        """Those of all answers that have come from a port, also where no page may see them."""
        self._read_log()
        return [status for request, status in self._answered if f":{port}/" in self._asked.get(request, "")]

    def complaints(self) -> list[str]:
        """What the console has said since it was last asked: errors of scripts, failed requests, refusals by policy."""
        return [entry["message"] for entry in self._call("POST", "se/log", type="browser")]

    def urls(self) -> set[str]:
        """Those of all that was asked for, by all pages so far."""
        self._read_log()
        return set(self._asked.values())

    def command(self, name: str, **parameters: Any) -> Any:
        """A command of Chromium's own protocol (https://chromedevtools.github.io/devtools-protocol/)."""
        return self._call("POST", "goog/cdp/execute", cmd=name, params=parameters)

    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        """Give the page a size, as on a desk or on a phone."""
        scale = 2 if phone else 1
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )

    def prefer(self, scheme: str) -> None:
        """Have pages in "light" or "dark" colours."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.command("Emulation.setEmulatedMedia", features=features)

    def press_enter(self) -> None:
        """Press Enter, where the focus is."""
        key = {"key": "Enter", "code": "Enter", "text": "\r", "windowsVirtualKeyCode": 13}
        for kind in ("keyDown", "keyUp"):
            self.command("Input.dispatchKeyEvent", type=kind, **key)

    def screenshot(self) -> bytes:
        """The page as it looks, in PNG."""
        return b64decode(self._call("GET", "screenshot"))

    def quit(self) -> None:
        """End Chromium."""
        self._call("DELETE", "")

    def _read_log(self) -> None:
        for entry in self._call("POST", "se/log", type="performance"):
            message = json.loads(entry["message"])["message"]
            what, about = message["method"], message["params"]
            if what == "Network.requestWillBeSent":
                self._asked[about["requestId"]] = about["request"]["url"]
            elif what == "Network.responseReceivedExtraInfo":
                self._answered.append((about["requestId"], about["statusCode"]))

    def _call(self, method: str, command: str, **parameters: Any) -> Any:
        path = "/session" + self._session + (f"/{command}" if command and self._session else "")
        with closing(self._driver()) as connection:
            connection.request(method, path, json.dumps(parameters) if method == "POST" else None)
            value = json.load(connection.getresponse())["value"]
        if isinstance(value, dict) and "error" in value:
            raise AssertionError(f"{value['error']}: {value['message']}")
        return value


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser, for as long as that lasts."""
    with Program(require_program("chromedriver"), "--port=0") as driver:
        browser = Browser(int(driver.output.expect(rb" on port (\d+)\.")[1]))
        try:
            yield browser
        finally:
            browser.quit()


class _Page(BaseHTTPRequestHandler):
    """Any path is the same page; `/sandboxed` is one whose origin is null."""

    body: bytes

    def do_GET(self) -> None:
        body = self.body
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        if self.path == "/sandboxed":
            self.send_header("Content-Security-Policy", "sandbox allow-scripts allow-forms")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Be silent."""


@contextmanager
def site(page: str = "<!doctype html><meta charset=utf-8><title>A page</title>") -> Iterator[int]:
    """A site of such pages, by default empty ones, which are what a test makes them; its port."""
    handler = type("Handler", (_Page,), {"body": page.encode()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    with in_thread(server):
        yield server.server_port
