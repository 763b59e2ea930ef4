// What is looked at: the columns that pass the filter, altogether and in groups.

const view = { by: "", filter: [], window: 300, groups: [], version: "" };
const TIMES = ["dur", "stream", "first", "head"];

function newGroup(key, name, filter) {
  const group = { key, name, filter, columns: [], errors: new Map(), hist: {}, flights: new Map(), failed: [] };
  for (const kind of ["calls", "cancels", "inflight", "overflow", "in", "out", "oldest", "longest"]) group[kind] = [];
  for (const kind of TIMES) group.hist[kind] = new Map();
  return group;
}

function addTo(group, column) {
  group.columns.push(column);
  for (const [kind, of] of column.roles) {
    if (kind === "errors") {
      if (!group.errors.has(of)) group.errors.set(of, []);
      group.errors.get(of).push(column.at);
    } else if (TIMES.includes(kind)) {
      // The first item says more, where a layer knows of items.
      if (column.base.items && column.family.endsWith("first_byte_seconds")) continue;
      const key = column.base.key + labelText([...column.labels].filter(([name]) => name !== "le"));
      const series = group.hist[kind];
      if (!series.has(key)) series.set(key, []);
      series.get(key).push([of, column.at]);
    } else group[kind].push(column.at);
    if (kind === "calls" || kind === "inflight") flight(group, column)[kind].push(column.at);
  }
}

// The calls that have the same labels from their beginning, as far as the gauge tells.
function flight(group, column) {
  const { base, labels } = column;
  const key = base.key + JSON.stringify(base.begin.map((name) => labels.get(name)));
  if (!group.flights.has(key)) group.flights.set(key, { column, calls: [], inflight: [] });
  return group.flights.get(key);
}

// Histograms that have the same buckets, as one: `[{edges, columns: [[…] of each edge]}]`.
function join(series) {
  const joined = new Map();
  for (const buckets of series.values()) {
    buckets.sort((a, b) => a[0] - b[0]);
    const edges = buckets.map(([edge]) => edge);
    const key = edges.join();
    if (!joined.has(key)) joined.set(key, { edges, columns: edges.map(() => []) });
    buckets.forEach(([, at], k) => joined.get(key).columns[k].push(at));
  }
  return [...joined.values()];
}

// The labels in which layers differ, and those that all have.
function constants() {
  const { bases } = past;
  const names = new Set(bases.flatMap((base) => [...base.labels.keys()]));
  const common = [], differ = [];
  for (const name of names) {
    const value = bases[0].labels.get(name);
    if (bases.every((base) => base.labels.get(name) === value)) common.push([name, value]);
    else differ.push(name);
  }
  return { common, differ };
}

function groupOf(column, differ) {
  if (view.by) {
    const value = column.labels.get(view.by);
    return value === undefined ? null : [value, value || "(empty)", [[view.by, value]]];
  }
  const { base } = column;
  const own = differ.filter((name) => base.labels.has(name)).map((name) => [name, base.labels.get(name)]);
  const name = own.map(([, value]) => value).join(" · ") || [...base.labels.values()].join(" · ");
  const prefix = new Set(past.bases.map((one) => one.prefix)).size > 1 ? base.prefix.replace(/_$/, "") : "";
  return [base.key, [prefix, name].filter(Boolean).join(": ") || "all calls", own];
}

function look() {
  const version = JSON.stringify([past.columns.length, view.by, view.filter]);
  if (version === view.version) return;
  view.version = version;
  const { differ } = constants();
  const groups = new Map();
  view.all = newGroup("", "all calls", []);
  for (const column of past.columns) {
    if (!column.roles.length) continue;
    if (!view.filter.every(([name, value]) => column.labels.get(name) === value)) continue;
    addTo(view.all, column);
    const found = groupOf(column, differ);
    if (!found) continue;
    if (!groups.has(found[0])) groups.set(found[0], newGroup(...found));
    addTo(groups.get(found[0]), column);
  }
  view.groups = [...groups.values()];
  for (const group of [view.all, ...view.groups]) {
    group.types = [...group.errors.keys()].sort();
    group.failed = [...group.errors.values()].flat();
    for (const kind of TIMES) group.hist[kind] = join(group.hist[kind]);
  }
}

// --- numbers of a group; a range of scrapes is [from, to), and null stands for what is not known --------------------

const sum = (columns, numbers) => columns.reduce((total, c) => total + (numbers[c] || 0), 0);

function grown(columns, from, to) {
  if (!columns.length) return null;
  let total = 0;
  for (let i = from; i < to; i++) total += sum(columns, scrapes[i].steps);
  return total;
}

