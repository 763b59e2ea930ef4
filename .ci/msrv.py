"""Checks that no dependency asks for a newer Rust than this crate promises.

Only what users build counts: normal and build dependencies, with all features,
on the three big platforms. What the standard library offers is clippy's part
(`incompatible_msrv`).
"""

import json
import subprocess
import sys

PLATFORMS = ("x86_64-unknown-linux-gnu", "aarch64-apple-darwin", "x86_64-pc-windows-msvc")


def cargo(*arguments):
    command = ["cargo", *arguments, "--locked", "--all-features"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def version(text):
    return tuple(int(part) for part in text.split("."))


def main():
    packages = json.loads(cargo("metadata", "--format-version=1"))["packages"]
    declared = {(one["name"], one["version"]): one["rust_version"] for one in packages}
    ours = next(one["rust_version"] for one in packages if one["name"] == "tower-openmetrics")

    built = set()
    for platform in PLATFORMS:
        tree = cargo(
            "tree",
            "--package=tower-openmetrics",
            "--edges=no-dev",
            "--prefix=none",
            "--format={p}",
            f"--target={platform}",
        )
        for line in filter(None, tree.splitlines()):
            name, number = line.split()[:2]
            built.add((name, number.removeprefix("v")))

    silent = sorted(name for name, number in built if not declared[name, number])
    too_new = sorted(
        f"{name} {number} needs {declared[name, number]}"
        for name, number in built
        if declared[name, number] and version(declared[name, number])[:2] > version(ours)[:2]
    )
    print(f"{len(built)} packages, of which these declare no rust-version: {', '.join(silent)}")
    if too_new:
        sys.exit(f"rust-version is {ours}, but:\n" + "\n".join(too_new))


if __name__ == "__main__":
    main()
