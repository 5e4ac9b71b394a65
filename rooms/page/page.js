/** The page: the playground, and the dashboard of the cluster or of one node. */

import { Charts } from "/page/charts.js";
import { followCluster } from "/page/cluster_events.js";
import { announce, byId, inFrame, plural, setData, setHidden, setText, timeOf } from "/page/dom.js";
import { EventLog } from "/page/event_log.js";
import { Nodes, keysOf } from "/page/nodes.js";
import { Playground } from "/page/playground.js";
import { confirmVerb } from "/page/verbs.js";

const PATIENCE_MS = 800; // a shorter silence of the server is not worth a banner
const KINDS_AGAIN_MS = 3_000;

const playground = new Playground();
const nodes = new Nodes();
const charts = new Charts();
const log = new EventLog();
let cluster = null;
let figures = null;
let rates = new Map(); // messages per second, by the keys of figures
let versions = "";
let kindsTimer = null;
let bannerTimer = null;

followCluster({
  cluster(event) {
    cluster = event;
    playground.reach(event.clients);
    playground.look(event);
    askKindsIfChanged();
    inFrame(showCluster);
  },
  figures(event) {
    figures = event;
    rates = charts.add(event);
    inFrame(showFigures);
  },
  log(event) {
    if (!log.add(event)) return;
    playground.hear(event);
    if (event.level === "error" || event.level === "critical") announce(`${event.node}: ${event.text}`);
  },
  found() {
    clearTimeout(bannerTimer);
    showServer("live", "live");
    if (!byId("lost").hidden) announce("The server is back");
    byId("lost").hidden = true;
    versions = ""; // it may be another server
  },
  lost() {
    showServer("lost", "no server");
    bannerTimer = setTimeout(showLost, PATIENCE_MS);
  },
});

function showCluster() {
  const { about, nodes: all, verbs, roll } = cluster;
  setText(byId("cluster-title"), about === "node" ? "Node" : "Cluster");
  byId("cluster").classList.toggle("lone", about === "node");
  showProblem(cluster.problem);
  nodes.show(cluster);
  showTotals();
  setHidden(byId("roll"), !verbs.includes("roll"));
  byId("roll").disabled = roll !== null;
  setHidden(byId("rolling"), roll === null);
  if (roll) {
    setText(byId("rolling-text"), `${roll.stage} (${roll.done} of ${roll.of})`);
    byId("rolling-bar").style.transform = `scaleX(${roll.of ? roll.done / roll.of : 0})`;
  }
  document.title = all.length > 1 ? `Lastcall · ${plural(all.length, "node")}` : `Lastcall · ${all[0]?.name ?? ""}`;
}

/** Shows the problem of an author's code, under `lastcall dev`, until a save mends it. */
function showProblem(problem) {
  const isNew = problem && problem.text !== byId("problem-text").textContent;
  if (isNew) announce(problem.title);
  else if (!problem && !byId("problem").hidden) announce("The new code runs");
  setHidden(byId("problem"), !problem);
  setText(byId("problem-title"), problem?.title ?? "");
  setText(byId("problem-place"), [problem?.file, problem?.line].filter(Boolean).join(":"));
  setText(byId("problem-text"), problem?.text ?? "");
}

function showFigures() {
  nodes.counts(figures.nodes);
  nodes.rates(rates);
  showTotals();
}

function showTotals() {
  if (!cluster) return;
  const keys = keysOf(cluster.nodes);
  const counted = cluster.nodes.map((node) => figures?.nodes[keys.get(node)] ?? node);
  // Both tiers count a room and a client, each on its side: they are counted once, unless only one tier is seen.
  const sum = (part, twice) => {
    const once = counted.filter((_, index) => cluster.nodes[index].tier !== twice);
    return (once.length ? once : counted).reduce((total, node) => total + node[part], 0);
  };
  setText(byId("totals"), `${plural(cluster.nodes.length, "node")} · ${plural(sum("rooms", "api"), "room")} · ${plural(sum("clients", "game"), "client")}`);
}

function showServer(state, text) {
  setData(byId("server"), "state", state);
  setText(byId("server-text"), text);
}

function showLost() {
  const since = cluster ? ` What you see is from ${timeOf()}.` : "";
  setText(byId("lost"), `The page has lost the server; it tries again by itself. Your games go on as long as their nodes do.${since}`);
  byId("lost").hidden = false;
}

/** The kinds change with the code, so with the versions that run. */
async function askKindsIfChanged() {
  const running = cluster.nodes.filter(({ phase }) => phase !== "starting");
  const now = JSON.stringify([...new Set(running.map(({ version, generation }) => `${version} ${generation}`))].sort());
  if (now === versions) return;
  versions = now;
  clearTimeout(kindsTimer);
  const kinds = await fetchKinds();
  if (kinds) playground.offer(kinds);
  else askKindsLater();
}

function askKindsLater() {
  clearTimeout(kindsTimer);
  kindsTimer = setTimeout(() => {
    versions = "";
    askKindsIfChanged();
  }, KINDS_AGAIN_MS);
}

/** The kinds, or null if no node tells them now. */
async function fetchKinds() {
  try {
    const answer = await fetch("/cluster/kinds");
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

byId("roll").onclick = () => confirmVerb("roll", null, cluster);
