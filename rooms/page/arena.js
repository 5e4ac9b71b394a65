/** The arena: a canvas, smooth between the room's ticks; arrow keys, or a finger to run to. */

import { calm, colour, el, placeAt, setText } from "/page/dom.js";

const SIZE = 100;
const EDGE = 4; // around the field
const RUNNER = 2.6;
const BEHIND_MS = 100; // two ticks: what is drawn lies between two that have arrived
const KEPT = 6;
const STEER_MS = 80; // between two inputs that follow a finger
const NEAR = 1.5;
const HUES = [174, 22, 262, 330, 205, 90, 48, 0];
const KEYS = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
  a: [-1, 0], d: [1, 0], w: [0, -1], s: [0, 1],
};

export class Arena {
  #table;
  #canvas = el("canvas", {
    tabindex: "0",
    role: "application",
    "aria-label": "Arena. Run to the coin with the arrow keys, or with W, A, S and D.",
  });
  #scores = el("ol", { class: "scores", "aria-label": "Scores" });
  #rows = new Map(); // of the scores, by player
  #ticks = []; // {time, at, coin}, the newest last
  #hues = new Map();
  #held = new Set();
  #finger = null; // where it is, on the field
  #run = [0, 0];
  #steeredAt = 0;
  #open = true;

  root = el("div", { class: "arena" }, this.#canvas, this.#scores);

  constructor(table) {
    this.#table = table;
    this.#listen();
    requestAnimationFrame(this.#frame);
    table.status("Run to the coin: arrow keys, or press and hold where to run.", true);
  }

  message({ at, coin, scores }) {
    this.#ticks = [...this.#ticks.slice(1 - KEPT), { time: performance.now(), at, coin }];
    this.#showScores(scores);
  }

  picture() {}

  ended(result) {
    this.#open = false;
    const ranks = Object.entries(result?.scores ?? {}).sort((one, other) => other[1] - one[1]);
    return ranks.length ? `${this.#table.name(ranks[0][0])} won with ${ranks[0][1]}.` : "The match is over.";
  }

  close() {
    this.#open = false;
  }

  #listen() {
    const canvas = this.#canvas;
    const hold = (event, isDown) => {
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      if (!KEYS[key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      if (isDown) this.#held.add(key);
      else this.#held.delete(key);
      this.#steer(true);
    };
    canvas.onkeydown = (event) => hold(event, true);
    canvas.onkeyup = (event) => hold(event, false);
    canvas.onblur = () => {
      this.#held.clear();
      this.#steer(true);
    };
    const point = ({ clientX, clientY }) => {
      const box = canvas.getBoundingClientRect();
      const along = (part) => part * (SIZE + 2 * EDGE) - EDGE;
      this.#finger = [along((clientX - box.left) / box.width), along((clientY - box.top) / box.height)];
    };
    canvas.onpointerdown = (event) => {
      canvas.setPointerCapture(event.pointerId);
      point(event);
      this.#steer(true);
    };
    canvas.onpointermove = (event) => this.#finger && point(event);
    canvas.onpointerup = canvas.onpointercancel = () => {
      this.#finger = null;
      this.#steer(true);
    };
  }

  /** Says where to run, if it has changed; at most every 80 ms while a finger is followed. */
  #steer(atOnce) {
    const now = performance.now();
    if (!atOnce && now - this.#steeredAt < STEER_MS) return;
    const run = this.#wanted();
    const [dx, dy] = this.#run;
    if (Math.abs(run[0] - dx) + Math.abs(run[1] - dy) < (run[0] || run[1] ? 0.1 : 1e-9)) return;
    this.#steeredAt = now;
    this.#run = run;
    if (this.#open) this.#table.say({ dx: run[0], dy: run[1] });
  }

  #wanted() {
    const me = this.#ticks.at(-1)?.at[this.#table.you];
    if (this.#finger && me) return direction(this.#finger[0] - me[0], this.#finger[1] - me[1], NEAR);
    const sum = [...this.#held].reduce(([x, y], key) => [x + KEYS[key][0], y + KEYS[key][1]], [0, 0]);
    return [Math.max(-1, Math.min(1, sum[0])), Math.max(-1, Math.min(1, sum[1]))];
  }

  #frame = (now) => {
    if (!this.#canvas.isConnected && this.#ticks.length) return; // the player has left
    if (this.#finger) this.#steer(false);
    if (this.#ticks.length) this.#draw(now);
    if (this.#open) requestAnimationFrame(this.#frame);
  };

  #draw(now) {
    const canvas = this.#canvas;
    const side = Math.round(canvas.clientWidth * devicePixelRatio);
    if (canvas.width !== side) canvas.width = canvas.height = side;
    const pen = canvas.getContext("2d");
    const scale = side / (SIZE + 2 * EDGE);
    pen.setTransform(scale, 0, 0, scale, EDGE * scale, EDGE * scale);
    pen.clearRect(-EDGE, -EDGE, SIZE + 2 * EDGE, SIZE + 2 * EDGE);
    const { at, coin } = this.#between(now - BEHIND_MS);
    drawDisc(pen, coin, 1.8, colour("coin"));
    const { you } = this.#table;
    const onTop = Object.entries(at).sort(([one], [other]) => (one === you) - (other === you));
    for (const [player, spot] of onTop) this.#drawRunner(pen, player, spot);
  }

  #drawRunner(pen, player, spot) {
    const isYou = player === this.#table.you;
    drawDisc(pen, spot, RUNNER, this.#hue(player));
    if (isYou) {
      pen.lineWidth = 0.7;
      pen.strokeStyle = colour("ink");
      pen.stroke();
    }
    pen.fillStyle = colour("ink");
    pen.font = `${isYou ? 600 : 400} 3px system-ui, sans-serif`;
    pen.textAlign = "center";
    pen.fillText(this.#table.name(player), Math.max(3, Math.min(SIZE - 3, spot[0])), Math.max(0, spot[1] - RUNNER - 1.2));
  }

  /** Where all were at a time: between the two ticks around it. */
  #between(time) {
    const after = this.#ticks.findIndex((tick) => tick.time >= time);
    const later = this.#ticks.at(after < 0 ? -1 : after);
    const earlier = this.#ticks[after - 1];
    if (!earlier || calm.matches) return later;
    const part = (time - earlier.time) / (later.time - earlier.time || 1);
    const at = Object.entries(later.at).map(([player, to]) => [player, lerp(earlier.at[player] ?? to, to, part)]);
    return { at: Object.fromEntries(at), coin: later.coin };
  }

  #hue(player) {
    if (!this.#hues.has(player)) this.#hues.set(player, HUES[this.#hues.size % HUES.length]);
    return `hsl(${this.#hues.get(player)} 55% 48%)`;
  }

  #showScores(scores) {
    const ranks = Object.entries(scores).sort((one, other) => other[1] - one[1]);
    ranks.forEach(([player, score], index) => {
      if (!this.#rows.has(player)) this.#rows.set(player, scoreRow(this.#hue(player)));
      const { root, name, points } = this.#rows.get(player);
      placeAt(this.#scores, root, index);
      setText(name, this.#table.name(player));
      setText(points, score);
    });
    for (const [player, { root }] of this.#rows) if (!(player in scores)) root.remove();
  }
}

function scoreRow(hue) {
  const [pip, name, points] = [el("span", { class: "pip" }), el("span"), el("b")];
  pip.style.background = hue;
  return { root: el("li", {}, pip, name, points), name, points };
}

function direction(dx, dy, near) {
  const far = Math.hypot(dx, dy);
  return far < near ? [0, 0] : [Math.round((dx / far) * 100) / 100, Math.round((dy / far) * 100) / 100];
}

function lerp([fromX, fromY], [toX, toY], part) {
  return [fromX + (toX - fromX) * part, fromY + (toY - fromY) * part];
}

function drawDisc(pen, [x, y], radius, fill) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fillStyle = fill;
  pen.fill();
}
