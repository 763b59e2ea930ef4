"""Finds files of a crate that import each other in a circle.

    python3 .ci/cycles.py [src]

Looks at `use` and at paths in code that begin with `crate`, `super` or `self`, outside of tests. What a file imports is the
file that defines the name; a `mod.rs`, or `lib.rs`, only hands names on. Prints each circle with the names that
make it, and exits with 1 if there is one.
"""

import re
import sys
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

# What may look like code and is none: comments, strings, characters.
NO_CODE = re.compile(
    r"""//[^\n]* | /\*.*?\*/ | \br(\#*)".*?"\1 | "(?:\\.|[^"\\])*" | '(?:\\[^\n]*?|[^'\\\n])'""",
    re.DOTALL | re.VERBOSE,
)
TEST = re.compile(r"#\[cfg\((?:all\()?test\b")
USE = re.compile(r"\buse\s+([^;]+);")
PATH = re.compile(r"(?<![\w:$])(?:crate|super|self)(?:::\w+)+")
ITEM = re.compile(
    r"\b(?:struct|enum|union|trait|type|fn|static|const(?!\s+fn\b)|macro_rules!)\s+(\w+)"
)
MODULE_ELSEWHERE = re.compile(r'#\[path\s*=\s*"([^"]+)"\]\s*(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)')


def blank(text, start, end):
    return text[:start] + re.sub(r"[^\n]", " ", text[start:end]) + text[end:]


def end_of_item(text, start):
    """Where the item ends that begins there: at its `;`, or at the brace that closes its first one."""
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] == "{") - (text[place] == "}")
        if depth == 0 and text[place] in ";}":
            return place + 1
    return len(text)


def code(text):
    """The text without what is no code, and without tests."""
    text = NO_CODE.sub(lambda found: blank(found[0], 0, len(found[0])), text)
    while test := TEST.search(text):
        text = blank(text, test.start(), end_of_item(text, test.start()))
    return text


def imports(tree, before=()):
    """The paths of a `use`, with the name that each has here."""
    head, brace, inner = tree.strip().partition("{")
    names = [name.strip() for name in head.split("::")]
    if not brace:
        *on_the_way, last = names
        last, _, alias = last.partition(" as ")
        path = before + (*on_the_way, last.strip())
        if path[-1] == "self":
            path = path[:-1]
        yield path, alias.strip() or path[-1]
        return
    part, depth = "", 0
    for letter in inner[: inner.rindex("}")] + ",":
        depth += (letter == "{") - (letter == "}")
        if letter == "," and depth == 0:
            if part.strip():
                yield from imports(part, before + tuple(names[:-1]))
            part = ""
        else:
            part += letter


class Crate:
    def __init__(self, root):
        # A module has two files where a feature chooses between them.
        self.files = defaultdict(list)
        self.module_of = {}
        self.paths = {}
        self.defined = defaultdict(set)
        self.handed_on = defaultdict(list)
        elsewhere = {}
        for file in root.rglob("*.rs"):
            for other, name in MODULE_ELSEWHERE.findall(file.read_text()):
                elsewhere[file.parent / other] = self.module(root, file) + (name,)
        for file in sorted(root.rglob("*.rs")):
            module = elsewhere.get(file) or self.module(root, file)
            self.files[module].append(file)
            self.module_of[file] = module
            text = code(file.read_text())
            uses = [each for use in USE.findall(text) for each in imports(use)]
            rest = PATH.findall(USE.sub("", text))
            self.paths[file] = [path for path, _ in uses] + [tuple(path.split("::")) for path in rest]
            self.defined[module].update(ITEM.findall(text))
            for path, name in uses:
                self.handed_on[module, name].append(path)

    @staticmethod
    def module(root, file):
        *parents, name = file.relative_to(root).with_suffix("").parts
        return (*parents,) if name in ("mod", "lib", "main") else (*parents, name)

    def absolute(self, module, path):
        """The path from the crate's root, or nothing if it leads out of the crate."""
        if path[0] not in ("crate", "super", "self"):
            return None
        if path[0] == "crate":
            return path[1:]
        while path and path[0] in ("super", "self"):
            module = module[:-1] if path[0] == "super" else module
            path = path[1:]
        return module + path

    def homes(self, module, path, met=()):
        """The modules that define what a path leads to."""
        path = self.absolute(module, path)
        if path is None or path in met:
            return
        known = max(length for length in range(len(path) + 1) if path[:length] in self.files)
        module, names = path[:known], path[known:]
        handed_on = self.handed_on[module, names[0]] if names else []
        handed_on = [to for to in handed_on if self.absolute(module, to) is not None]
        if not handed_on or names[0] in self.defined[module]:
            yield module
        else:
            for to in handed_on:
                yield from self.homes(module, to, (*met, path))

    def imports_of(self, file):
        """The files that a file imports, each with the names."""
        found = defaultdict(set)
        for path in self.paths[file]:
            for home in self.homes(self.module_of[file], path):
                for target in self.files[home]:
                    if target != file and target.name not in ("mod.rs", "lib.rs", "main.rs"):
                        found[target].add(path[-1])
        return found


def main():
    crate = Crate(Path(sys.argv[1] if len(sys.argv) > 1 else "src"))
    edges = {file: crate.imports_of(file) for file in crate.module_of}
    circles = 0
    while True:
        try:
            TopologicalSorter(edges).prepare()
            break
        except CycleError as error:
            # Each file of it is imported by the next one.
            circle = error.args[1]
        circles += 1
        print(f"circle of {len(circle) - 1} files:")
        for imported, file in zip(circle, circle[1:]):
            print(f"  {file} imports {imported}: {', '.join(sorted(edges[file][imported]))}")
        # To find others.
        del edges[circle[1]][circle[0]]
    print(f"{circles} circles in {len(edges)} files")
    sys.exit(circles > 0)


if __name__ == "__main__":
    main()
