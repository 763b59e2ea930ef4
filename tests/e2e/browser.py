"""A headless Chromium, driven over the DevTools protocol."""

import base64
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import urllib.request

from clients import PATIENCE, wait_until

try:
    import websocket
except ImportError:
    websocket = None

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")

# It looks for nothing on the network but what it is asked for.
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
)


class Browser:
    """A browser with a profile of its own, which goes with it."""

    def __init__(self):
        self.tab = None
        self.profile = tempfile.mkdtemp(prefix="browser-")
        self.process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={self.profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            port = wait_until("the browser", self._port)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE) as list:
                tab = next(one for one in json.load(list) if one["type"] == "page")
            self.tab = Tab(tab["webSocketDebuggerUrl"])
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _port(self):
        if self.process.poll() is not None:
            raise AssertionError("the browser ended early")
        file = pathlib.Path(self.profile, "DevToolsActivePort")
        lines = file.read_text().split() if file.exists() else []
        return lines[0] if len(lines) == 2 else None

    def close(self):
        if self.tab:
            self.tab.socket.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        shutil.rmtree(self.profile, ignore_errors=True)


class Tab:
    """A page in the browser, and what it has asked for and complained about."""

    def __init__(self, address):
        self.socket = websocket.create_connection(address, timeout=PATIENCE)
        self.numbers = itertools.count(1)
        self.requests = []
        self.complaints = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method, **parameters):
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == number:
                if "error" in message:
                    raise AssertionError(f"{method}: {message['error']}")
                return message["result"]
            self._event(message)

    def _event(self, message):
        given = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(given["request"]["url"])
            case "Runtime.exceptionThrown":
                details = given["exceptionDetails"]
                self.complaints.append(details.get("exception", {}).get("description") or details["text"])
            case "Log.entryAdded" if given["entry"]["level"] == "error":
                self.complaints.append(f"{given['entry']['text']} {given['entry'].get('url', '')}".strip())
            case "Page.javascriptDialogOpening":
                self.complaints.append(f"a dialog opened: {given['message']}")
                raise AssertionError(self.complaints[-1])

    def open(self, address):
        self.send("Page.navigate", url=address)

    def run(self, script):
        """What `script`, an expression, comes to."""
        answer = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise AssertionError(f"{answer['exceptionDetails']} of {script[:200]}")
        return answer["result"].get("value")

    def inject(self, source):
        """Runs a whole script in the page, whatever the page's own policy is."""
        answer = self.send("Runtime.evaluate", expression=source)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])

    def wait(self, what, script, patience=PATIENCE):
        return wait_until(what, lambda: self.run(script), patience, pause=0.1)

    def press(self, key, code, virtual):
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=code, windowsVirtualKeyCode=virtual)

    def look(self, width, height=900, dark=False):
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )
        scheme = "dark" if dark else "light"
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, path, height=None):
        """Writes the whole page as a PNG, or as much of it as `height` says as a small WebP."""
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        scale, kind = (0.7, {"format": "webp", "quality": 85}) if height else (1, {"format": "png"})
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height or min(size["height"], 8000), "scale": scale}
        found = self.send("Page.captureScreenshot", captureBeyondViewport=True, clip=clip, **kind)
        pathlib.Path(path).write_bytes(base64.b64decode(found["data"]))
