"""Draws the costs: a panel for each workload, a bar for each contender, a line for each limit."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from lastcall.bench.load.workloads import WORKLOADS, Workload
from lastcall.bench.peers.compare import Comparison
from lastcall.bench.peers.contenders import LASTCALL
from lastcall.bench.peers.ratios import LIMITS, median_parts, runs_of
from lastcall.errors import UsageError

OURS = ("#0b6e4f", "#6bbf9b")
"""The api node, the game node."""
THEIRS, BROKER = "#c3c8cf", "#8f98a3"
INK, FAINT, LIMIT = "#22272e", "#6b7480", "#b3261e"
PANEL_INCHES, BAR_INCHES, MARGIN_INCHES, WIDTH_INCHES = 1.05, 0.33, 0.9, 9.0


def plotting() -> Any:
    """Matplotlib's pyplot; raises :class:`UsageError` where it is not installed."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 - only a picture needs it

        mpl.use("Agg")
        from matplotlib import pyplot as plt  # noqa: PLC0415
    except ImportError as error:
        raise UsageError("--plot needs matplotlib: pip install 'lastcall[bench]'") from error
    return plt


def draw(found: Comparison, file: Path) -> None:
    """Writes the picture, as PNG."""
    plt = plotting()
    costs = {name: _rows(found, name) for name in WORKLOADS}
    rows = {name: bars for name, bars in costs.items() if len(bars) > 1}  # else nothing to compare
    heights = [PANEL_INCHES + BAR_INCHES * len(bars) for bars in rows.values()]
    figure, panels = plt.subplots(
        len(rows),
        1,
        figsize=(WIDTH_INCHES, MARGIN_INCHES + sum(heights)),
        gridspec_kw={"height_ratios": heights},
        squeeze=False,
        layout="constrained",
    )
    figure.suptitle(
        "Processor time for the same work; shorter is better",
        x=0.012,
        ha="left",
        fontsize=14,
        fontweight="bold",
        color=INK,
    )
    for (panel,), (name, bars) in zip(panels, rows.items(), strict=True):
        _draw_panel(panel, found, WORKLOADS[name], bars)
    runs = found.settings.runs
    figure.supxlabel(
        f"Medians of {runs} runs, in turn on one machine; a dot is a run. Lastcall: dark its api "
        "node, light its game node.\nThe others are one process each; socket.io+redis is "
        "two, and dark its broker.\nkernel is not a server, but a loop that reads and writes.",
        x=0.012,
        ha="left",
        fontsize=8,
        color=FAINT,
    )
    figure.savefig(file, dpi=160, facecolor="white")
    plt.close(figure)


def _rows(found: Comparison, workload: str) -> list[tuple[str, dict[str, float]]]:
    """The parts of each contender's cost: Lastcall first, then the cheapest."""
    names = dict.fromkeys(one.contender for one in found.measured if one.workload == workload)
    rows = [(name, median_parts(found.measured, workload, name)) for name in names]
    return sorted(rows, key=lambda row: (row[0] != LASTCALL, sum(row[1].values())))


def _draw_panel(
    panel: Any, found: Comparison, workload: Workload, rows: list[tuple[str, dict[str, float]]]
) -> None:
    longest = 0.0
    for row, (name, parts) in enumerate(rows):
        runs = [one.micros for one in runs_of(found.measured, workload.name, name)]
        longest = max(longest, _draw_bar(panel, row, name, parts, runs))
    _draw_limits(panel, workload, {name: sum(parts.values()) for name, parts in rows})
    panel.set_title(
        f"{workload.name}: {workload.title} (µs per {workload.unit})",
        loc="left",
        fontsize=10.5,
        color=INK,
        pad=12,
    )
    panel.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=9, color=INK)
    for label, (name, _) in zip(panel.get_yticklabels(), rows, strict=True):
        label.set_fontweight(_weight(name))
    panel.invert_yaxis()
    panel.set_xlim(0, longest * 1.14)
    panel.tick_params(axis="both", length=0, labelsize=9)
    panel.tick_params(axis="x", colors=FAINT, labelsize=8)
    panel.grid(axis="x", color="#e6e9ed", lw=0.8)
    panel.set_axisbelow(True)
    for side in ("top", "right", "bottom", "left"):
        panel.spines[side].set_visible(False)


def _draw_bar(panel: Any, row: int, name: str, parts: dict[str, float], runs: list[float]) -> float:
    """Draws one contender's parts, runs and median; returns the end of the bar."""
    left = 0.0
    for index, (part, micros) in enumerate(sorted(parts.items())):
        colour = BROKER if part == "redis" else THEIRS
        if name == LASTCALL:
            colour = OURS[index % 2]
        panel.barh(row, micros, left=left, height=0.66, color=colour)
        left += micros
    panel.plot(runs, [row] * len(runs), "o", ms=2.6, color=INK, alpha=0.55, mew=0)
    end = max(left, *runs)
    panel.annotate(
        f"{statistics.median(runs):.1f} µs",
        (end, row),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
        color=INK,
        fontweight=_weight(name),
    )
    return end


def _weight(name: str) -> str:
    return "bold" if name == LASTCALL else "normal"


def _draw_limits(panel: Any, workload: Workload, costs: dict[str, float]) -> None:
    """Draws a short line over Lastcall's bar at each cost that a limit allows it."""
    limits = [one for one in LIMITS if one.workload == workload.name and one.peer in costs]
    at = sorted((limit.allowed(costs[limit.peer]), limit.peer) for limit in limits)
    for index, (cost, peer) in enumerate(at):
        panel.plot([cost, cost], [-0.46, 0.46], color=LIMIT, lw=1.6)
        first = index == 0 and len(at) > 1
        panel.annotate(
            f"limit by {peer} " if first else f" limit by {peer}",
            (cost, -0.46),
            xytext=(2 if first else -2, 2),
            textcoords="offset points",
            ha="right" if first else "left",
            fontsize=7.5,
            color=LIMIT,
        )
