"""A real Chromium without a window, driven over a pipe by its own protocol (CDP).

Needs nothing but the browser: messages are JSON ended by a zero byte, written to its descriptor 3
and read from 4.
"""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from waiting import patience, wait_for

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find():
    """The browser's path, or None."""
    return os.environ.get("LETHE_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page of a browser of its own; a context manager."""

    def __init__(self, path=None):
        self.path = path or find()

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="lethe-browser-")
        into_read, self.into = os.pipe()
        self.out, out_write = os.pipe()
        # High numbers first: 3 and 4 may be among those just made.
        high_read, high_write = os.dup(into_read), os.dup(out_write)

        def arrange():
            read, write = os.dup(high_read), os.dup(high_write)
            while min(read, write) < 5:
                read, write = os.dup(read), os.dup(write)
            os.dup2(read, 3)
            os.dup2(write, 4)

        self.process = subprocess.Popen(
            [self.path, "--headless=new", "--remote-debugging-pipe", "--no-sandbox",
             "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
             "--disable-background-networking", f"--user-data-dir={self.folder}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            close_fds=False, preexec_fn=arrange)
        for descriptor in (into_read, out_write, high_read, high_write):
            os.close(descriptor)
        self.number, self.buffer, self.session, self.problems = 0, b"", None, []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.into)
        os.close(self.out)
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.into, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive(patience())
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise SystemExit(f"browser: {method}: {answer['error']}")
                return answer["result"]

    def receive(self, timeout):
        end = time.monotonic() + timeout
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.out], [], [], max(end - time.monotonic(), 0))
            if not ready:
                raise SystemExit(f"browser: no answer in {timeout:.0f} s")
            data = os.read(self.out, 1 << 20)
            if not data:
                raise SystemExit("browser: it ended")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\0", 1)
        message = json.loads(line)
        self.note(message)
        return message

    def note(self, message):
        """Keeps whatever a page complains about."""
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "assert"):
            self.problems.append(
                "console: " + " ".join(str(a.get("value", "")) for a in parameters["args"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            entry = parameters["entry"]
            self.problems.append(f"{entry['text']} {entry.get('url', '')}")

    def show(self, width, height=900, scheme="light"):
        """The size of the window in CSS pixels, and whether the reader likes it light or dark."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=1, mobile=width < 600)
        self.ask("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": scheme}])

    def open(self, url):
        self.ask("Page.navigate", url=url)
        self.until("document.readyState === 'complete'", "the page to load")

    def evaluate(self, script):
        """A script's value; promises are waited for."""
        answer = self.ask(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise SystemExit(
                f"browser: {details.get('exception', {}).get('description', details['text'])}")
        return answer["result"].get("value")

    def until(self, script, what, quiet=1):
        """Waits until a script's value is true; in vain, the text of the page is what was seen."""
        wait_for(what, lambda: self.evaluate(script), quiet, pause=0.05,
                 seen=lambda: self.evaluate("document.body.innerText"))

    def press(self, key, code=None, text=None):
        """A key, down and up, as a reader without a mouse does it."""
        virtual = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowRight": 39, "ArrowDown": 40}
        fields = {"key": key, "code": code or key, "windowsVirtualKeyCode": virtual.get(key, 0)}
        if text or key == "Enter":
            fields["text"] = text or "\r"
        self.ask("Input.dispatchKeyEvent", type="keyDown", **fields)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **fields)

    def type(self, text):
        self.ask("Input.insertText", text=text)

    def screenshot(self, path):
        """The whole page, however long."""
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        picture = self.ask(
            "Page.captureScreenshot", format="png", captureBeyondViewport=True,
            clip={"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1})
        Path(path).write_bytes(base64.b64decode(picture["data"]))
