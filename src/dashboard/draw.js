// Elements, units, and charts. Text from the server only ever becomes the text of a node.

const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

function el(tag, properties, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((one) => one !== null && one !== undefined));
  return node;
}

function draw(tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function put(id, text) {
  $(id).textContent = text;
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const rough = new Intl.NumberFormat("en", { maximumSignificantDigits: 2 });
const NONE = "–";

const is = (n) => n !== null && n !== undefined && !Number.isNaN(n);
const count = (n) => (is(n) ? whole.format(n) : NONE);
const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

function scaled(n, unit, steps) {
  const [factor, name] = steps.find(([least]) => Math.abs(n) >= least) ?? steps.at(-1);
  return `${short.format(n / factor)} ${name}${unit}`;
}
const THOUSANDS = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""]];
const per = (n) => (is(n) ? (n && n < 0.01 ? "< 0.01 /s" : scaled(n, "/s", THOUSANDS)) : NONE);
const bytes = (n) => (is(n) ? scaled(n, "B", THOUSANDS) : NONE);
const bytesPer = (n) => (is(n) ? scaled(n, "B/s", THOUSANDS) : NONE);
const percent = (n) => (is(n) ? (n && n < 0.001 ? "< 0.1 %" : `${rough.format(n * 100)} %`) : NONE);
function duration(s) {
  if (!is(s)) return NONE;
  if (s === Infinity) return "∞";
  if (s < 60) return s ? scaled(s, "s", [[1, ""], [1e-3, "m"], [1e-6, "µ"]]) : "0 s";
  const [big, small, name, rest] = s < 3600 ? [60, 1, "min", "s"] : s < 172800 ? [3600, 60, "h", "min"] : [86400, 3600, "d", "h"];
  const left = Math.floor((s % big) / small);
  return `${Math.floor(s / big)} ${name}${left ? ` ${left} ${rest}` : ""}`;
}
const bounded = (p) => (p ? `${p.over ? "> " : ""}${duration(p.value)}` : NONE);
const clock = (t) => new Date(t).toLocaleTimeString("en-GB");

// Replaces what is in `parent`, and keeps the focus on what has the same key.
function fill(parent, nodes) {
  const key = parent.contains(document.activeElement) && document.activeElement.dataset.key;
  parent.replaceChildren(...nodes);
  if (key) [...parent.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key)?.focus({ preventScroll: true });
}

// --- charts ------------------------------------------------------------------------------------------------------

const M = { left: 62, right: 8, top: 8, bottom: 20, height: 168 };

// The scrapes of the window, a few to a point: `[{t0, t1, from, to}]`.
function points() {
  const width = frame.window / 90;
  const found = [];
  for (let i = Math.max(1, since(frame.now - frame.window)); i < scrapes.length; i++) {
    const slot = Math.floor(scrapes[i].t / width);
    const last = found.at(-1);
    if (last?.slot === slot && !scrapes[i].restarted) [last.to, last.t1] = [i + 1, scrapes[i].t];
    else found.push({ slot, from: i, to: i + 1, t0: scrapes[i - 1].t, t1: scrapes[i].t, restarted: scrapes[i].restarted });
  }
  return found;
}

function niceTop(max) {
  if (!(max > 0)) return 1;
  const step = 10 ** Math.floor(Math.log10(max));
  return [1, 2, 5, 10].map((n) => n * step).find((n) => n >= max * 0.999);
}

const scales = {
  linear: (top) => ({ of: (v) => v / top, ticks: [0, top / 2, top] }),
  log: (low, high) => {
    const [a, b] = [Math.floor(Math.log10(low)), Math.max(Math.ceil(Math.log10(high)), Math.floor(Math.log10(low)) + 1)];
    const ticks = Array.from({ length: b - a + 1 }, (_, k) => 10 ** (a + k));
    return { of: (v) => (Math.log10(Math.max(v, 10 ** a)) - a) / (b - a), ticks };
  },
};

const line = (name, x1, x2, y1, y2) => draw("line", { class: name, x1, x2, y1, y2 });

