/** Live charts: messages, lags, and what was refused or cut or what bots noticed, of the last five minutes. */

import { byId, colour, el, grouped, inFrame, onColours, setText, timeOf } from "/page/dom.js";

const KEPT = 300; // seconds
const GAP = 4; // seconds
const LEAST = 60; // seconds that a chart shows when it is new
const HEIGHT = 110;

const ms = (seconds) => {
  if (seconds === null) return "–";
  if (seconds >= 0.9995) return `${seconds.toFixed(1)} s`;
  return seconds < 0.01 ? `${(seconds * 1000).toFixed(1)} ms` : `${Math.round(seconds * 1000)} ms`;
};
const count = (value) => (value === null ? "–" : grouped(value));

const TRAFFIC = { title: "Messages a second", show: count, series: [["in", "ink-soft"], ["out", "accent"]] };
const ROUND_TRIP = { title: "Round trip of the bots", show: ms, series: [["p50", "ink-soft"], ["p99", "accent"]] };
const LAG = { title: "Loop lag, worst node", show: ms, series: [["p99", "accent"]] };
const FAULTS = {
  title: "Bots' trouble, in all",
  show: count,
  series: [["refused", "ink-soft"], ["cut", "warm"], ["lost", "hot"], ["repeated", "accent"]],
};

const REFUSALS = { title: "Refused and cut a second", show: count, series: [["refused", "ink-soft"], ["cut", "warm"]] };

export class Charts {
  #root = byId("charts");
  #charts = new Map(); // by their definition
  #last = null;

  /** Takes a `figures` event; returns the messages per second of each node, by the keys of the event. */
  add({ at, nodes, players }) {
    const rates = this.#last && at > this.#last.at ? ratesSince(this.#last, { at, nodes }) : new Map();
    if (!this.#last || at > this.#last.at) this.#last = { at, nodes };
    const total = (part) => [...rates.values()].reduce((sum, rate) => sum + rate[part], 0);
    const isFirst = rates.size === 0;
    this.#chart(TRAFFIC).add(at, isFirst ? [null, null] : [total("in"), total("out")]);
    if (players) {
      this.#chart(ROUND_TRIP).add(at, [players.round_trip_p50, players.round_trip_p99]);
      this.#chart(FAULTS).add(at, [players.refused, players.cut, players.lost, players.repeated]);
    } else {
      this.#chart(REFUSALS).add(at, isFirst ? [null, null] : [total("limited"), total("cut")]);
    }
    const lags = Object.values(nodes).map((node) => node.lag_p99).filter((lag) => lag !== null);
    this.#chart(LAG).add(at, [lags.length ? Math.max(...lags) : null]);
    return new Map([...rates].map(([name, rate]) => [name, rate.in + rate.out]));
  }

  #chart(kind) {
    if (!this.#charts.has(kind)) {
      const chart = new Chart(kind);
      this.#charts.set(kind, chart);
      this.#root.append(chart.root);
    }
    return this.#charts.get(kind);
  }
}

/** Counters of a node that is new, or has begun again, do not count. */
function ratesSince(before, { at, nodes }) {
  const rates = new Map();
  for (const [name, now] of Object.entries(nodes)) {
    const then = before.nodes[name];
    if (!then) continue;
    const rate = (part) => Math.max(0, now[part] - then[part]) / (at - before.at);
    rates.set(name, { in: rate("messages_in"), out: rate("messages_out"), limited: rate("limited"), cut: rate("rooms_cut") });
  }
  return rates;
}

class Chart {
  #kind;
  #data;
  #plot = null;
  #values;
  #canvas = el("div", { class: "plot", "aria-hidden": "true" });

  constructor(kind) {
    this.#kind = kind;
    this.#data = [[], ...kind.series.map(() => [])];
    this.#values = kind.series.map(() => el("b", {}, "–"));
    const legend = kind.series.map(([name, tone], index) => el("span", { "data-tone": tone }, name, " ", this.#values[index]));
    this.root = el("figure", { class: "chart" }, el("figcaption", {}, el("h3", {}, kind.title), el("p", { class: "legend" }, ...legend)), this.#canvas);
    new ResizeObserver(() => inFrame(this.#fit)).observe(this.#canvas);
    onColours(() => this.#plot?.redraw(false, true));
  }

  add(at, values) {
    const last = this.#data[0].at(-1);
    if (last !== undefined && at <= last) return; // told again by a new stream
    if (at - last > GAP) this.#push(last + 1, values.map(() => null)); // the page was hidden, or had no server
    this.#push(at, values);
    inFrame(this.#draw);
  }

  #push(at, values) {
    [at, ...values].forEach((value, index) => this.#data[index].push(value));
    if (this.#data[0].length > KEPT) this.#data.forEach((column) => column.shift());
  }

  #draw = () => {
    this.#tell(this.#plot?.cursor.idx ?? this.#data[0].length - 1);
    this.#plot?.setData(this.#data);
  };

  /** Shows the values at a place of the chart: the newest, or those below the pointer. */
  #tell(index) {
    this.#values.forEach((value, series) => setText(value, this.#kind.show(this.#data[series + 1][index] ?? null)));
  }

  #fit = () => {
    const width = Math.floor(this.#canvas.clientWidth);
    if (width === 0) return;
    if (this.#plot) this.#plot.setSize({ width, height: HEIGHT });
    else this.#plot = new globalThis.uPlot(this.#settings(width), this.#data, this.#canvas);
  };

  #settings(width) {
    const axis = { stroke: () => colour("muted"), font: "11px system-ui, sans-serif", ticks: { show: false }, gap: 4 };
    const lines = this.#kind.series.map(([label, tone]) => ({ label, stroke: () => colour(tone), width: 1.75, points: { show: false } }));
    return {
      width,
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      hooks: { setCursor: [(plot) => this.#tell(plot.cursor.idx ?? this.#data[0].length - 1)] },
      scales: { x: { time: true, range: (_plot, least, most) => [Math.min(least ?? 0, (most ?? 0) - LEAST), most ?? 0] }, y: { range: (_plot, _least, most) => [0, Math.max(most ?? 0, this.#kind.show === ms ? 0.001 : 4) * 1.1] } },
      axes: [
        { ...axis, size: 22, grid: { show: false }, space: 90, values: (_plot, splits) => splits.map((at) => timeOf(at)) },
        { ...axis, size: 46, space: 30, grid: { stroke: () => colour("line"), width: 1 }, values: (_plot, splits) => splits.map((value) => this.#kind.show(value)) },
      ],
      series: [{}, ...lines],
    };
  }
}
