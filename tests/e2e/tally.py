"""Reads the numbers of a page in the 0.0.4 text format."""

import dataclasses
import re

from clients import wait_until

LABELS = {
    "component": "dyn_example_component",
    "endpoint": "dyn_example_endpoint",
    "namespace": "dyn_example_namespace",
}

ERROR_TYPES = (
    "deserialization",
    "generate",
    "invalid_message",
    "overloaded",
    "panic",
    "publish_final",
    "publish_response",
    "response_stream",
    "timeout",
)

SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
LABEL = re.compile(r'([a-zA-Z_]\w*)="([^"\\]*)"')


def samples(page):
    """Returns `{(name, labels): number}` of all samples. Labels are sorted by name."""
    found = {}
    for line in page.splitlines():
        if not line or line.startswith("#"):
            continue
        match = SAMPLE.match(line)
        if not match:
            raise AssertionError(f"not a sample: {line!r}")
        key = match["name"], tuple(sorted(LABEL.findall(match["labels"] or "")))
        if key in found:
            raise AssertionError(f"twice on the page: {line!r}")
        found[key] = float(match["value"])
    return found


@dataclasses.dataclass
class Tally:
    """The outcomes of all calls so far."""

    requests: int = 0
    completed: int = 0
    cancellations: int = 0
    errors: dict = dataclasses.field(default_factory=dict)
    durations: int = 0
    concurrent: int = 0

    def __post_init__(self):
        self.errors = {name: self.errors.get(name, 0) for name in ERROR_TYPES}

    @classmethod
    def of(cls, *, completed=0, cancellations=0, **errors):
        """Returns the numbers without open calls, from the number of calls by outcome."""
        total = completed + cancellations + sum(errors.values())
        return cls(total, completed, cancellations, errors, total, 0)

    @classmethod
    def read(cls, page):
        """Returns the numbers of a page."""
        found = samples(page)

        def value(name, **more):
            key = name, tuple(sorted({**LABELS, **more}.items()))
            if key not in found:
                raise AssertionError(f"not on the page: {key}\n{page}")
            return found[key]

        requests = value("requests_total")
        cancellations = value("cancellations_total")
        durations = value("request_duration_seconds_count")
        in_last_bucket = value("request_duration_seconds_bucket", le="+Inf")
        if durations != in_last_bucket:
            raise AssertionError(f"_count is {durations}, the +Inf bucket {in_last_bucket}")
        errors = {
            dict(labels)["error_type"]: number
            for (name, labels), number in found.items()
            if name == "errors_total"
        }
        if sorted(errors) != sorted(ERROR_TYPES):
            raise AssertionError(f"the error types of the page are {sorted(errors)}")
        completed = requests - cancellations - sum(errors.values())
        concurrent = value("concurrent_requests")
        return cls(requests, completed, cancellations, errors, durations, concurrent)


def wait_for(example, **endings):
    """Waits until this many calls have ended, then compares all numbers."""
    expected = Tally.of(**endings)

    def at_rest():
        tally = Tally.read(example.page())
        if tally.requests < expected.requests or tally.concurrent:
            return None
        # A call may have ended while that page was written, so this reads another one.
        return Tally.read(example.page())

    try:
        tally = wait_until(f"{expected.requests} calls to end", at_rest)
    except AssertionError as error:
        raise AssertionError(f"{error}: {Tally.read(example.page())}") from None
    if tally != expected:
        raise AssertionError(f"the page says  {tally}\nit should be   {expected}")
