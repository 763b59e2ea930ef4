"""Counts the instructions of a call by valgrind: `python3 benches/instructions.py [NAME …]`.

Without names it counts all contenders. Prints tables as Markdown has them: what each takes for one call, frame or item, and how
much that is beyond the first of its table.

A count is the difference between two runs, one of them with twice as many calls. Each is made three times and the
least of them taken, for once in a while a call is longer than the buckets that it usually falls into.
"""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CALLS = 100
TIMES = 3


def build():
    command = ["cargo", "bench", "--no-run", "--bench", "instructions", "--message-format=json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = map(json.loads, lines.splitlines())
    [program] = [message["executable"] for message in messages if message.get("executable")]
    return program


def listed(program, wanted):
    """The contenders by table, each a name and its calls a run; of those that are wanted, and the first."""
    run = subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True)
    tables = {}
    for line in run.stdout.splitlines():
        table, name, units = line.split("\t")
        tables.setdefault(table, []).append((name, int(units)))
    names = [name for contenders in tables.values() for name, _ in contenders]
    if unknown := wanted.difference(names):
        sys.exit(f"there is no {', '.join(unknown)}, but {', '.join(names)}")
    for table, [first, *others] in tables.items():
        others = [one for one in others if not wanted or one[0] in wanted]
        if others or first[0] in wanted:
            yield table, [first, *others]


def counted(program, name, runs):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command += ["--collect-atstart=no", "--toggle-collect=*counted*"]
    command += [program, "--count", name, str(runs)]
    run = subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True)
    return int(re.search(r"Collected : (\d+)", run.stderr)[1])


def instructions(program, contender):
    name, units = contender
    runs = max(1, CALLS // units)
    once = min(counted(program, name, runs) for _ in range(TIMES))
    twice = min(counted(program, name, 2 * runs) for _ in range(TIMES))
    return round((twice - once) / runs / units)


def main():
    program = build()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for table, contenders in listed(program, set(sys.argv[1:])):
            counts = pool.map(lambda contender: instructions(program, contender), contenders)
            print(f"\n| {table} | instructions | beyond |\n|---|---|---|")
            first = None
            for (name, _), count in zip(contenders, counts):
                first = count if first is None else first
                print(f"| {name} | {count:,} | {count - first:,} |", flush=True)


main()
