/** Tic-tac-toe: nine buttons. */

import { el, setData, setText } from "/page/dom.js";

const LINES = ["012", "345", "678", "036", "147", "258", "048", "246"].map((line) => [...line].map(Number));
const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -3, ArrowDown: 3 };

export class TicTacToe {
  #table;
  #board = "---------";
  #turn = null;
  #cells;
  root;

  constructor(table) {
    this.#table = table;
    this.#cells = Array.from({ length: 9 }, (_, cell) => el("button", { type: "button", onclick: () => this.#take(cell) }));
    this.root = el("div", { class: "board", role: "group", "aria-label": "Board", onkeydown: (event) => this.#walk(event) }, ...this.#cells);
    this.#draw();
    table.status("Waiting for a second player. Invite one, or add one here.", true);
  }

  message({ board, turn }) {
    this.#board = board;
    this.#turn = turn;
    const isYours = turn === this.#table.you;
    const marks = [...board].filter((cell) => cell !== "-").length;
    const mark = marks % 2 ? "O" : "X";
    this.#table.status(isYours ? `Your turn: you are ${mark}.` : `${this.#table.name(turn, "The other player")} to move, with ${mark}.`);
    this.#draw();
  }

  picture(state) {
    if (state) this.message(state);
  }

  ended(result) {
    this.#turn = null;
    if (result?.board) this.#board = result.board;
    this.#draw();
    const winner = result?.winner;
    return winner === this.#table.you ? "You win." : winner ? `${this.#table.name(winner, "The other player")} wins.` : "A draw.";
  }

  /** The arrow keys go from cell to cell. */
  #walk(event) {
    const from = this.#cells.indexOf(document.activeElement);
    const to = from + STEPS[event.key];
    if (from < 0 || !this.#cells[to]) return;
    event.preventDefault();
    this.#cells[to].focus();
  }

  #take(cell) {
    if (this.#turn === this.#table.you && this.#board[cell] === "-") this.#table.say({ cell });
  }

  #draw() {
    const line = LINES.find(([a, b, c]) => this.#board[a] !== "-" && this.#board[a] === this.#board[b] && this.#board[a] === this.#board[c]);
    this.#cells.forEach((button, cell) => {
      const mark = this.#board[cell] === "-" ? "" : this.#board[cell];
      setText(button, mark);
      setData(button, "mark", mark);
      setData(button, "won", line?.includes(cell) ? "yes" : "no");
      const mayTake = !mark && this.#turn === this.#table.you;
      button.setAttribute("aria-disabled", String(!mayTake));
      button.setAttribute("aria-label", `Row ${Math.floor(cell / 3) + 1}, column ${(cell % 3) + 1}: ${mark || "empty"}`);
    });
  }
}
