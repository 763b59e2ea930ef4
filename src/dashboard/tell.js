// What is broken, in words; and the lists and tables.

const ROWS = { verdicts: 5, groups: 20, log: 12, other: 50 };

// What is to be said of the last minute, the worst first: `[{level, text, key}]`.
function verdicts() {
  const now = newest();
  const found = frame.minutes.flatMap((one) => ofGroup(one, now));
  const overflow = frame.total.overflow;
  if (overflow > 0) found.push({ level: 1, key: "overflow", text: `${plural(overflow, "call")} found no room for their labels and are counted under _OTHER. Raise the layer's limit, or give it fewer label values.` });
  for (const { t, kind, text } of past.events.filter((one) => one.t > now - 300_000).reverse()) {
    found.push({ level: kind === "restart" ? 1 : 0.5, key: kind + t, text: `${text} ${clock(t)}, ${duration(Math.round((Date.now() - t) / 1000))} ago.` });
  }
  found.sort((a, b) => b.level - a.level);
  if (!found.some((one) => one.level >= 1)) {
    const calls = frame.total.calls;
    const text = scrapes.length < 2 ? "The second reading will tell what happens." : calls ? `No call failed: ${plural(calls, "call")} ended in the last ${duration(Math.round(frame.total.time))}.` : "No call ended.";
    found.unshift({ level: 0, key: "none", text });
  }
  return found;
}

function ofGroup(one, now) {
  const { group, calls, failed, cancelled, inflight } = one;
  const found = [];
  const say = (level, what, text, since) => found.push({ level, key: `${what} ${group.name}`, group, text, since });
  if (failed > 0) {
    const types = one.byType();
    const start = began(group.failed) ?? now;
    const early = start <= scrapes[1].t;
    const worst = types.some(([type]) => type === "panic") || failed >= calls * 0.05;
    const when = `${early ? "since before" : "since"} ${clock(start)}, ${duration(Math.round((now - start) / 1000))}`;
    const ratio = calls ? ` of ${count(calls)} calls (${percent(failed / calls)})` : " calls";
    say(worst ? 3 + failed / (calls || 1) : 2, "failing", `${count(failed)}${ratio} failed: ${types.map(([type, n]) => `${count(n)} × ${type}`).join(", ")}${mostly(one)}; ${when}.`);
  } else {
    const last = lastStep(group.failed);
    if (last && last.t > now - 600_000) say(0.7, "recovered", `recovered: the last failure was at ${clock(last.t)}.`);
  }
  if (cancelled >= 5 && cancelled > calls * 0.2) say(1.5, "cancelled", `${count(cancelled)} of ${count(calls)} calls were cancelled: their callers went away (${percent(cancelled / calls)}).`);
  if (inflight > 0 && !calls && one.time >= 30) {
    const start = oldest(group)[0]?.[0];
    if (start < now - 30_000) say(1.2, "stuck", `${plural(inflight, "call")} in flight and none ended in the last minute; one at least since ${clock(start)}.`);
  }
  return found;
}

// The label value that most failures have, and fewer of the calls.
function mostly({ group, from, to, failed, calls }) {
  const share = (columns, name, value, all) => grown(columns.filter((at) => past.columns[at].labels.get(name) === value), from, to) / all;
  const tried = new Set();
  for (const at of group.failed) {
    if (!grown([at], from, to)) continue;
    for (const [name, value] of past.columns[at].labels) {
      const text = `${name}=${value}`;
      if (name === "error_type" || tried.has(text)) continue;
      tried.add(text);
      const part = share(group.failed, name, value, failed);
      if (part > 0.7 && part > 1.3 * share(group.calls, name, value, calls)) return `; ${percent(part)} of them for ${text}`;
    }
    if (tried.size > 50) break;
  }
  return "";
}

function lastStep(columns) {
  for (let i = scrapes.length - 1; i > 0; i--) if (sum(columns, scrapes[i].steps) > 0) return scrapes[i];
  return null;
}

let announced = new Set();

function renderVerdicts() {
  const all = verdicts();
  const mark = (level) => (level >= 3 ? ["bad", "✕"] : level >= 1 ? ["warn", "▲"] : ["ok", level ? "○" : "●"]);
  const nodes = all.slice(0, ROWS.verdicts).map(({ level, group, text }) => {
    const [name, sign] = mark(level);
    const who = group && el("strong", {}, `${group.name} `);
    return el("li", { className: name }, el("span", { "aria-hidden": "true" }, sign), el("span", {}, who, text));
  });
  if (all.length > ROWS.verdicts) nodes.push(el("li", {}, el("span"), el("span", { className: "dim" }, `and ${count(all.length - ROWS.verdicts)} more`)));
  fill($("verdicts"), nodes);
  // Said aloud when something begins or ends, not for each number that changes.
  const bad = all.filter((one) => one.level >= 1);
  const fresh = bad.filter((one) => !announced.has(one.key));
  if (fresh.length) announce(fresh.slice(0, 3).map((one) => `${one.group?.name ?? ""} ${one.text}`).join(" "));
  else if (!bad.length && announced.size) announce("Nothing is broken any more.");
  announced = new Set(bad.map((one) => one.key));
  return bad.filter((one) => one.level >= 2).length;
}

