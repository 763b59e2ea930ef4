"""Answers questions about headers and pages in sequence, until its input ends.

A question is a list of texts. The first one is its kind:

    negotiation  what Accept and Accept-Encoding accept: two lists of header values
    pages        an OpenMetrics page, the same page in 0.0.4, and the families that both must have

A list is the number of its texts, then each text after its length. A number is four bytes, big-endian.
The answer is a text after its length: the negotiated type, or what is wrong with the pages. It is
empty if nothing is wrong.
"""

import collections
import math
import re
import struct
import sys
import traceback

from prometheus_client.openmetrics import exposition
from prometheus_client.openmetrics import parser as openmetrics

# --- headers: RFC 9110, sections 5.6 and 12.5 ---------------------------------

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
QUOTED = rb'"(?:[^"\\]|\\.)*"'
# An unclosed quote extends to the end.
ELEMENT = re.compile(rb'(?:[^,"]|"(?:[^"\\]|\\.)*(?:"|\\?\Z))*', re.DOTALL)
PARAMETER = rb";[ \t]*(?:%s=(?:%s|%s))?[ \t]*" % (TOKEN, TOKEN, QUOTED)
RANGE = re.compile(rb"[ \t]*([^;]*?)[ \t]*((?:%s)*)" % PARAMETER, re.DOTALL)
ONE_PARAMETER = re.compile(rb"(%s)=(%s|%s)" % (TOKEN, TOKEN, QUOTED), re.DOTALL)
WEIGHT = re.compile(rb"0(\.[0-9]{0,3})?|1(\.0{0,3})?")

OPENMETRICS = b"application/openmetrics-text"
TEXT = "text/plain; version=0.0.4; charset=utf-8"


def elements(values):
    """`(name, parameters, weight)` of each well-formed element of all headers, in their order."""
    for value in values:
        position = 0
        while position <= len(value):
            element = ELEMENT.match(value, position)
            position = element.end() + 1
            parsed = RANGE.fullmatch(element[0])
            found = parsed and parameters(parsed[2])
            if found is None:
                continue
            weight = found.pop(b"q", b"1")
            if WEIGHT.fullmatch(weight):
                yield parsed[1].lower(), found, float(weight)


def parameters(text):
    """The relevant parameters, or None if one of them appears twice."""
    found = {}
    for name, value in ONE_PARAMETER.findall(text):
        name = name.lower()
        if value.startswith(b'"'):
            value = re.sub(rb"\\(.)", rb"\1", value[1:-1], flags=re.DOTALL)
        if name in (b"q", b"version", b"escaping"):
            if name in found:
                return None
            found[name] = value
    return found


def content_type(values):
    named, text = [], {}
    for position, (name, found, weight) in enumerate(elements(values)):
        version = found.get(b"version", b"1.0.0")
        escaping = found.get(b"escaping", b"").lower()
        if name == OPENMETRICS and version in (b"1.0.0", b"0.0.1"):
            answer = f"{OPENMETRICS.decode()}; version={version.decode()}; charset=utf-8"
            named.append((-weight, position, answer + repeated(escaping)))
        elif name == b"text/plain":
            text.setdefault(name, []).append((-weight, position, TEXT + repeated(escaping)))
        elif name in (b"text/*", b"*/*"):
            text.setdefault(name, []).append((-weight, position, TEXT))
    for specific in (b"text/plain", b"text/*", b"*/*"):
        if specific in text:
            named.append(min(text[specific]))
            break
    best = min(named, default=(0, 0, TEXT))
    return best[2] if best[0] else TEXT


def repeated(escaping):
    known = escaping in (b"allow-utf-8", b"underscores", b"dots", b"values")
    return f"; escaping={escaping.decode()}" if known else ""


def coding(values):
    gzip, anything = [], []
    for name, _, weight in elements(values):
        if name in (b"gzip", b"x-gzip"):
            gzip.append(weight)
        elif name == b"*":
            anything.append(weight)
    return "gzip" if max(gzip or anything, default=0) else ""


def negotiation(accept, accept_encoding):
    return f"{content_type(unpacked(accept))}\n{coding(unpacked(accept_encoding))}"


