"""What was measured, as text for the terminal, as Markdown and as an SVG plot.

The terminal shows figures; what is kept in docs/ shows relations only, since figures of one machine say little on
another.
"""

from __future__ import annotations

import datetime
import math
import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from bench.rows import Row


@dataclass(frozen=True, slots=True)
class Line:
    """One row, measured."""

    row: Row
    ours: float | None
    theirs: float | None
    ratio: float | None
    """Times better than the original (or than the row it is beside)."""
    cpu: float | None
    """Times less processor time per delivery."""
    memory: float | None
    """Times less resident memory."""
    failure: str

    @property
    def met(self) -> bool:
        """Whether the promise is kept. A row without one keeps it."""
        if self.failure or self.ours is None:
            return False
        if self.row.limit is not None:
            return self.ours <= self.row.limit
        return self.row.floor is None or (self.ratio is not None and self.ratio >= self.row.floor)

    @property
    def promise(self) -> str:
        """The floor or limit in words."""
        if self.row.limit_text:
            return self.row.limit_text
        return times(self.row.floor) if self.row.floor is not None else ""


def times(value: float | None) -> str:
    """A relation, with as many digits as mean something."""
    if value is None:
        return "-"
    return f"{value:.0f}x" if value >= 9.95 else f"{value:.1f}x" if value >= 1.95 else f"{value:.2f}x"


def figure(value: float | None) -> str:
    """A measured value for the terminal."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


TEXT = "{:<38} {:>14} {:>14} {:>8} {:>15} {:>8} {:>8}  {}"


def heading() -> str:
    return TEXT.format("", "mosq", "original", "better", "at least", "CPU", "memory", "")


def text(line: Line) -> str:
    """One line of the table on the terminal."""
    return TEXT.format(
        line.row.name,
        figure(line.ours),
        figure(line.theirs),
        times(line.ratio),
        line.promise,
        times(line.cpu),
        times(line.memory),
        line.failure or ("" if line.met else "not met"),
    )


def processor() -> str:
    """The kind of processor, as the kernel names it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"model name", "Model"}:
            return value.strip()
    return platform.machine()


def version_of(program: str) -> str:
    """First line of a Mosquitto's help, which names its version."""
    shown = subprocess.run([program, "-h"], capture_output=True, text=True, timeout=10, check=False).stdout
    return shown.partition("\n")[0] or program


METHOD = """\
Both brokers ran in turn on the same machine in the same run, each alone, pinned to one core, with the load generator
(`bench/load.c`) on another. The loop is closed: no more messages are under way than the scenario's window, so no
broker is forced to drop, and the rate is what the broker delivers. Payloads are 64 bytes where nothing else is said.
Each relation is one of medians of {runs} runs with fresh processes.

Both read the same configuration: one listener on the loopback interface, `allow_anonymous true`,
`max_queued_messages 0` (nothing is dropped from a queue; the windows bound what is in it), `log_type error`, and the
defaults for everything else. The windows of the QoS 1 and 2 rows fit in the default of `max_inflight_messages`.

*Better* says how many times mosq is better: more messages in a second, less time, less memory. *CPU* is how many
times less processor time the broker used for a delivery, *memory* how many times less it held afterwards. Below 1x
the original is the better one. No figures are given here, as they would say little about another machine:
`make bench` shows yours.
"""


def markdown(lines: Sequence[Line], original: str, runs: int) -> str:
    """docs/bench.md."""
    today = datetime.datetime.now(tz=datetime.UTC).date()
    machine = f"{processor()}, {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}"
    rows = [
        f"| {line.row.name}{': ' + line.row.about if line.row.about else ''} | `{line.row.scenario or 'none'}` "
        f"| {times(line.ratio)} | {line.promise} | {'yes' if line.met else '**no**'} "
        f"| {times(line.cpu)} | {times(line.memory)} |"
        for line in lines
    ]
    return "\n".join(
        [
            "# How fast and how small",
            "",
            f"mosq beside {version_of(original)}, {today}, {machine}, CPython {platform.python_version()}.",
            "",
            "![Times better than the original](bench.svg)",
            "",
            "| what | scenario | better | at least | met | CPU | memory |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *rows,
            "",
            "## How this is measured",
            "",
            METHOD.format(runs=runs),
        ]
    )


# ---- the plot --------------------------------------------------------------------------------------------------------

LABEL = 260
WIDTH = 560
STEP = 26
TOP = 56
VALUE = 40


def plot(lines: Iterable[Line]) -> str:
    """docs/bench.svg: a bar for each row on a logarithmic scale from a quarter, a mark where its floor is."""
    bars = [line for line in lines if line.ratio is not None]
    low, high = -2.0, max([4.0, *(math.ceil(math.log2(line.ratio or 1)) for line in bars)])

    def across(value: float) -> float:
        share = (math.log2(value) - low) / (high - low)
        return LABEL + WIDTH * min(max(share, 0.0), 1.0)

    bottom = TOP + STEP * len(bars)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LABEL + WIDTH + 70} {bottom + 40}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{LABEL}" y="24" font-size="15">mosq: times better than the original (black: at least)</text>',
    ]
    for power in range(int(low), int(high) + 1):
        x = across(2.0**power)
        name = f"{2**power}" if power >= 0 else f"1/{2**-power}"
        colour = "#888" if power == 0 else "#e4e4e4"
        parts.append(f'<line x1="{x:.0f}" y1="{TOP - 8}" x2="{x:.0f}" y2="{bottom}" stroke="{colour}"/>')
        parts.append(f'<text x="{x:.0f}" y="{bottom + 18}" text-anchor="middle" fill="#555">{name}x</text>')
    for i, line in enumerate(bars):
        parts += bar(line, TOP + STEP * i, across)
    return "\n".join([*parts, "</svg>", ""])


def bar(line: Line, y: int, across: Callable[[float], float]) -> list[str]:
    """The bar of one row, its label, its floor, its value."""
    ratio = line.ratio or 1.0
    one, end = across(1), across(ratio)
    colour = "#2a7ab8" if line.met else "#c8553d"
    parts = [
        f'<text x="{LABEL - 10}" y="{y + 14}" text-anchor="end">{escape(line.row.name)}</text>',
        f'<rect x="{min(one, end):.0f}" y="{y + 2}" width="{abs(end - one):.0f}" height="16" fill="{colour}"/>',
    ]
    value_at = max(one, end)
    if line.row.floor is not None:
        x = across(line.row.floor)
        parts.append(f'<line x1="{x:.0f}" y1="{y - 2}" x2="{x:.0f}" y2="{y + 22}" stroke="#111" stroke-width="2"/>')
        if value_at <= x < value_at + VALUE:
            value_at = x
    parts.append(f'<text x="{value_at + 6:.0f}" y="{y + 14}" fill="#333">{times(ratio)}</text>')
    return parts