const announce = (text) => put("announce", text);

function renderTiles() {
  const { all } = view;
  const { total } = frame;
  const time = total.time || null;
  const by = (n) => (time && n !== null ? n / time : null);
  const start = oldest(all)[0]?.[0];
  const atLeast = start && Math.round((newest() - start) / 1000);
  const { age, longest } = total;
  const tiles = [
    ["calls", "Calls", per(by(total.calls)), `${count(inAll(all.calls))} in all`],
    ["failed", "Failed", total.calls ? percent(total.failed / total.calls) : count(total.failed), `${count(total.failed)} now, ${count(inAll(all.failed))} in all`, total.failed > 0],
    ["cancelled", "Cancelled", per(by(total.cancelled)), `${count(total.cancelled)} now, ${count(inAll(all.cancels))} in all`],
    ["p50", "Duration p50", bounded(total.p[0]), "half are faster"],
    ["p90", "Duration p90", bounded(total.p[1]), "9 of 10 are faster"],
    ["p99", "Duration p99", bounded(total.p[2]), longest ? `the longest ${duration(longest)}` : "1 of 100 is slower"],
    ["inflight", "In flight", count(total.inflight), age ? `one for ${duration(age)}` : atLeast ? `one for ${duration(atLeast)} or more` : total.inflight ? "just begun" : "none"],
    ["in", "Bytes in", bytesPer(by(grown(all.in, total.from, total.to))), `${bytes(inAll(all.in))} in all`],
    ["out", "Bytes out", bytesPer(by(grown(all.out, total.from, total.to))), `${bytes(inAll(all.out))} in all`],
  ];
  $("tiles").replaceChildren(...tiles.map(([id, name, value, sub, bad]) =>
    el("div", { id: `tile-${id}` }, el("dt", {}, name), el("dd", { className: bad ? "value bad-text" : "value" }, value), el("dd", { className: "sub" }, sub))));
}

function heads(id, names) {
  const { tHead } = $(id);
  if (!tHead.rows.length) tHead.append(el("tr", {}, ...names.map((name) => el("th", { scope: "col" }, name))));
}

function renderGroups() {
  heads("groups", ["Who", "Failed", "Calls", "Trend", "Cancelled", "p50", "p90", "p99", "In flight", "Bytes in", "Bytes out"]);
  put("groups-by", `by ${view.by || "endpoint"}`);
  const cell = (main, sub, bad) => el("td", bad ? { className: "bad-text" } : {}, main, sub === undefined ? null : el("small", {}, sub));
  const below = (time) => (is(time) ? duration(time) : undefined);
  const rows = frame.minutes.slice(0, ROWS.groups).map((one) => {
    const { group, time } = one;
    const by = (n) => (time && n !== null ? n / time : null);
    const name = el("button", { type: "button", title: "Show this alone" }, group.name);
    name.dataset.key = group.key;
    name.addEventListener("click", () => {
      view.filter = [...view.filter.filter(([label]) => !group.filter.some(([own]) => own === label)), ...group.filter];
      renderControls();
      render();
    });
    const row = el("tr", {}, el("th", { scope: "row" }, group.filter.length ? name : group.name), 
      cell(one.failed ? `✕ ${one.calls ? percent(one.failed / one.calls) : count(one.failed)}` : count(one.failed), count(inAll(group.failed)), one.failed > 0),
      cell(per(by(one.calls)), count(inAll(group.calls))), el("td", {}, spark(group)),
      cell(per(by(one.cancelled)), count(inAll(group.cancels))),
      ...one.p.map((p, k) => cell(bounded(p), k > 1 ? below(one.longest) : undefined)), cell(count(one.inflight), below(one.age)),
      ...["in", "out"].map((kind) => cell(bytesPer(by(grown(group[kind], one.from, one.to))), bytes(inAll(group[kind])))));
    row.dataset.group = group.name;
    return row;
  });
  fill($("groups").tBodies[0], rows);
  const more = frame.minutes.length - rows.length;
  put("groups-more", `${more > 0 ? `and ${count(more)} more, with fewer failures and calls: filter to see them. ` : ""}Large: the last minute. Small: since the server began; where it is recorded, the longest call, and the age of the oldest.`);
}

// --- lists ---------------------------------------------------------------------------------------------------------

