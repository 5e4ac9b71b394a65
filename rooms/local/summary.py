"""The last word on a cluster: what became of each node, and of the bots' matches."""

from __future__ import annotations

from collections.abc import Sequence

from lastcall.local.bots.ledger import Ledger
from lastcall.local.child import Child
from lastcall.local.text_table import columns
from lastcall.reasons import ExitCode

__all__ = ["exit_code", "summary"]

HEAD = ("node", "exit", "seconds", "rooms finished/cut", "clients moved/finished/cut")


def summary(children: Sequence[Child], ledger: Ledger | None) -> str:
    """A table of nodes, and what the bots saw, if there were any."""
    lines = columns([HEAD, *(_row(child) for child in children)])
    return "\n".join([*lines, *(_of_bots(ledger) if ledger else ())])


def _row(child: Child) -> tuple[str, ...]:
    done = child.finished
    if done is None:
        return (child.name, str(child.exit_code), "-", "-", "-")
    rooms = f"{done.rooms_finished}/{done.rooms_cut}"
    clients = f"{done.clients_moved}/{done.clients_finished}/{done.clients_cut}"
    return (child.name, str(child.exit_code), f"{done.seconds:.1f}", rooms, clients)


def _of_bots(ledger: Ledger) -> list[str]:
    first = ledger.first_match_seconds
    counts = [
        f"matches finished {ledger.matches}",
        f"first match after {'-' if first is None else f'{first:.1f} s'}",
        f"errors {ledger.errors}",
        f"gaps {ledger.gaps}",
        f"repeats {ledger.repeats}",
        f"disagreements {ledger.disagreements}",
        f"wait to join p99 {1000 * ledger.join_wait_p99:.0f} ms",
        f"at most {1000 * ledger.join_wait_max:.0f} ms",
    ]
    rare = {
        "walkovers": ledger.walkovers,
        "cut": ledger.cut,
        "joins to be repeated": ledger.refused_joins,
        "reconnects": ledger.reconnects,
        "results of one player only": ledger.unpaired,
    }
    counts += [f"{name} {count}" for name, count in rare.items() if count]
    return [" · ".join(counts), *(f"    {text}" for text in ledger.error_texts)]


def exit_code(children: Sequence[Child], ledger: Ledger | None) -> ExitCode:
    """1 for a crash or for what the bots found wrong, else 3 for anything cut, else 0."""
    codes = {child.exit_code for child in children if not child.stopped_early}
    if not codes <= {ExitCode.DRAINED, ExitCode.CUT} or (ledger and not ledger.clean):
        return ExitCode.CRASHED
    cut = any(child.finished.cut for child in children if child.finished)
    return ExitCode.CUT if cut or ExitCode.CUT in codes else ExitCode.DRAINED
