"""Checks that README.md's requests make the example show README.md's page.

    python3 tests/e2e/readme_page.py            # compares
    python3 tests/e2e/readme_page.py --write    # replaces the page in README.md

What differs from run to run (times, and how many calls were fast) is left out
of the comparison; every name, label, help text and count is in it.
"""

import difflib
import re
import subprocess
import sys
from subprocess import PIPE

from clients import PATIENCE
from example import Example
from processes import ROOT
from tally import wait_for

README = ROOT / "README.md"
BLOCK = re.compile(
    r"(<!-- page:begin -->\n+```[a-z]*\n)(?P<page>.*?)(```\n+<!-- page:end -->)", re.DOTALL
)
COMMANDS = re.compile(r"<!-- command:ask -->\n+```[a-z]*\n(?P<lines>.*?)```", re.DOTALL)
# The last bucket holds every call, however slow, so it is compared.
VARIES = re.compile(
    r"^(uptime_seconds|request_duration_seconds_sum|request_duration_seconds_bucket(?!.*\+Inf))"
    r"(.*) \S+$",
    re.MULTILINE,
)


def real_page(readme):
    """Sends README.md's own requests to the example; the last one asks for the page."""
    commands = COMMANDS.search(readme)
    if not commands:
        sys.exit("README.md has no commands below command:ask")
    *requests, page = commands["lines"].splitlines()
    with Example() as example:
        ports = {"localhost:8080": example.port, "localhost:8081": example.status_port}

        def curl(command):
            for printed, port in ports.items():
                command = command.replace(printed, f"127.0.0.1:{port}")
            command = command.replace("curl ", "curl --silent --show-error --fail ", 1)
            return subprocess.run(
                command, shell=True, check=True, timeout=PATIENCE, stdout=PIPE, text=True
            ).stdout

        for request in requests:
            curl(request)
        wait_for(example, completed=len(requests))
        return curl(page)


def settled(page):
    return VARIES.sub(r"\1\2 …", page).splitlines(keepends=True)


def main():
    readme = README.read_text()
    block = BLOCK.search(readme)
    if not block:
        sys.exit("README.md has no fenced block between page:begin and page:end")
    page = real_page(readme)
    if sys.argv[1:] == ["--write"]:
        README.write_text(readme[: block.start("page")] + page + readme[block.end("page") :])
        return
    difference = difflib.unified_diff(
        settled(block["page"]), settled(page), "README.md", "the example's page"
    )
    difference = "".join(difference)
    if difference:
        sys.exit(f"{difference}\nrun this script with --write")


if __name__ == "__main__":
    main()