# --- pages --------------------------------------------------------------------

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(
    rf"(?P<name>{NAME})(?:\{{(?P<labels>{LABEL}(?:,{LABEL})*)\}})?"
    r" (?P<value>NaN|[+-]Inf|[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)(?: (?P<timestamp>-?[0-9]+))?"
)
ONE_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
COMMENT = re.compile(rf"# (?P<what>HELP|TYPE) (?P<name>{NAME}) (?P<text>(?:[^\\\n]|\\[\\n])*)")
TYPES = {
    "counter": ("",),
    "gauge": ("",),
    "untyped": ("",),
    "summary": ("", "_sum", "_count"),
    "histogram": ("_bucket", "_sum", "_count"),
}


class Complaint(Exception):
    pass


def require(holds, complaint, *details):
    if not holds:
        raise Complaint(" ".join([complaint, *map(repr, details)]))


def unescape(text):
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), text)


def read_text(page, is_sorted):
    """`{name: (type, help, {(sample, labels): (value, timestamp)})}` of a page in 0.0.4.

    It is stricter than real parsers: a family is in one piece, with HELP before TYPE before the samples.
    """
    families = {}
    require(not page or page.endswith("\n"), "no line feed at the end")
    help_of = kind = current = None
    for line in page.split("\n")[:-1]:
        comment = COMMENT.fullmatch(line)
        if comment and comment["what"] == "HELP":
            require(kind is None or families[current][2], "a family without samples", current)
            current, help_of, kind = comment["name"], unescape(comment["text"]), None
            require(current not in families, "a second family", current)
        elif comment:
            kind = comment["text"]
            require(comment["name"] == current, "TYPE without HELP", line)
            require(current not in families and kind in TYPES, "not a type", line)
            families[current] = (kind, help_of, {})
        else:
            found = SAMPLE.fullmatch(line)
            require(found, "not a sample", line)
            require(kind, "a sample without a family", line)
            suffix = found["name"].removeprefix(current)
            require(found["name"].startswith(current) and suffix in TYPES[kind], "astray", line)
            pairs = [(n, unescape(v)) for n, v in ONE_LABEL.findall(found["labels"] or "")]
            require(not is_sorted or pairs == sorted(pairs), "labels out of order", line)
            labels = dict(pairs)
            require(len(labels) == len(pairs), "a label twice", line)
            require(not any(name.startswith("__") for name in labels), "a reserved label", line)
            key = found["name"], frozenset(labels.items())
            samples = families[current][2]
            require(key not in samples, "a sample twice", line)
            samples[key] = float(found["value"]), found["timestamp"]
    for name, (kind, _, samples) in families.items():
        if kind == "histogram":
            check_histogram(name, samples)
    shown = [key[0] for _, _, samples in families.values() for key in samples]
    owners = collections.Counter(
        name for family, (_, _, samples) in families.items() for name in {s[0] for s in samples}
    )
    require(all(owners[name] == 1 for name in shown), "a name in two families")
    return families


def check_histogram(name, samples):
    series = {}
    for (sample, labels), (value, _) in samples.items():
        labels = dict(labels)
        if sample == f"{name}_bucket":
            bound = labels.pop("le", None)
            require(bound is not None, "a bucket without a bound", name)
            series.setdefault(frozenset(labels.items()), []).append((float(bound), value))
    for labels, buckets in series.items():
        require(buckets == sorted(buckets), "buckets out of order", name)
        counts = [count for _, count in buckets]
        require(counts == sorted(counts), "buckets that are not cumulative", name)
        require(buckets[-1][0] == math.inf, "no +Inf bucket", name)
        count = samples.get((f"{name}_count", labels), (counts[-1], None))[0]
        require(count == counts[-1], "_count is not the +Inf bucket", name)


def same(one, other):
    return one == other or (math.isnan(one) and math.isnan(other))


