"""Headless Chromium, driven over its DevTools protocol by the WebSocket library that is here anyway."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Optional

import websocket

from cartesia_sync.transport.deadline import Deadline

BOUND = 20.0
"""Seconds within which anything that is to happen happens; reaching it is a failure."""

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def executable() -> Optional[str]:
    """Return the browser of this machine: that of CHROMIUM, else one on the path; None where there is none."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)


class Browser:
    """One process of Chromium, with a profile of its own."""

    def __init__(self, profile: Path) -> None:
        path = executable()
        assert path is not None
        self._process = subprocess.Popen(
            [
                path,
                "--headless=new",
                "--no-sandbox",  # tests may run as root
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--no-first-run",
                "--remote-debugging-port=0",
                "--remote-allow-origins=*",
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        self.url = ""
        for line in self._process.stderr:
            if line.startswith("DevTools listening on "):
                self.url = line.split()[-1]
                break
        assert self.url, "Chromium did not start"
        self._drain = threading.Thread(target=self._process.stderr.read, daemon=True)  # or its pipe fills up
        self._drain.start()
        self._root = websocket.create_connection(self.url, timeout=BOUND, suppress_origin=True)
        self._numbers = itertools.count(1)

    def page(self) -> Page:
        """Open a page."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        return Page(f"{self.url.partition('/devtools/')[0]}/devtools/page/{target}")

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the browser."""
        return _call(self._root, next(self._numbers), method, parameters, lambda event: None)

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._root.shutdown()
        self._process.kill()
        self._process.wait(BOUND)
        self._drain.join(BOUND)
        assert self._process.stderr is not None
        self._process.stderr.close()


class Page:
    """One page.

    Attributes:
        problems: What its console said of errors and warnings, and what it threw.
        urls: All that it has asked for.
    """

    def __init__(self, url: str) -> None:
        self._socket = websocket.create_connection(url, timeout=BOUND, suppress_origin=True)
        self._numbers = itertools.count(1)
        self.problems: list[str] = []
        self.urls: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the page's."""
        return _call(self._socket, next(self._numbers), method, parameters, self._take)

    def _take(self, event: dict[str, Any]) -> None:
        method, given = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.problems.append(str(given["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and given["type"] in ("error", "warning", "assert"):
            self.problems.append(str(given["args"]))
        elif method == "Log.entryAdded" and given["entry"]["level"] in ("error", "warning"):
            self.problems.append(f"{given['entry']['text']} {given['entry'].get('url')}")
        elif method == "Network.requestWillBeSent":
            self.urls.append(given["request"]["url"])

    def open(self, url: str) -> None:
        """Load an address, and wait until it is there."""
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str) -> Any:
        """Return what an expression gives; a promise is waited for."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait_for(self, script: str) -> None:
        """Wait until an expression is true; it is asked again after each frame of the page."""
        deadline = Deadline(BOUND)
        while not self.run(f"new Promise((done) => setTimeout(() => done(Boolean({script})), 20))"):
            assert deadline.left() > 0, f"{script} did not become true; {self.problems}"

    def click(self, selector: str) -> None:
        """Click the middle of an element, as a hand does."""
        self.click_on(f"document.querySelector({json.dumps(selector)})")

    def click_on(self, element: str) -> None:
        """Click the middle of what an expression gives."""
        box = self.run(
            f"(() => {{ const element = {element}; element.scrollIntoView({{block: 'nearest'}});"
            " const box = element.getBoundingClientRect();"
            " return [box.left + box.width / 2, box.top + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def press(self, key: str) -> None:
        """Press a key."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key)

    def looks(self, width: int, height: int, theme: str = "light") -> None:
        """Be so large, and of this theme."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": theme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def picture(self) -> bytes:
        """Return a screenshot, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def close(self) -> None:
        """Close it."""
        self._socket.shutdown()


def _call(
    socket: websocket.WebSocket,
    number: int,
    method: str,
    parameters: dict[str, Any],
    take: Callable[[dict[str, Any]], None],
) -> Any:
    socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
    while True:
        answer = json.loads(socket.recv())
        if answer.get("id") != number:
            take(answer)
        elif "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        else:
            return answer["result"]
