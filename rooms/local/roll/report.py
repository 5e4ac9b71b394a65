"""Formats the report of a roll for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from lastcall.local.control.messages import NodeReport, Players, RollReport
from lastcall.local.text_table import columns, counted

HEAD = (
    "node",
    "version",
    "exit",
    "seconds",
    "rooms finished/regrouped/abandoned/handed off/cut",
    "clients moved/finished/cut",
)


def report_text(report: RollReport) -> str:
    """A line for each replaced node, what the players saw, and the verdict."""
    tiers = "game and api nodes" if report.tier == "all" else f"{report.tier} nodes"
    head = f"Roll of the {tiers} to {report.version}: {report.seconds:.1f} s"
    rows = [_row(node) for node in report.nodes]
    return "\n".join(
        [
            head,
            *(columns([HEAD, *rows]) if rows else ()),
            f"new nodes: {', '.join(report.started) or 'none'}",
            *_hand_off_lines(report.nodes),
            *(_player_lines(report.players) if report.players else ()),
            _verdict(report),
        ]
    )


def _row(node: NodeReport) -> tuple[str, ...]:
    code = "drains" if node.exit_code is None else str(node.exit_code)
    done = node.finished
    if done is None:
        return (node.name, node.version, code, "-", "-", "-")
    rooms = (
        done.rooms_finished,
        done.rooms_regrouped,
        done.rooms_abandoned,
        done.rooms_handed_off,
        done.rooms_cut,
    )
    clients = (done.clients_moved, done.clients_finished, done.clients_cut)
    seconds = f"{done.seconds:.1f}"
    return (node.name, node.version, code, seconds, _slashed(rooms), _slashed(clients))


def _slashed(counts: Sequence[int]) -> str:
    return "/".join(map(str, counts))


def _hand_off_lines(nodes: Sequence[NodeReport]) -> list[str]:
    """How many rooms go on elsewhere, and why nodes refused some."""
    count = sum(node.finished.rooms_handed_off for node in nodes if node.finished)
    lines = [
        f"    {node.name}: {each.kind}: {each.reason}" for node in nodes for each in node.refusals
    ]
    if lines:
        lines.insert(0, "hand-offs that were refused:")
    if count:
        rooms = f"{counted(count, 'room')} {'was' if count == 1 else 'were'}"
        lines.insert(0, f"{rooms} handed off: the players went on at another game node.")
    return lines


def _player_lines(players: Players) -> list[str]:
    noticed = f"refused {players.refused} · cut {players.cut}"
    waits = [_ms(seconds) for seconds in (players.wait_p50, players.wait_p99, players.wait_max)]
    return [
        f"players who noticed: {noticed} · lost {players.lost} · repeated {players.repeated}",
        f"{players.bots} bots meanwhile: {players.matches} matches, {players.joins} joins",
        "wait to join: p50 {}, p99 {}, at most {}".format(*waits),
        f"hops per client: {players.hops_mean:.2f} on average, {players.hops_max} at most",
        *(f"    {text}" for text in players.troubles),
    ]


def _problem(node: NodeReport) -> str:
    """Why the node did not end cleanly."""
    done = node.finished
    counts = ((done.rooms_cut, "room"), (done.clients_cut, "client")) if done else ()
    cut = [counted(count, what) for count, what in counts if count]
    if cut:
        return f"{node.name} cut {' and '.join(cut)}"
    if node.exit_code is None:
        return f"{node.name} is still draining"
    return f"{node.name} ended with exit code {node.exit_code}"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


def _verdict(report: RollReport) -> str:
    if report.failure is not None:
        return f"The roll has stopped: {report.failure}"
    problems = "; ".join(_problem(node) for node in report.nodes if not node.clean)
    outcome = f"NOT ALL NODES ENDED CLEANLY: {problems}" if problems else "nothing was cut"
    if report.players is None:
        return f"By the nodes' own reports, {outcome}. Nobody was watching: there are no bots."
    if report.players.noticed:
        return "PLAYERS NOTICED."
    return f"Nobody noticed; {outcome}."
