"""Starts the examples and reads their pages."""

import os
import pathlib
import re
import resource
import subprocess
import threading
from urllib.parse import urlsplit

from clients import PATIENCE, ask, wait_until
from tally import samples

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
# All examples with all features, as `cargo test` builds them.
EXAMPLES = TARGET / "debug" / "examples"
# The one that README.md runs, with its features.
README_EXAMPLE = TARGET / "release" / "examples" / "system_server"

ADDRESS = re.compile(r"^(?P<what>[a-z ]+): +(?P<address>\S+)")


class Process:
    """A running example with a status server, on free ports."""

    def __init__(self, name, descriptors=None, **variables):
        binary = EXAMPLES / name
        if not binary.exists():
            raise AssertionError(f"build the examples first, there is no {binary}")
        environment = {
            **os.environ,
            "DYN_SYSTEM_ENABLED": "true",
            "DYN_SYSTEM_PORT": "0",
            "DYN_HTTP_PORT": "0",
            "DYN_WORKER_PORT": "0",
            "DRAIN_MS": "50",
            **variables,
        }

        def limit():
            if descriptors:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        self.lines = []
        self.process = subprocess.Popen(
            [binary],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=limit,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        try:
            self.addresses = wait_until(f"the addresses of {name}", self._addresses)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _read(self):
        with self.process.stdout as out:
            for line in out:
                self.lines.append(line.rstrip("\n"))

    def _addresses(self):
        found = [ADDRESS.match(line) for line in list(self.lines)]
        # A server on all addresses is reached at this one.
        found = {
            match["what"]: match["address"].replace("0.0.0.0", "127.0.0.1")
            for match in found
            if match
        }
        if len(found) == 2:
            return found
        if self.process.poll() is not None:
            raise AssertionError(f"it ended early:\n{self.output()}")
        return None

    def output(self):
        return "\n".join(self.lines)

    def number(self, name, **labels):
        """Returns the value of the only sample with these labels."""
        page = self.status("/metrics").text
        numbers = [
            number
            for (found, has), number in samples(page).items()
            if found == name and labels.items() <= dict(has).items()
        ]
        if len(numbers) != 1:
            raise AssertionError(f"{len(numbers)} of {name} {labels} on the page\n{page}")
        return numbers[0]

    def status(self, path, method="GET", **headers):
        """Sends a request to the status server."""
        port = urlsplit(self.addresses["status server"]).port
        return ask(port, method, path, headers=headers)

    def wait_for(self, expected, name, **labels):
        wait_until(
            f"{name} {labels} to be {expected}",
            lambda: self.number(name, **labels) == expected,
        )

    def stop(self):
        """Stops the process and returns its exit code."""
        self.terminate()
        return self.wait()

    def terminate(self):
        self.process.terminate()

    def wait(self, patience=PATIENCE):
        """Waits for the process to end and returns its exit code."""
        code = self.process.wait(patience)
        self.reader.join(PATIENCE)
        return code

    def close(self):
        """Ends the process, whatever its state."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        self.reader.join(PATIENCE)
