"""The summary of a cluster that has ended: how each node ended, and the bots' matches."""

from __future__ import annotations

from collections.abc import Sequence

from lastcall.local.bots.ledger import Ledger, at_quantile
from lastcall.local.child import Child
from lastcall.local.text_table import columns
from lastcall.local.told import BotCounts, NodeEnd, Summary
from lastcall.reasons import ExitCode

HEAD = ("node", "exit", "seconds", "rooms finished/handed off/cut", "clients moved/finished/cut")


def summarize(children: Sequence[Child], ledger: Ledger | None, code: ExitCode) -> Summary:
    """How each node has ended, what the bots saw, if there were bots, and the exit code."""
    ends = tuple(NodeEnd(child.name, child.exit_code, child.finished) for child in children)
    return Summary(code, ends, None if ledger is None else _count(ledger))


def _count(ledger: Ledger) -> BotCounts:
    return BotCounts(
        matches=ledger.matches,
        first_match_seconds=ledger.first_match_seconds,
        errors=ledger.errors,
        gaps=ledger.gaps,
        repeats=ledger.repeats,
        disagreements=ledger.disagreements,
        wait_p99=at_quantile(ledger.join_waits, 0.99),
        wait_max=at_quantile(ledger.join_waits, 1),
        walkovers=ledger.walkovers,
        cut=ledger.cut,
        refused_joins=ledger.refused_joins,
        reconnects=ledger.hops.total(),
        unpaired=ledger.unpaired,
        error_texts=tuple(ledger.error_texts),
    )


def summary_text(summary: Summary) -> str:
    """A table of the nodes, and what the bots saw."""
    lines = columns([HEAD, *map(_row, summary.nodes)])
    return "\n".join([*lines, *(_bot_lines(summary.bots) if summary.bots else ())])


def _row(node: NodeEnd) -> tuple[str, ...]:
    done = node.finished
    if done is None:
        return (node.name, str(node.exit_code), "-", "-", "-")
    rooms = f"{done.rooms_finished}/{done.rooms_handed_off}/{done.rooms_cut}"
    clients = f"{done.clients_moved}/{done.clients_finished}/{done.clients_cut}"
    return (node.name, str(node.exit_code), f"{done.seconds:.1f}", rooms, clients)


def _bot_lines(bots: BotCounts) -> list[str]:
    first = bots.first_match_seconds
    counts = [
        f"matches finished {bots.matches}",
        f"first match after {'-' if first is None else f'{first:.1f} s'}",
        f"errors {bots.errors}",
        f"gaps {bots.gaps}",
        f"repeats {bots.repeats}",
        f"disagreements {bots.disagreements}",
        f"wait to join p99 {1000 * bots.wait_p99:.0f} ms",
        f"at most {1000 * bots.wait_max:.0f} ms",
    ]
    rare = {
        "walkovers": bots.walkovers,
        "cut": bots.cut,
        "joins to try again": bots.refused_joins,
        "reconnects": bots.reconnects,
        "results of one player only": bots.unpaired,
    }
    counts += [f"{name} {count}" for name, count in rare.items() if count]
    return [" · ".join(counts), *(f"    {text}" for text in bots.error_texts)]


def exit_code(children: Sequence[Child], ledger: Ledger | None) -> ExitCode:
    """1 for a crash or an error that the bots saw, else 3 for anything cut, else 0."""
    codes = {child.exit_code for child in children if not child.stopped_early}
    if not codes <= {ExitCode.DRAINED, ExitCode.CUT} or (ledger and not ledger.clean):
        return ExitCode.CRASHED
    cut = any(child.finished.cut for child in children if child.finished)
    return ExitCode.CUT if cut or ExitCode.CUT in codes else ExitCode.DRAINED
