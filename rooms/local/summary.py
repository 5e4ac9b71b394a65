"""The summary of a cluster that has ended: how each node ended, and the bots' matches."""

from __future__ import annotations

from collections.abc import Sequence

from lastcall.local.bots.ledger import Ledger, at_quantile
from lastcall.local.child import Child
from lastcall.local.text_table import columns
from lastcall.reasons import ExitCode

HEAD = ("node", "exit", "seconds", "rooms finished/handed off/cut", "clients moved/finished/cut")


def summary(children: Sequence[Child], ledger: Ledger | None) -> str:
    """A table of the nodes, and what the bots saw, if there were bots."""
    lines = columns([HEAD, *(_row(child) for child in children)])
    return "\n".join([*lines, *(_bot_lines(ledger) if ledger else ())])


def _row(child: Child) -> tuple[str, ...]:
    done = child.finished
    if done is None:
        return (child.name, str(child.exit_code), "-", "-", "-")
    rooms = f"{done.rooms_finished}/{done.rooms_handed_off}/{done.rooms_cut}"
    clients = f"{done.clients_moved}/{done.clients_finished}/{done.clients_cut}"
    return (child.name, str(child.exit_code), f"{done.seconds:.1f}", rooms, clients)


def _bot_lines(ledger: Ledger) -> list[str]:
    first = ledger.first_match_seconds
    counts = [
        f"matches finished {ledger.matches}",
        f"first match after {'-' if first is None else f'{first:.1f} s'}",
        f"errors {ledger.errors}",
        f"gaps {ledger.gaps}",
        f"repeats {ledger.repeats}",
        f"disagreements {ledger.disagreements}",
        f"wait to join p99 {1000 * at_quantile(ledger.join_waits, 0.99):.0f} ms",
        f"at most {1000 * at_quantile(ledger.join_waits, 1):.0f} ms",
    ]
    rare = {
        "walkovers": ledger.walkovers,
        "cut": ledger.cut,
        "joins to try again": ledger.refused_joins,
        "reconnects": ledger.reconnects,
        "results of one player only": ledger.unpaired,
    }
    counts += [f"{name} {count}" for name, count in rare.items() if count]
    return [" · ".join(counts), *(f"    {text}" for text in ledger.error_texts)]


def exit_code(children: Sequence[Child], ledger: Ledger | None) -> ExitCode:
    """1 for a crash or an error that the bots saw, else 3 for anything cut, else 0."""
    codes = {child.exit_code for child in children if not child.stopped_early}
    if not codes <= {ExitCode.DRAINED, ExitCode.CUT} or (ledger and not ledger.clean):
        return ExitCode.CRASHED
    cut = any(child.finished.cut for child in children if child.finished)
    return ExitCode.CUT if cut or ExitCode.CUT in codes else ExitCode.DRAINED
