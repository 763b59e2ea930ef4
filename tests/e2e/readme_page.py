"""Checks that README.md's requests make the example show README.md's lines.

    python3 tests/e2e/readme_page.py            # compares
    python3 tests/e2e/readme_page.py --write    # brings the lines in README.md up to date

README.md shows some lines of the page, in its order. What differs from run to
run (times, and how many calls were fast) is left out of the comparison; every
name, label, help text and count is in it.
"""

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
# The last bucket counts every call, so it doesn't depend on durations.
VARIES = re.compile(
    r"^(uptime_seconds|request_duration_seconds_sum|request_duration_seconds_bucket(?!.*\+Inf))"
    r"(.*) \S+$",
    re.MULTILINE,
)


def real_page(readme):
    """Sends the requests in README.md to the example. The last one is for the page."""
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


def settled(line):
    return VARIES.sub(r"\1\2 …", line)


def main():
    readme = README.read_text()
    block = BLOCK.search(readme)
    if not block:
        sys.exit("README.md has no fenced block between page:begin and page:end")
    page = real_page(readme).splitlines()
    shown = block["page"].splitlines()
    if not shown:
        sys.exit("README.md shows no line of the page")
    if sys.argv[1:] == ["--write"]:
        series = {line.rsplit(" ", 1)[0] for line in shown}
        kept = [line for line in page if line.rsplit(" ", 1)[0] in series]
        kept = "".join(f"{line}\n" for line in kept)
        README.write_text(readme[: block.start("page")] + kept + readme[block.end("page") :])
        return
    left = iter([settled(line) for line in page])
    for line in shown:
        if settled(line) not in left:
            sys.exit(f"not on the example's page, or not here:\n{line}\nrun this script with --write")


if __name__ == "__main__":
    main()
