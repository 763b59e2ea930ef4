// Asks the exporter again and again, and shows what is known.

const PATH = document.querySelector("meta[name=metrics]").content;
// Beside this page, wherever that is mounted, with a slash at its end or without.
const SOURCE = new URL(PATH, location.origin + location.pathname.replace(/(.)\/+$/, "$1"));
const ACCEPT = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
const INTERVAL = 2_000, PATIENCE = 10_000;

const cursor = { slider: null, hover: null };
const frame = { now: Date.now(), window: 60_000, points: [], shown: -1, patience: 0, total: { p: [] }, minutes: [], common: new Map() };
const server = { state: "starting", since: Date.now(), text: "", paused: false, took: 0, restarted: 0 };
const charts = {
  calls: new Chart("Calls per second", { format: per, area: true }),
  errors: new Chart("Failures per second, by type", { format: per }),
  dur: new Chart("Duration of calls", { format: duration, log: true }),
  heat: new Chart("Durations, how many in each bucket", { format: duration }),
  inflight: new Chart("Calls in flight", { format: (n) => (is(n) ? short.format(n) : NONE), area: true }),
  groups: new Chart("Calls per second, split", { format: per }),
  first: new Chart("Time to the first item or byte", { format: duration, log: true }),
  head: new Chart("Time to the head", { format: duration, log: true }),
  stream: new Chart("Duration of streams", { format: duration, log: true }),
  bytes: new Chart("Bytes per second", { format: bytesPer, area: true }),
};

const moment = () => cursor.hover ?? cursor.slider;
const waits = new Set();
function soon(what) {
  if (waits.has(what)) return;
  waits.add(what);
  requestAnimationFrame(() => {
    waits.delete(what);
    what();
  });
}

// --- asking --------------------------------------------------------------------------------------------------------

const failed = (state, text) => Object.assign(new Error(text), { state });

async function textOf(response) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "", length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    length += value.length;
    if (length > BOUNDS.bytes) {
      reader.cancel();
      throw failed("strange", `its page is longer than ${bytes(BOUNDS.bytes)}`);
    }
    text += decoder.decode(value, { stream: true });
  }
}

