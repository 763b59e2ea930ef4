// Reads a page of metrics: OpenMetrics, or the Prometheus text format.

const LABELS = /\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\}/.source;
const SAMPLE = new RegExp(
  `^([a-zA-Z_:][\\w:]*)(${LABELS})? (\\S+)(?: [-+.\\deE]+)?(?: # (${LABELS}) (\\S+)(?: (\\S+))?)?$`,
);
const LABEL = /([a-zA-Z_][\w]*)="((?:[^"\\]|\\.)*)"/g;
const INFINITE = { "+inf": Infinity, inf: Infinity, "-inf": -Infinity };

function number(text) {
  return INFINITE[text.toLowerCase()] ?? Number(text);
}

// A Map, for a label may have any name.
function labelsOf(text) {
  const labels = new Map();
  for (const [, name, value] of (text ?? "").matchAll(LABEL)) {
    labels.set(name, value.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c)));
  }
  return labels;
}

// Calls `type(family, type)` and `sample(key, name, labels, value, exemplar)` for what is on the page. Returns how
// many samples and other lines there were, and whether the end of the page was told.
function read(text, type, sample) {
  const found = { samples: 0, strange: 0, ended: false };
  for (let from = 0; from < text.length; ) {
    let to = text.indexOf("\n", from);
    if (to < 0) to = text.length;
    const line = text.slice(from, to);
    from = to + 1;
    if (line === "# EOF") found.ended = true;
    if (line.startsWith("# TYPE ")) {
      const [, , family, kind] = line.split(" ");
      type(kind === "counter" ? family.replace(/_total$/, "") : family, kind);
    }
    if (!line || line.startsWith("#")) continue;
    const match = SAMPLE.exec(line);
    const value = match ? number(match[3]) : NaN;
    if (!match || (Number.isNaN(value) && match[3] !== "NaN")) {
      found.strange++;
      continue;
    }
    found.samples++;
    const exemplar = match[4] && { labels: match[4], value: number(match[5]), time: number(match[6] ?? "NaN") };
    sample(match[1] + (match[2] ?? ""), match[1], match[2], value, exemplar);
  }
  return found;
}
