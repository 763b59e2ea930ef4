// What has been read so far. A column is a sample of the page; of every scrape there is a number for each: what a
// counter has grown by since the scrape before, or the value of a gauge.

const BOUNDS = { bytes: 32 << 20, columns: 250_000, numbers: 6_000_000, scrapes: 1800, exemplars: 50, events: 20 };

const scrapes = [];
const past = {
  columns: [], byKey: new Map(), families: new Map(), prefixes: [], bases: [],
  last: new Float64Array(0), numbers: 0, left: 0, exemplars: [], events: [],
};

// The automatic metrics, by what follows the prefix.
const KINDS = {
  requests: "calls", errors: "errors", cancellations: "cancels", concurrent_requests: "inflight",
  active_requests: "inflight", label_overflow: "overflow", request_bytes: "in", response_bytes: "out",
  request_body_size_bytes: "in", response_body_size_bytes: "out", request_duration_seconds: "dur",
  stream_duration_seconds: "stream", first_byte_seconds: "first", first_item_seconds: "first",
  response_head_seconds: "head", oldest_request_age_seconds: "oldest", requests_longest_seconds: "longest",
};
const SUFFIX = /_(total|bucket|sum|count|created|info)$/;

const subset = (a, b) => [...a].every(([name, value]) => b.get(name) === value);
const labelText = (labels) => [...labels].map(([name, value]) => `${name}=${value}`).join(", ");

// Where layers are on the page: the crate's own names, or OpenTelemetry's.
function findPrefixes() {
  const found = new Set();
  for (const [family, type] of past.families) {
    for (const [own, beside, kind] of [
      ["requests", "concurrent_requests", "counter"],
      ["request_duration_seconds", "active_requests", "histogram"],
    ]) {
      const prefix = family.slice(0, -own.length);
      if (type === kind && family.endsWith(own) && past.families.has(prefix + beside)) found.add(prefix);
    }
  }
  past.prefixes = [...found].sort((a, b) => b.length - a.length);
}

function addColumn(key, name, labelsText) {
  const labels = labelsOf(labelsText);
  const known = past.families.has(name);
  const family = known ? name : name.replace(SUFFIX, "");
  const suffix = known ? "" : name.slice(family.length);
  const type = past.families.get(family) ?? "unknown";
  const grows = type === "counter" || /^(_bucket|_sum|_count)$/.test(suffix);
  const column = { at: past.columns.length, key, name, labels, family, suffix, type, grows, roles: [] };
  past.byKey.set(key, column.at);
  past.columns.push(column);
  return column;
}

// What a column counts of calls, as pairs of a kind and what tells it from others of that kind.
function findRoles(column) {
  const { family, suffix, labels } = column;
  const prefix = past.prefixes.find((one) => family.startsWith(one) && Object.hasOwn(KINDS, family.slice(one.length)));
  if (prefix === undefined || suffix === "_created") return;
  column.prefix = prefix;
  const kind = KINDS[family.slice(prefix.length)];
  const error = labels.get("error_type");
  if (kind === "errors") column.roles.push([kind, error]);
  else if (!/^(dur|stream|first|head)$/.test(kind)) {
    // The sum of a histogram of sizes is what a counter of bytes counts.
    if (column.type !== "histogram" || suffix === "_sum") column.roles.push([kind]);
  } else if (suffix === "_bucket") column.roles.push([kind, number(labels.get("le"))]);
  else if (kind === "dur" && suffix === "_count" && !past.families.has(`${prefix}requests`)) {
    column.roles.push(["calls"]);
    if (error === "cancelled") column.roles.push(["cancels"]);
    else if (error) column.roles.push(["errors", error]);
  }
}

// The constant labels of a column's layer. They stand alone on its counter of overflown labels, if it has labels of
// requests, and on all its metrics otherwise.
function findBase(column) {
  const own = new Map([...column.labels].filter(([name]) => name !== "le" && name !== "error_type"));
  const fits = past.bases.filter((one) => one.prefix === column.prefix && subset(one.labels, own));
  column.base = fits.sort((a, b) => b.labels.size - a.labels.size)[0];
  if (!column.base) {
    column.base = { prefix: column.prefix, labels: own, key: column.prefix + JSON.stringify([...own]), begin: [] };
    past.bases.push(column.base);
  }
  if (column.family.endsWith("first_item_seconds")) column.base.items = true;
  if (column.roles[0][0] === "inflight") column.base.begin = [...own.keys()];
}