async function ask() {
  const signal = AbortSignal.timeout(PATIENCE);
  const response = await fetch(SOURCE, { headers: { accept: ACCEPT }, cache: "no-store", signal });
  const text = await textOf(response);
  if (!response.ok) throw failed("refused", `${response.status} ${response.statusText}: ${text.slice(0, 160).trim() || "no reason given"}`);
  const type = response.headers.get("content-type") ?? "";
  const open = type.startsWith("application/openmetrics-text");
  if (!open && !type.startsWith("text/plain")) throw failed("strange", `what it answers is no page of metrics, but ${type || "of no type"}`);
  if (open && !/# EOF\n?$/.test(text)) throw failed("strange", "its page broke off before its end");
  return text;
}

async function poll() {
  if (server.asking) return;
  server.asking = true;
  const began = performance.now();
  try {
    const text = await ask();
    server.took = performance.now() - began;
    const now = Date.now();
    const { restarted, error } = ingest(text, now);
    if (error) throw failed("strange", error);
    if (restarted) server.restarted = now;
    come("live", now);
  } catch (error) {
    const why = error.name === "TimeoutError" ? `no answer within ${PATIENCE / 1000} s` : error.state ? error.message : "";
    come(error.state ?? "gone", Date.now(), why);
  }
  server.asking = false;
  render();
  if (server.paused) return;
  // A page that takes long is asked for less often.
  const pause = Math.max(INTERVAL, 4 * server.took);
  server.timer = setTimeout(poll, Math.max(0, pause - (performance.now() - began)));
}

const WORDS = { live: "Live", gone: "The server is gone", refused: "The server refuses", strange: "Something is wrong", restarted: "The server restarted", paused: "Paused" };

// What the server is now; what it was goes among the events.
function come(state, now, text = "") {
  server.text = text;
  if (state === server.state) return;
  const missed = past.events.at(-1);
  if (server.state !== "live" && server.state !== "starting" && missed?.kind === "gone" && !missed.until) {
    missed.until = now;
    if (state === "live") missed.text = `No numbers came for ${duration(Math.round((now - missed.t) / 1000))} (${WORDS[server.state].toLowerCase()}), from`;
  }
  if (state !== "live") tell(now, "gone", `${WORDS[state]}.`);
  if (state !== "live" || server.state !== "starting") announce(state === "live" ? "The server answers again." : `${WORDS[state]}. ${text}`);
  server.state = state;
  server.since = now;
}

// --- showing -------------------------------------------------------------------------------------------------------

function renderState() {
  const { state, since: t, text, paused } = server;
  const fresh = state === "live" && Date.now() - server.restarted < 30_000;
  const shown = paused ? "paused" : fresh ? "restarted" : state;
  const up = uptime();
  const lasting = duration(Math.round((Date.now() - t) / 1000));
  const running = up > 0 ? `up for ${duration(Math.floor(up))}` : "";
  const words = {
    starting: "The page asks for its first numbers.", paused: "Nothing is asked for until you resume.",
    live: running, restarted: `${running}; counters began again at 0.`,
  }[shown] ?? `since ${clock(t)} (${lasting})${text ? `: ${text}` : ""}. Asking on.`;
  $("state").dataset.state = shown;
  put("state-word", WORDS[shown] ?? "Starting");
  put("state-text", words);
}

function render() {
  renderState();
  if (!scrapes.length) return;
  look();
  const { common, differ } = constants();
  frame.common = new Map(common);
  put("common", labelText(common));
  frame.total = minute(view.all);
  frame.minutes = view.groups.map((group) => minute(group, frame.total.from));
  frame.minutes.sort((a, b) => (b.failed || 0) - (a.failed || 0) || inAll(b.group.calls) - inAll(a.group.calls));
  frame.differ = differ;
  renderLabels();
  const broken = renderVerdicts();
  const gone = server.state !== "live";
  put("when", gone ? `in the minute before ${clock(newest())}` : "in the last minute");
  document.title = `${gone ? "✕ gone · " : broken ? `✕ ${broken} · ` : ""}Metrics ${common.map(([, value]) => value).join(" ")}`.slice(0, 120).trim();
  renderTiles();
  renderCharts();
  renderGroups();
  renderFailures();
  renderLongest();
  renderOther();
  const { columns, left } = past;
  put("span", `${plural(scrapes.length, "reading")} over ${duration(Math.round((newest() - scrapes[0].t) / 1000))}`);
  put("bounds", `It keeps at most ${count(BOUNDS.scrapes)} readings and ${count(BOUNDS.numbers)} numbers, and has ${count(scrapes.length)} of ${count(columns.length)} now.`
    + (left ? ` There is no room for ${count(left)} more series: totals lack them.` : ""));
}

function renderCharts() {
  if (!scrapes.length) return;
  const { all } = view;
  frame.now = ["live", "starting"].includes(server.state) ? newest() : Date.now();
  if (server.paused) frame.now = newest();
  frame.window = Math.min(view.window * 1000, Math.max(30_000, frame.now - scrapes[0].t));
  frame.points = points();
  frame.patience = Math.max(3 * INTERVAL, 12 * server.took, frame.window / 25);
  const at = moment();
  frame.shown = at === null ? frame.points.length - 1 : frame.points.findIndex((point) => point.t1 >= at);
  const slider = $("cursor");
  slider.min = -Math.round(frame.window / 1000);
  if (cursor.slider !== null) slider.value = (cursor.slider - frame.now) / 1000;
  put("moment", at === null ? "now" : clock(at));
  slider.setAttribute("aria-valuetext", at === null ? "now" : clock(at));

  const each = (columns) => frame.points.map(({ from, to }) => rate(columns, from, to));
    charts.calls.lines([
    { name: "all", values: each(all.calls), color: 0 }, { name: "failed", values: each(all.failed), color: 1 }, { name: "cancelled", values: each(all.cancels), color: 2 },
  ]);
  const types = all.types.map((type) => ({ name: type, values: each(all.errors.get(type)) }));
  const weight = ({ values }) => values.reduce((a, b) => a + b, 0);
  const active = types.map((one) => [weight(one), one]).filter(([n]) => n > 0).sort((a, b) => b[0] - a[0]).map(([, one]) => one);
  const drawn = active.slice(0, 7);
  if (active.length > 7) drawn.push({ name: `and ${active.length - 7} more`, values: frame.points.map((_, i) => active.slice(7).reduce((total, one) => total + one.values[i], 0)) });
  charts.errors.lines(drawn.map((one, k) => ({ ...one, color: (k + 1) % 8 })));
  if (!drawn.length) charts.errors.legend.replaceChildren(el("li", { className: "dim" }, "None in this window."));

  for (const kind of TIMES) {
    const joined = all.hist[kind];
    charts[kind].figure.hidden = !joined.length && kind !== "dur";
    if (charts[kind].figure.hidden) continue;
    const found = frame.points.map(({ from, to }) => buckets(joined, from, to));
    const series = [["p50", 0.5, 4], ["p90", 0.9, 0], ["p99", 0.99, 3]].map(([name, q, color]) => ({ name, color, values: found.map((one) => quantile(q, one)) }));
    charts[kind].lines(series);
    if (kind === "dur") charts.heat.heat(joined);
  }
  const last = (columns) => frame.points.map(({ to }) => (columns.length ? sum(columns, scrapes[to - 1].steps) : null));
  charts.inflight.lines([{ name: "in flight", values: last(all.inflight), color: 0 }]);
  charts.bytes.lines([
    { name: "in", values: each(all.in), color: 0 }, { name: "out", values: each(all.out), color: 2 },
  ]);
  const groups = frame.minutes.slice(0, 7);
  const lines = groups.map(({ group }) => ({ name: group.name, values: each(group.calls) }));
  const rest = frame.minutes.slice(7).flatMap(({ group }) => group.calls);
  if (rest.length) lines.push({ name: `and ${count(frame.minutes.length - 7)} more`, values: each(rest) });
  charts.groups.lines(lines.map((one, k) => ({ ...one, color: [0, 2, 3, 4, 5, 6, 1, 7][k] })));
}

const on = (id, event, act) => $(id).addEventListener(event, act);

// --- controls ------------------------------------------------------------------------------------------------------

const MOST_VALUES = 200;
let known = "";

function options(select, pairs, value) {
  select.replaceChildren(...pairs.map(([own, text]) => el("option", { value: own }, text)));
  select.value = value;
}

// The labels there are, when there are new ones.
function renderLabels() {
  const version = String(past.columns.length);
  if (version === known) return;
  const names = new Set();
  for (const { labels, roles } of past.columns) if (roles.length) for (const name of labels.keys()) names.add(name);
  ["le", "error_type"].forEach((name) => names.delete(name));
  const own = [...names].filter((name) => !frame.common.has(name)).sort();
  if (!known && past.bases.length < 2 && !view.by) {
    view.by = own.find((name) => /route|template|rpc_method|grpc_method/.test(name)) ?? own[0] ?? "";
    look();
    frame.minutes = view.groups.map((group) => minute(group, frame.total.from));
  }
  known = version;
  options($("by"), [["", "endpoint"], ...own.map((name) => [name, name])], view.by);
  options($("filter-name"), [["", "no label"], ...own.map((name) => [name, name])], view.filter[0]?.[0] ?? "");
  renderControls();
}

// What is filtered for; with several labels at once, each as it was chosen.
function renderControls() {
  const select = $("filter-name");
  if (view.filter.length) select.value = view.filter.at(-1)[0];
  const name = select.value;
  const values = new Set();
  if (name) for (const { labels, roles } of past.columns) if (roles.length && labels.has(name)) values.add(labels.get(name));
  const sorted = [...values].sort();
  const chosen = view.filter.find(([label]) => label === name)?.[1];
  const listed = sorted.slice(0, MOST_VALUES);
  if (chosen !== undefined && !listed.includes(chosen)) listed.push(chosen);
  const more = sorted.length > MOST_VALUES ? [["\u0000", `and ${count(sorted.length - MOST_VALUES)} more`]] : [];
  options($("filter-value"), [["\u0000", "anything"], ...listed.map((value) => [value, value || "(empty)"]), ...more], chosen ?? "\u0000");
  $("filter-value").disabled = !name;
  $("clear").disabled = !view.filter.length;
  put("clear", view.filter.length ? `Show all, not only ${labelText(view.filter)}`.slice(0, 90) : "Show all");
}

on("by", "change", () => ((view.by = $("by").value), render()));
on("window", "change", () => {
  view.window = Number($("window").value);
  cursor.slider = null;
  $("cursor").value = 0;
  render();
});
on("filter-name", "change", () => {
  const name = $("filter-name").value;
  if (!name) view.filter = [];
  // Another label besides those that are chosen.
  const chosen = view.filter;
  view.filter = [];
  renderControls();
  view.filter = chosen;
  $("clear").disabled = !chosen.length;
  render();
});
on("filter-value", "change", () => {
  const [name, value] = [$("filter-name").value, $("filter-value").value];
  view.filter = view.filter.filter(([label]) => label !== name);
  if (value !== "\u0000") view.filter.push([name, value]);
  renderControls();
  render();
});
on("clear", "click", () => {
  view.filter = [];
  $("filter-name").value = "";
  renderControls();
  render();
});
on("cursor", "input", () => {
  const value = Number($("cursor").value);
  cursor.slider = value > -1 ? null : frame.now + value * 1000;
  renderCharts();
});
on("find", "input", () => scrapes.length && renderOther());
on("pause", "click", () => {
  server.paused = !server.paused;
  $("pause").setAttribute("aria-pressed", server.paused);
  put("pause", server.paused ? "Resume" : "Pause");
  clearTimeout(server.timer);
  if (server.paused) render();
  else poll();
});
function now() {
  if (server.paused) return;
  clearTimeout(server.timer);
  poll();
}
// A browser lets a page that nobody sees sleep.
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && now());
addEventListener("resize", () => soon(renderCharts));
// Seen once there is room for the numbers, so that nothing moves when they come.
view.all = newGroup();
renderTiles();
$("main").hidden = false;
poll();