const when = (i) => el("time", {}, `${clock(scrapes[i].t)}`);
const where = (column) => labelText([...column.labels].filter(([name]) => name !== "error_type" && name !== "le" && !frame.common.has(name)));

// What grew in the latest scrapes, newest first: `[[i, column, n]]`.
function latest(columns, most) {
  const found = [];
  for (let i = scrapes.length - 1; i > 0 && found.length < most; i--) {
    const { steps } = scrapes[i];
    for (const at of columns) if (steps[at] > 0 && found.length < most) found.push([i, past.columns[at], steps[at]]);
  }
  return found;
}

function renderFailures() {
  const nodes = latest(view.all.failed, ROWS.log).map(([i, column, n]) => {
    const type = column.roles.find(([kind]) => kind === "errors")[1];
    return el("li", {}, when(i), `${count(n)} × `, el("strong", {}, type), ` ${where(column)}`);
  });
  const before = inAll(view.all.failed) && !nodes.length;
  if (!nodes.length) nodes.push(el("li", { className: "dim" }, before ? "None since this page was opened; some before." : "None."));
  fill($("failures"), nodes);
}

function renderLongest() {
  const shown = new Set(view.all.columns);
  const exemplars = past.exemplars.filter((one) => shown.has(one.column)).map(({ column, labels, value, time }) => {
    const ids = labelsOf(labels);
    const trace = el("code", {}, `trace ${ids.get("trace_id") ?? [...ids.values()].join(" ")}`);
    return [value, time, el("li", {}, el("time", {}, is(time) ? clock(time * 1000) : ""), el("strong", {}, duration(value)), ` ${where(column)} `, trace)];
  });
  const found = [...exemplars];
  // By bucket, the slowest first, until there are enough.
  const series = [...view.all.hist.dur, ...view.all.hist.stream];
  const tiers = series.flatMap(({ edges, columns }) => edges.map((edge, k) => ({ edges, edge, k, columns }))).sort((a, b) => b.edge - a.edge);
  for (const { edges, edge, k, columns } of tiers) {
    if (found.length >= ROWS.log + exemplars.length) break;
    columns[k].forEach((at, s) => {
      const below = k ? columns[k - 1][s] : null;
      for (let i = scrapes.length - 1; i > 0 && found.length < 2 * ROWS.log; i--) {
        const { steps } = scrapes[i];
        const n = (steps[at] || 0) - (below === null ? 0 : steps[below] || 0);
        if (n > 0) found.push([k ? edges[k - 1] : 0, scrapes[i].t, el("li", {}, when(i), `${count(n)} × `, el("strong", {}, span(edges, k)), ` ${where(past.columns[at])}`)]);
      }
    });
  }
  found.sort((a, b) => b[0] - a[0] || b[1] - a[1]);
  const now = newest();
  const running = oldest(view.all).filter(([t]) => t < now - 5_000).slice(0, ROWS.log / 2).map(([t, column]) =>
    el("li", {}, el("time", {}, "in flight"), el("strong", {}, `≥ ${duration(Math.round((now - t) / 1000))}`), ` ${where(column)}`));
  const nodes = [...running, ...found.map(([, , node]) => node)].slice(0, ROWS.log);
  if (!nodes.length) nodes.push(el("li", { className: "dim" }, "No call has ended since this page was opened."));
  fill($("longest"), nodes);
}

// Everything that is not drawn above.
function renderOther() {
  heads("other", ["Metric", "Labels", "Type", "Value", "In the last minute"]);
  const { from, to } = frame.total;
  const wanted = $("find").value.toLowerCase();
  let left = 0;
  const nodes = [];
  for (const column of past.columns) {
    const { name, labels, type, suffix, roles, at } = column;
    const value = past.last[at];
    if (roles.length || column.prefix !== undefined || suffix === "_bucket" || suffix === "_created") continue;
    if (wanted && !column.key.toLowerCase().includes(wanted)) continue;
    if (!view.filter.every(([label, own]) => !labels.has(label) || labels.get(label) === own)) continue;
    if (nodes.length >= ROWS.other) {
      left++;
      continue;
    }
    const [unit, steps] = name.includes("_bytes") ? [bytes, bytesPer] : /_seconds(_sum|_total)?$/.test(name) ? [duration, per] : [(n) => (is(n) ? (Number.isInteger(n) ? count(n) : short.format(n)) : NONE), per];
    const rated = column.grows ? (unit === duration ? `+ ${duration(grown([at], from, to))}` : steps(rate([at], from, to))) : "";
    const cells = [labelText(labels), type, unit(value), rated].map((text) => el("td", {}, text));
    cells[2].title = String(value);
    nodes.push(el("tr", {}, el("th", { scope: "row" }, name), ...cells));
  }
  fill($("other").tBodies[0], nodes);
  put("other-more", left ? `and ${count(left)} more. Find them by name or label.` : nodes.length ? "" : "None.");
}