class Chart {
  constructor(title, { format, log = false, area = false }) {
    Object.assign(this, { format, log, area });
    this.svg = draw("svg", { "aria-hidden": "true" });
    this.legend = el("ul", { className: "legend" });
    this.figure = el("figure", {}, el("figcaption", {}, el("h3", {}, title)), this.legend, this.svg);
    this.svg.addEventListener("pointermove", (event) => {
      const at = (event.offsetX - M.left) / (this.svg.clientWidth - M.left - M.right);
      cursor.hover = at < 0 || at > 1 ? null : frame.now - frame.window * (1 - at);
      soon(renderCharts);
    });
    this.svg.addEventListener("pointerleave", () => {
      cursor.hover = null;
      soon(renderCharts);
    });
    $("charts").append(this.figure);
  }

  x(t) {
    return M.left + (1 - (frame.now - t) / frame.window) * (this.width - M.left - M.right);
  }

  y(part) {
    return M.height - M.bottom - Math.min(1, part) * (M.height - M.top - M.bottom);
  }

  // What all charts have: times, gaps, restarts, and the moment that is looked at.
  ground(ticks) {
    this.width = this.svg.clientWidth || 440;
    const nodes = ticks.flatMap(([part, text]) => [
      line("grid", M.left, this.width - M.right, this.y(part), this.y(part)),
      draw("text", { x: M.left - 6, y: this.y(part) + 4, "text-anchor": "end" }, text),
    ]);
    for (const part of [0, 0.5, 1]) {
      const t = frame.now - frame.window * (1 - part);
      const anchor = ["start", "middle", "end"][part * 2];
      nodes.push(draw("text", { x: this.x(t), y: M.height - 5, "text-anchor": anchor }, clock(t)));
    }
    const begin = frame.now - frame.window;
    for (const { t, kind, until } of past.events) {
      const end = until ?? frame.now;
      if (kind === "gone" && end > begin) {
        const x = this.x(Math.max(t, begin));
        nodes.push(draw("rect", { class: "gap", x, width: Math.max(2, this.x(end) - x), y: M.top, height: M.height - M.top - M.bottom }));
      } else if (kind === "restart" && t > begin) {
        nodes.push(this.upright("restart", t));
      }
    }
    return nodes;
  }

  upright(name, t) {
    return line(name, this.x(t), this.x(t), M.top, M.height - M.bottom);
  }

  moment(point) {
    return point && moment() !== null
      ? [this.upright("cursor-line", point.t1)] : [];
  }

  // `series` is `[{name, values, color}]`, with a value (or null, or {value, over}) for each point.
  lines(series) {
    const plain = (v) => (v === null ? null : (v.value ?? v));
    const numbers = series.flatMap((one) => one.values.map(plain)).filter(is);
    const low = Math.min(...numbers.filter((n) => n > 0), 0.1), high = Math.max(...numbers, 0);
    const scale = this.log ? scales.log(Math.max(low, 1e-6), Math.max(high, 1)) : scales.linear(niceTop(high));
    const nodes = this.ground(scale.ticks.map((tick) => [scale.of(tick), this.format(tick)]));
    series.forEach(({ values, color }, k) => {
      const runs = [];
      frame.points.forEach((point, i) => {
        const value = plain(values[i]);
        if (value === null) return;
        const before = i > 0 && plain(values[i - 1]) !== null;
        const late = i > 0 && point.t1 - frame.points[i - 1].t1 > frame.patience;
        if (!before || late || point.restarted) runs.push([]);
        runs.at(-1).push(`${this.x(point.t1).toFixed(1)} ${this.y(scale.of(value)).toFixed(1)}`);
      });
      for (const run of runs) {
        const [start, end] = [run[0].split(" ")[0], run.at(-1).split(" ")[0]];
        if (this.area && !k) nodes.push(draw("path", { class: `area f c${color}`, d: `M${start} ${this.y(0)}L${run.join("L")}L${end} ${this.y(0)}Z` }));
        nodes.push(draw("path", { class: `s c${color}`, d: `M${run.join("L")}` }));
        if (run.length === 1) nodes.push(draw("circle", { class: `f c${color}`, cx: start, cy: run[0].split(" ")[1], r: 2.5 }));
      }
    });
    this.svg.replaceChildren(...nodes, ...this.moment(frame.points[frame.shown]));
    this.legend.replaceChildren(...series.map(({ name, values, color }) => {
      const sample = draw("svg", { "aria-hidden": "true", viewBox: "0 0 26 10" });
      sample.append(draw("path", { class: `s c${color}`, d: "M0 5H26" }));
      const value = values[frame.shown] ?? null;
      const text = value?.value === undefined ? this.format(value) : bounded(value);
      return el("li", {}, sample, ` ${name} `, el("b", {}, text));
    }));
  }