def pages(escaping, open_page, text_page, *expected):
    escaping, open_page, text_page = escaping.decode(), open_page.decode(), text_page.decode()
    read = list(openmetrics.text_string_to_metric_families(open_page))
    require(open_page.endswith("# EOF\n"), "no # EOF")
    for one in expected:
        check_expected({family.name: family for family in read}, escaping, *unpacked(one))
    if escaping == exposition.ALLOWUTF8:
        return ""
    # The extra label of errors has the place of its name without escapes.
    text = read_text(text_page, is_sorted=escaping != exposition.DOTS)
    in_text = {key: sample for _, _, samples in text.values() for key, sample in samples.items()}
    in_open = {}
    for family in read:
        require(family.samples, "a family without samples", family.name)
        require(family.type, "a family without a type", family.name)
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            require(key not in in_open, "a sample twice", key)
            in_open[key] = float(sample.value), sample.timestamp
            if sample.exemplar:
                length = sum(len(k) + len(v) for k, v in sample.exemplar.labels.items())
                require(length <= 128, "a long exemplar", sample)
    created = {
        f"{family.name}_created"
        for family in read
        if family.type in ("counter", "histogram", "summary")
    }
    for key, (value, timestamp) in in_open.items():
        if key[0] in created:
            require(key not in in_text, "_created in 0.0.4", key)
            continue
        require(key in in_text, "not in 0.0.4", key)
        require(same(in_text[key][0], value), "another value in 0.0.4", key, value)
        require((in_text[key][1] is None) == (timestamp is None), "timestamps", key)
    # A histogram with negative observations has no sum in OpenMetrics.
    for key in in_text.keys() - in_open.keys():
        require(key[0].endswith(("_sum", "_count")), "not in OpenMetrics", key)
    check_metadata(read, text)
    return ""


def escaped_label(name, escaping):
    # Two underscores at the beginning belong to Prometheus.
    if escaping == exposition.DOTS and re.fullmatch("_[a-zA-Z0-9_]*", name):
        return name
    return exposition.escape_label_name(name, escaping)


def from_values(name):
    """The name that was escaped by values."""
    if not name.startswith("U__"):
        return name
    def character(code):
        return chr(int(code[1], 16)) if code[1] else "_"

    return re.sub("__|_([0-9a-f]+)_", character, name.removeprefix("U__"))


def check_metadata(read, text):
    suffixes = {"counter": "_total", "info": "_info"}
    types = {"info": "gauge", "stateset": "gauge", "unknown": "untyped"}
    described = {
        family.name + suffixes.get(family.type, ""): (
            types.get(family.type, family.type),
            family.documentation,
        )
        for family in read
        if not all(sample.name == f"{family.name}_created" for sample in family.samples)
    }
    # OpenMetrics has no counters without `_total`, and the independent parser skips spaces before
    # the help.
    shown = {
        name: (
            "untyped" if kind == "counter" and not name.endswith("_total") else kind,
            said.lstrip(" "),
        )
        for name, (kind, said, _) in text.items()
    }
    require(described == shown, "metadata", described)


def check_expected(families, escaping, name, help_of, *labels):
    name, help_of, *labels = (text.decode() for text in (name, help_of, *labels))
    # A counter and an info are escaped with their suffix.
    for suffix in ("_total", "_info", ""):
        escaped = exposition.escape_metric_name(name + suffix, escaping)
        if escaping == exposition.ALLOWUTF8:
            escaped = name + suffix
        elif escaping == exposition.VALUES and escaped != name + suffix:
            require(from_values(escaped) == name + suffix, "another name", escaped)
        if families.get(escaped.removesuffix(suffix)):
            name = escaped.removesuffix(suffix)
            break
    require(name in families, "not on the page", name)
    require(families[name].documentation == help_of.lstrip(" "), "another help", help_of)
    names = labels[::2]
    if escaping != exposition.ALLOWUTF8:
        names = [escaped_label(one, escaping) for one in names]
    labels = set(zip(names, labels[1::2]))
    found = [set(sample.labels.items()) for sample in families[name].samples]
    require(any(labels <= one for one in found), "none has these labels", labels)


# --- questions ----------------------------------------------------------------


def unpacked(packed):
    (count,) = struct.unpack_from(">I", packed)
    position, texts = 4, []
    for _ in range(count):
        (length,) = struct.unpack_from(">I", packed, position)
        position += 4 + length
        texts.append(packed[position - length : position])
    return texts


def answer(question):
    what, *texts = unpacked(question)
    try:
        return {b"negotiation": negotiation, b"pages": pages}[what](*texts)
    except Complaint as complaint:
        return str(complaint)
    except Exception:
        return traceback.format_exc()


def main():
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    while length := questions.read(4):
        said = answer(questions.read(*struct.unpack(">I", length))).encode()
        answers.write(struct.pack(">I", len(said)) + said)
        answers.flush()


if __name__ == "__main__":
    main()
