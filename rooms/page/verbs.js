/** The commands behind the buttons: each says its consequence, and is sent when that is confirmed. */

import { announce, byId, el, grouped, plural, setText } from "/page/dom.js";

const TITLES = { roll: "Roll", cordon: "Cordon", uncordon: "Uncordon", drain: "Drain", kill: "Kill" };

/** The verbs that make sense for a node now, of those that the server carries out. */
export function verbsFor(node, verbs) {
  const open = !node.dead && (node.phase === "serving" || node.phase === "cordoned");
  const apt = {
    cordon: open && node.phase === "serving",
    uncordon: open && node.phase === "cordoned",
    drain: open,
    kill: !node.dead && node.phase !== "stopped",
  };
  return Object.keys(apt).filter((verb) => apt[verb] && verbs.includes(verb));
}

/** The consequence of a command, in words. */
export function consequence(verb, target, cluster) {
  if (verb === "roll") return rollConsequence(target, cluster);
  const peers = cluster.nodes.filter(
    (node) => node.name !== target.name && node.tier === target.tier && node.phase === "serving" && !node.dead,
  );
  const text = { cordon, uncordon, drain, kill }[verb](target);
  const isLast = cluster.about === "cluster" && verb !== "uncordon" && peers.length === 0;
  return isLast ? `${text} It is the last ${target.tier} node that serves: without it, nobody new can play.` : text;
}

function rollConsequence(tier, { nodes }) {
  const rolled = nodes.filter((node) => !node.dead && (tier === "all" || node.tier === tier));
  const which = tier === "all" ? "" : ` ${tier}`;
  return (
    `${plural(rolled.length, `${which.trim()} node`.trim())} will be replaced, one after the other. For each, a new one is started ` +
    "first; then the old one takes no new work, hands on what can move, lets the rest end, and exits when it is empty. " +
    "Players should notice nothing."
  );
}

function cordon({ name, tier }) {
  return `${name} takes no new ${newWork(tier)}. Its rooms and clients stay, and you can take this back.`;
}

function uncordon({ name, tier }) {
  return `${name} takes new ${newWork(tier)} again.`;
}

function newWork(tier) {
  return tier === "api" ? "clients" : tier === "game" ? "rooms" : "clients and rooms";
}

function drain({ name, tier, rooms, clients, grace }) {
  const limit = grace ? ` after ${grouped(grace)} s` : " at the end of its grace";
  const moves = `Its ${plural(clients, "client")} move to other nodes, one after the other, and lose no message.`;
  const ends = `Its ${plural(rooms, "room")} play on until they end, or move to another node if they can; those that are left${limit} are cut.`;
  const work = { api: moves, game: ends }[tier] ?? `${moves} ${ends}`;
  return `${name} takes no new work. ${work} The node exits when it is empty. This cannot be taken back.`;
}

function kill({ name, tier, pid, rooms, clients }) {
  const who = `${name}${pid ? ` (process ${pid})` : ""}`;
  const resume = `Its ${plural(clients, "client")} find another node and resume within a second or two.`;
  const rest = `Of its ${plural(rooms, "room")}, those that survive go on from their copy on another node; the others are lost.`;
  const work = { api: resume, game: rest }[tier] ?? `${resume} ${rest}`;
  return `${who} gets SIGKILL: it is gone at once and tells nobody. ${work}`;
}

/** Asks, then does it. `target` is a node, or null for a roll. Resolves when the dialog closes. */
export function confirmVerb(verb, target, cluster) {
  const dialog = byId("confirm");
  const tiers = byId("confirm-tiers");
  const fault = byId("confirm-error");
  let tier = "all";
  const tell = () => setText(byId("confirm-text"), consequence(verb, target ?? tier, cluster));
  const title = `${TITLES[verb]} ${target ? target.name : "the cluster"}`;
  setText(byId("confirm-title"), `${title}?`);
  setText(byId("confirm-do"), title);
  fault.hidden = true;
  tiers.hidden = verb !== "roll";
  if (verb === "roll") {
    const choose = (value) => {
      tier = value;
      tell();
    };
    tiers.replaceChildren(el("legend", {}, "Which nodes"), ...tierChoices(cluster, choose));
  }
  tell();
  const button = byId("confirm-do");
  button.className = verb === "kill" ? "primary danger" : "primary";
  button.disabled = false;
  byId("confirm-cancel").onclick = () => dialog.close();
  dialog.querySelector("form").onsubmit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    const { refusal, isForbidden } = await post(verb, target ? { node: target.name } : { tier });
    button.disabled = false;
    fault.hidden = !refusal;
    setText(fault, refusal);
    if (isForbidden) byId("confirm-token").hidden = false;
    if (refusal) return;
    announce(`Asked: ${title.toLowerCase()}`);
    dialog.close();
  };
  dialog.showModal();
  byId("confirm-cancel").focus();
}

function tierChoices({ nodes }, choose) {
  const tiers = ["api", "game"].filter((tier) => nodes.some((node) => node.tier === tier));
  const names = tiers.length > 1 ? ["all", ...tiers] : ["all"];
  return names.map((name) =>
    el("label", {}, el("input", { type: "radio", name: "tier", value: name, checked: name === "all", onchange: () => choose(name) }), ` ${name}`),
  );
}

/** Returns why it was refused; empty if it was done. A server that asks for its token may get it next time. */
async function post(verb, body) {
  const headers = { "Content-Type": "application/json", "X-Lastcall": "1" };
  const token = byId("token").value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  try {
    const answer = await fetch(`/cluster/${verb}`, { method: "POST", headers, body: JSON.stringify(body) });
    const refusal = answer.ok ? "" : (await answer.text()) || `The server answered ${answer.status}.`;
    return { refusal, isForbidden: answer.status === 403 };
  } catch {
    return { refusal: "The server does not answer. Try again when it is back.", isForbidden: false };
  }
}
