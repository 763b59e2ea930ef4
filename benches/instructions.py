"""How many instructions a call takes, which repeats exactly where time does not.

    python3 benches/instructions.py [NAME …]

How to read it: `beyond` is what a row adds to the first row of its table, for one call, frame or item. Some ten
instructions are a nanosecond. Without names, all contenders of `overhead`, `labels`, `streaming` and `options` are counted. Needs valgrind.

A count is the difference between two runs, one of them with twice as many calls. Where that is not many, each is made
three times and the least of them taken, for once in a while a call takes longer than the bucket it usually falls into.
Label sets are hashed with a seed: of many of them a count may be off by one.
"""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BENCHES = ["overhead", "labels", "streaming", "options"]
CALLS = 100
TIMES = 3


def build():
    command = ["cargo", "bench", "--no-run", "--message-format=json"]
    command += [argument for bench in BENCHES for argument in ("--bench", bench)]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = map(json.loads, lines.splitlines())
    built = {message["target"]["name"]: message["executable"] for message in messages if message.get("executable")}
    return [built[bench] for bench in BENCHES]


def listed(program):
    """The contenders by table: each a name, and its calls a run."""
    run = subprocess.run([program, "--list"], check=True, stdout=subprocess.PIPE, text=True)
    tables = {}
    for line in run.stdout.splitlines():
        table, name, units = line.split("\t")
        tables.setdefault(table, []).append((name, int(units)))
    return tables


def counted(program, name, runs):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command += ["--collect-atstart=no", "--toggle-collect=*these_are_counted*"]
    command += [program, "--count", name, str(runs)]
    run = subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True)
    return int(re.search(r"Collected : (\d+)", run.stderr)[1])


def instructions(program, contender):
    name, units = contender
    runs = max(1, CALLS // units)
    times = TIMES if units == 1 else 1
    once = min(counted(program, name, runs) for _ in range(times))
    twice = min(counted(program, name, 2 * runs) for _ in range(times))
    return round((twice - once) / runs / units)


def main(wanted):
    tables = [(program, *table) for program in build() for table in listed(program).items()]
    names = [name for _, _, contenders in tables for name, _ in contenders]
    if unknown := wanted.difference(names):
        sys.exit(f"there is no {', '.join(unknown)}, but {', '.join(names)}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for program, title, [first, *others] in tables:
            others = [one for one in others if not wanted or one[0] in wanted]
            if not others and first[0] not in wanted:
                continue
            contenders = [first, *others]
            counts = pool.map(lambda contender: instructions(program, contender), contenders)
            print(f"\n| {title} | instructions | beyond |\n|---|---|---|")
            bare = None
            for (name, _), count in zip(contenders, counts):
                bare = count if bare is None else bare
                print(f"| {name} | {count:,} | {count - bare:,} |", flush=True)


main(set(sys.argv[1:]))