function arrange(fresh) {
  findPrefixes();
  fresh.forEach(findRoles);
  const first = (column) => ["overflow", "calls"].indexOf(column.roles[0][0]);
  const rank = (column) => (first(column) < 0 ? 2 : first(column));
  fresh.filter((column) => column.roles.length).sort((a, b) => rank(a) - rank(b)).forEach(findBase);
}

// Takes a page in. Returns what is to be said of it.
function ingest(text, now) {
  const { columns, byKey, families } = past;
  const fresh = [];
  const seen = [];
  let values = new Float64Array(Math.max(columns.length, 64)).fill(NaN);
  past.left = 0;
  const found = read(text, (family, type) => families.set(family, type), (key, name, labels, value, exemplar) => {
    let at = byKey.get(key);
    if (at === undefined) {
      if (columns.length >= BOUNDS.columns) return void past.left++;
      const column = addColumn(key, name, labels);
      fresh.push(column);
      at = column.at;
      if (at >= values.length) {
        const longer = new Float64Array(values.length * 2).fill(NaN);
        longer.set(values);
        values = longer;
      }
    }
    values[at] = value;
    if (exemplar) seen.push([columns[at], exemplar]);
  });
  if (!found.samples) return { error: found.strange ? "what it answers is no page of metrics" : "there is no metric on its page" };
  if (fresh.length) arrange(fresh);
  values = values.slice(0, columns.length);
  seen.forEach(([column, exemplar]) => keepExemplar(column, exemplar));

  const before = scrapes.at(-1);
  const restarted = Boolean(before) && hasRestarted(values, now - before.t);
  const steps = new Float64Array(columns.length);
  for (let c = 0; c < steps.length; c++) {
    const value = values[c];
    const old = c < past.last.length && !restarted ? past.last[c] : NaN;
    if (!columns[c].grows) steps[c] = value;
    // What was there at the first scrape was counted before, nobody knows when.
    else if (!before || Number.isNaN(value)) steps[c] = 0;
    // A counter that is new, or went back, began at 0.
    else steps[c] = value >= old ? value - old : value;
  }
  scrapes.push({ t: now, dt: before ? (now - before.t) / 1000 : 0, steps, restarted });
  past.last = values;
  past.numbers += steps.length;
  while (scrapes.length > 2 && (scrapes.length > BOUNDS.scrapes || past.numbers > BOUNDS.numbers)) {
    past.numbers -= scrapes.shift().steps.length;
  }
  if (restarted) tell(now, "restart", "The server restarted: its counters began again at 0.");
  return { restarted };
}

// An uptime that went back. Or counters that did, if the server is younger than the last reading or tells no uptime.
function hasRestarted(values, passed) {
  let [uptimes, back, young, calls, fewer] = [0, false, false, 0, 0];
  past.columns.forEach((column, c) => {
    const old = past.last[c];
    if (!(old >= 0)) return;
    if (isUptime(column)) {
      uptimes++;
      back ||= values[c] < old;
      young ||= values[c] * 1000 < passed;
    } else if (column.roles[0]?.[0] === "calls" && old > 0) {
      calls++;
      fewer += !(values[c] >= old);
    }
  });
  return back || (fewer > 0 && (uptimes ? young : fewer === calls));
}

const isUptime = ({ family, type }) => family.endsWith("uptime_seconds") && type === "gauge";

function uptime() {
  return Math.max(...past.columns.filter(isUptime).map((one) => past.last[one.at]).filter((one) => one >= 0));
}

function keepExemplar(column, { labels, value, time }) {
  if (!column.roles.some(([kind]) => kind === "dur" || kind === "stream")) return;
  if (past.exemplars.some((one) => one.labels === labels && one.time === time && one.value === value)) return;
  past.exemplars.push({ column, labels, value, time });
  past.exemplars.sort((a, b) => b.value - a.value);
  past.exemplars.length = Math.min(past.exemplars.length, BOUNDS.exemplars);
}

const newest = () => scrapes.at(-1).t;

function tell(t, kind, text, until) {
  past.events.push({ t, kind, text, until });
  if (past.events.length > BOUNDS.events) past.events.shift();
}