// The most that a gauge has shown.
function peak(columns, from, to) {
  if (!columns.length) return null;
  let most = 0;
  for (let i = from; i < to; i++) for (const c of columns) most = Math.max(most, scrapes[i].steps[c] || 0);
  return most;
}

function inAll(columns) {
  return columns.length ? sum(columns, past.last) : null;
}

function seconds(from, to) {
  let total = 0;
  for (let i = from; i < to; i++) total += scrapes[i].dt;
  return total;
}

function rate(columns, from, to) {
  const time = seconds(from, to);
  const total = grown(columns, from, to);
  return total === null || !time ? null : total / time;
}

// The first scrape that tells of the time after `t`.
function since(t) {
  let i = scrapes.length;
  while (i > 0 && scrapes[i - 1].t > t) i--;
  return i;
}

// How many calls were in each bucket: `{edges, counts}`, the last edge being infinite.
function buckets(joined, from, to) {
  const all = joined.map(({ edges, columns }) => ({ edges, up: columns.map((c) => grown(c, from, to)) }));
  if (!all.length) return null;
  const edges = all.length === 1 ? all[0].edges : [...new Set(all.flatMap((one) => one.edges))].sort((a, b) => a - b);
  const up = edges.map((edge) => all.reduce((total, one) => total + under(one, edge), 0));
  return { edges, counts: up.map((n, k) => Math.max(0, n - (k ? up[k - 1] : 0))) };
}

// How many were at most `x`, as far as a histogram tells: in proportion within a bucket.
function under({ edges, up }, x) {
  const k = edges.findIndex((edge) => edge >= x);
  if (k < 0) return up.at(-1);
  if (edges[k] === x) return up[k];
  const [low, n] = k ? [edges[k - 1], up[k - 1]] : [0, 0];
  return edges[k] === Infinity ? n : n + ((up[k] - n) * (x - low)) / (edges[k] - low);
}

// As PromQL's histogram_quantile. `over` says that only a lower bound is known.
function quantile(q, found) {
  const total = found ? found.counts.reduce((a, b) => a + b, 0) : 0;
  if (!total || found.edges.length < 2) return null;
  let left = q * total;
  let k = found.counts.findIndex((n) => n >= left || ((left -= n), false));
  if (k < 0) k = found.counts.length - 1;
  const low = k ? found.edges[k - 1] : 0;
  if (found.edges[k] === Infinity) return { value: low, over: true };
  return { value: low + ((found.edges[k] - low) * left) / (found.counts[k] || 1), over: false };
}

// Since when at least one call has been in flight, where there is one: `[[t, column]]`, the oldest first.
function oldest(group) {
  const all = [...group.flights.values()].filter((one) => sum(one.inflight, past.last) > 0);
  return all.map((one) => [lasting(one), one.column]).filter(([t]) => t !== null).sort((a, b) => a[0] - b[0]);
}

// So many were in flight then, and fewer have ended since.
function lasting(group) {
  let ended = 0, found = null;
  for (let i = scrapes.length - 1; i >= 0; i--) {
    if (sum(group.inflight, scrapes[i].steps) > ended) found = scrapes[i].t;
    if (scrapes[i].restarted) break;
    ended += sum(group.calls, scrapes[i].steps);
  }
  return found;
}

// When the failures that go on now began: none was more than a minute after the one before. `early` if the page does
// not reach back farther.
function began(columns) {
  let found = null, last = newest();
  for (let i = scrapes.length - 1; i > 0; i--) {
    if (scrapes[i].t < last - 60_000) break;
    if (sum(columns, scrapes[i].steps) > 0) found = last = scrapes[i].t;
  }
  return found;
}

// The last minute of a group in numbers.
function minute(group, from = since(newest() - 60_000)) {
  const to = scrapes.length;
  const dur = buckets(group.hist.dur, from, to);
  return {
    group, from, to,
    calls: grown(group.calls, from, to), failed: grown(group.failed, from, to), cancelled: grown(group.cancels, from, to),
    overflow: grown(group.overflow, from, to), time: seconds(from, to), inflight: inAll(group.inflight),
    age: peak(group.oldest, to - 1, to), longest: peak(group.longest, from, to),
    p: [0.5, 0.9, 0.99].map((q) => quantile(q, dur)),
    byType: () => group.types.map((type) => [type, grown(group.errors.get(type), from, to)]).filter(([, n]) => n > 0)
      .sort((a, b) => b[1] - a[1]),
  };
}
