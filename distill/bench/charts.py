"""Plots of results, by matplotlib where it is installed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MARKS = "osD^vPX*"  # since colours alone are not told apart by everybody
COLOR_LIMIT = 3.0  # dB at which the heat maps' colours end; the numbers in the cells go on
Cells = Sequence[Sequence[float | None]]  # a row for every teacher, a column for every student


def require_matplotlib() -> Any:
    """matplotlib, with its figures and tickers. ValueError, with the command that installs it, where it is missing."""
    try:
        import matplotlib.figure
        import matplotlib.ticker
    except ImportError:
        raise ValueError("the plot wants matplotlib: pip install matplotlib") from None
    return matplotlib


def find_front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of (cost, quality) pairs those that no other beats in both, by rising cost."""
    best: list[tuple[float, float]] = []
    for cost, quality in sorted(points, key=lambda p: (p[0], -p[1])):
        if not best or quality > best[-1][1]:
            best.append((cost, quality))
    return best


def plot_costs(
    title: str, names: Sequence[str], quality: Sequence[float], costs: Mapping[str, Sequence[float]], path: Path
) -> None:
    """Quality in dB against each of the costs, one dot for every name, with the front that nothing beats."""
    library = require_matplotlib()
    picture = library.figure.Figure(figsize=(12, 4.8), layout="constrained")
    dots: list[Any] = []
    for axes, (label, values) in zip(picture.subplots(1, len(costs)), costs.items(), strict=True):
        places = list(zip(values, quality, strict=True))
        axes.step(*zip(*find_front(places), strict=True), where="post", color="0.7", zorder=1)
        dots = [axes.scatter(x, y, marker=MARKS[n % len(MARKS)], zorder=2) for n, (x, y) in enumerate(places)]
        axes.set(xscale="log", xlabel=label, ylabel="PSNR, dB")
        axes.xaxis.set_major_locator(library.ticker.LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(library.ticker.NullFormatter())
        axes.grid(alpha=0.3)
        axes.margins(0.08)
    picture.legend(dots, names, loc="outside right center", title="best first")
    picture.suptitle(title)
    picture.savefig(path, dpi=100)


def plot_pairs(
    title: str, names: Sequence[str], maps: Mapping[str, Cells], failed: Sequence[tuple[int, int]], path: Path
) -> None:
    """A heat map for each title, of dB; `failed` are row and column of pairs that gave nothing."""
    library = require_matplotlib()
    side = max(3.6, 1.6 + 0.75 * len(names))  # inches
    picture = library.figure.Figure(figsize=(len(maps) * side + 1.4, side + 0.6), layout="constrained")
    drawn: Any = None
    for axes, (text, cells) in zip(picture.subplots(1, len(maps)), maps.items(), strict=True):
        drawn = draw_heat(axes, cells)
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(names)), names)
        axes.set(title=text, xlabel="student", ylabel="teacher")
        for row, column in failed:
            axes.text(column, row, "failed", ha="center", va="center", size=8)
    picture.colorbar(drawn, ax=picture.axes, extend="both", shrink=0.8, label="dB")
    picture.suptitle(title)
    picture.savefig(path, dpi=100)


def draw_heat(axes: Any, values: Cells) -> Any:
    """Coloured cells with their numbers; those without one stay grey. Orange is a loss, purple a gain."""
    numbers = [[float("nan") if value is None else value for value in line] for line in values]
    axes.set_facecolor("0.9")
    drawn = axes.imshow(numbers, cmap="PuOr", vmin=-COLOR_LIMIT, vmax=COLOR_LIMIT)
    for i, line in enumerate(values):
        for j, value in enumerate(line):
            if value is not None:
                color = "white" if abs(value) > 0.55 * COLOR_LIMIT else "black"
                axes.text(j, i, f"{value:+.2f}", ha="center", va="center", color=color, size=10)
    return drawn