  // How many calls lasted how long: a row for each bucket, darker where there are more.
  heat(joined) {
    const cells = frame.points.map((point) => buckets(joined, point.from, point.to));
    const edges = cells[0]?.edges ?? joined[0]?.edges ?? [];
    const most = Math.max(...cells.flatMap((one) => one?.counts ?? []), 1);
    const every = Math.ceil(edges.length / 9);
    const nodes = this.ground(edges.flatMap((edge, k) => (k % every || k === edges.length - 1 ? [] : [[(k + 1) / edges.length, duration(edge)]])));
    const high = (M.height - M.top - M.bottom) / (edges.length || 1);
    frame.points.forEach((point, i) => {
      const from = Math.max(this.x(point.t0), M.left), to = this.x(point.t1);
      cells[i]?.counts.forEach((n, k) => {
        if (!n || point.t1 - point.t0 > frame.patience) return;
        const opacity = (0.15 + 0.85 * Math.sqrt(n / most)).toFixed(2);
        const y = this.y((k + 1) / edges.length);
        nodes.push(draw("rect", { class: "f c0", opacity, x: from, y, width: Math.max(1, to - from - 0.5), height: Math.max(1, high - 1) }));
      });
    });
    this.svg.replaceChildren(...nodes, ...this.moment(frame.points[frame.shown]));
    const shown = cells[frame.shown]?.counts.map((n, k) => [n, k]).filter(([n]) => n > 0) ?? [];
    const total = shown.reduce((all, [n]) => all + n, 0);
    const top = shown.reverse().slice(0, 3).map(([n, k]) => {
      return el("li", {}, `${span(edges, k)} `, el("b", {}, count(n)));
    });
    this.legend.replaceChildren(el("li", {}, `${plural(total, "call")}, the darkest is ${count(most)}`), ...top);
  }
}

// The bounds of a bucket in words.
function span(edges, k) {
  if (edges[k] === Infinity) return `> ${duration(k ? edges[k - 1] : 0)}`;
  return k ? `${duration(edges[k - 1])} – ${duration(edges[k])}` : `≤ ${duration(edges[k])}`;
}

// Calls per second, and beneath those that failed, of a row.
function spark(group) {
  const all = frame.points.map(({ from, to }) => rate(group.calls, from, to) ?? 0);
  const bad = frame.points.map(({ from, to }) => rate(group.failed, from, to) ?? 0);
  const top = Math.max(...all, 0) || 1;
  const svg = draw("svg", { class: "spark", viewBox: "0 0 110 28", "aria-hidden": "true" });
  const x = (i) => 110 * (1 - (frame.now - frame.points[i].t1) / frame.window);
  const path = (values) => values.map((v, i) => `${i ? "L" : "M"}${x(i).toFixed(1)} ${(26 - (24 * v) / top).toFixed(1)}`).join("");
  svg.append(draw("path", { class: "s c0", d: path(all) }));
  bad.forEach((v, i) => v > 0 && svg.append(draw("rect", { class: "f c1", x: x(i) - 1, width: 2.5, y: 26 - Math.max(3, (24 * v) / top), height: Math.max(3, (24 * v) / top) })));
  return svg;
}
