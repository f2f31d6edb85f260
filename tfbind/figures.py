"""Plotly figures and thinned curves from rows or arrays. Colours come from the theme of the page."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from tfbind.text import visible

CURVE_POINTS = 500
DIGITS = 5
GREY = -1
EXPLODED = 20  # times the loss at the start: what has risen that high has diverged
MARGIN = 0.06  # of the axis, above and below the curves
OBSERVED, PREDICTED = "#8a8f98", "#1a7fc4"  # grey and blue: both are seen on white and on black
AS_OBSERVED = {"line": {"color": OBSERVED, "shape": "hvh", "width": 1}, "fill": "tozeroy"}

BASE_COLOURS = ("#2ca02c", "#1f77b4", "#e69f00", "#d62728")  # A C G T
SMALLEST_LETTER = 0.01  # of the height of an axis: lower letters cannot be seen


@dataclass(frozen=True)
class Curve:
    """One line of a live chart. `y` has None where there is no value; `colour` counts through the theme's colours.

    One of colour `GREY` is one of the rest: drawn thin and behind the others, its name only under the pointer. One
    that is `level`, such as a baseline, is grey, too; its name stands at its right end, not in the legend.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    dash: Literal["solid", "dot", "dash"] = "solid"
    colour: int = 0
    level: bool = False


@dataclass(frozen=True)
class Sight:
    """The range of a loss axis: its limits, None for the whole range, and how many curves leave it."""

    limits: tuple[float, float] | None
    beyond: int


def sight(curves: Sequence[Sequence[float | None]]) -> Sight:
    """The range of a loss axis that shows the runs which did not diverge, from the values of each curve.

    A curve has diverged where it rises above `EXPLODED` times the usual start: the lower quartile over curves of
    their first value, since most runs of a sweep may have diverged within their first epoch.
    """
    known = [values for curve in curves if (values := [value for value in curve if value is not None])]
    starts = sorted(values[0] for values in known)
    limit = EXPLODED * starts[(len(starts) - 1) // 4] if starts else 0.0
    converged = [values for values in known if max(values) <= limit]
    if limit <= 0 or len(converged) == len(known):  # a loss below zero has no such scale
        return Sight(None, 0)
    visible_values = [value for values in converged or known for value in values if value <= limit]
    low, high = min(visible_values), max(visible_values)
    room = MARGIN * ((high - low) or abs(high) or 1)
    return Sight((max(0.0, low - room) if low >= 0 else low - room, high + room), len(known) - len(converged))


def curve(
    name: str, rows: list[dict[str, Any]], field: str, *, dash: Literal["solid", "dot"] = "solid", colour: int = 0
) -> Curve:
    """The curve of `field` over epochs, rounded and thinned to what a screen can show.

    Args:
        name: of the curve.
        rows: one per epoch, with `epoch`; a row without `field` leaves a gap.
        field: the key to draw.
        dash: of the line.
        colour: a number of the theme's colours.
    """
    if len(rows) > CURVE_POINTS:
        rows = [rows[place] for place in thin(np.array([row.get(field) for row in rows], float), CURVE_POINTS)]
    values = [row.get(field) for row in rows]
    y = [None if value is None else float(f"{value:.{DIGITS}g}") for value in values]
    return Curve(name, [row["epoch"] for row in rows], y, dash, colour)


def thin(values: NDArray[np.floating[Any]], limit: int) -> NDArray[np.intp]:
    """Downsample `values` to at most `limit` points without losing an extreme.

    The first and the last stay; what lies between is cut into equal parts, of which each keeps its lowest and its
    highest value, or one NaN if it has nothing else.

    Args:
        values: (N,), NaN where there is none.
        limit: at least 4.

    Returns:
        Sorted indices, all of them if N <= limit.
    """
    count = len(values)
    if count <= limit:
        return np.arange(count)
    indices = {0, count - 1}
    for part in np.array_split(np.arange(1, count - 1), (limit - 2) // 2):
        known = part[~np.isnan(values[part])]
        indices |= {known[values[known].argmin()], known[values[known].argmax()]} if len(known) else {part[0]}
    return np.array(sorted(indices), dtype=np.intp)


def plain(text: str) -> str:
    """Escape `text` for a title or a legend, where Plotly would read tags and entities."""
    return visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def exemplary(pearson: NDArray[np.floating[Any]]) -> dict[str, int]:
    """Choose example windows: those of the highest, the median and the lowest Pearson r.

    Args:
        pearson: (M,) per window, NaN where it is undefined; those windows are passed over.

    Returns:
        "best", "typical", "worst" -> index into `pearson`; {} if it is nowhere defined. Of an even number, the lower
        of the two in the middle is typical.
    """
    order = np.argsort(pearson, kind="stable")  # NaN comes last
    defined = int(np.count_nonzero(~np.isnan(pearson)))
    if not defined:
        return {}
    return {"best": int(order[defined - 1]), "typical": int(order[(defined - 1) // 2]), "worst": int(order[0])}


def profiles(
    titles: list[str], observed: NDArray[np.floating[Any]], predicted: NDArray[np.floating[Any]]
) -> go.Figure:
    """Plot observed and predicted scores along windows, one panel each.

    Args:
        titles: one per window, shown as written.
        observed, predicted: (K, L).
    """
    figure = make_subplots(
        rows=len(titles),
        shared_xaxes=True,
        shared_yaxes="all",
        vertical_spacing=0.09,
        subplot_titles=[plain(title) for title in titles],
    )
    position = np.arange(observed.shape[1])
    for row, (truth, guess) in enumerate(zip(observed, predicted, strict=True), start=1):
        figure.add_scatter(
            x=position,
            y=np.round(truth, 3),
            name="observed",
            **AS_OBSERVED,
            showlegend=row == 1,
            legendgroup="observed",
            row=row,
            col=1,
        )
        figure.add_scatter(
            x=position,
            y=np.round(guess, 3),
            name="predicted",
            line={"color": PREDICTED, "width": 2},
            showlegend=row == 1,
            legendgroup="predicted",
            row=row,
            col=1,
        )
    figure.update_annotations(x=0, xanchor="left", font_size=13)
    figure.update_xaxes(title_text="base in the window (0-based)", row=len(titles), col=1)
    figure.update_yaxes(title_text="score", col=1, row=(len(titles) + 1) // 2)
    figure.update_layout(
        height=130 * len(titles) + 90,
        margin={"l": 8, "r": 8, "t": 60, "b": 8},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.06, "yanchor": "bottom"},
        hovermode="x unified",
    )
    return figure


def bars(
    edges: NDArray[np.floating[Any]], counts: NDArray[np.integer[Any]], x_title: str, y_title: str, height: int
) -> go.Figure:
    """Plot a histogram.

    Args:
        edges: (N + 1,) of the bins.
        counts: (N,) of the bins.
        x_title, y_title: of the axes: what is binned, what is counted.
        height: of the figure, in pixels.
    """
    figure = go.Figure(
        go.Bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=counts,
            width=np.diff(edges),
            marker={"color": PREDICTED, "line": {"width": 0}},
            customdata=np.stack([edges[:-1], edges[1:]], axis=1),
            hovertemplate=f"%{{customdata[0]:.4g}} to %{{customdata[1]:.4g}}: %{{y:,}} {y_title}<extra></extra>",
        )
    )
    return figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        bargap=0.05,
        xaxis={"title": x_title},
        yaxis={"title": y_title},
    )


def pearson_histogram(pearson: NDArray[np.floating[Any]]) -> go.Figure:
    """Plot a histogram of the Pearson r of windows (N,); undefined ones are left out."""
    defined = pearson[~np.isnan(pearson)]
    counts, edges = np.histogram(np.clip(defined, -1, 1), bins=40, range=(-1, 1))
    first = int(np.argmax(counts > 0)) if counts.any() else 0
    figure = bars(edges[first:], counts[first:], "Pearson r of a window", "windows", height=320)
    return figure.update_xaxes(range=[edges[first], 1])


@dataclass(frozen=True)
class Letter:
    """A letter of a logo: base 0 to 3, centred at x = `at`, from y = `bottom`; a negative `height` goes down."""

    base: int
    at: float
    bottom: float
    height: float


def draw_letters(figure: go.Figure, letters: Iterable[Letter], **place: int) -> None:
    """Draw letters into a figure, one trace per base. `place` is the row and column of a subplot."""
    outlines: dict[int, tuple[list[float | None], list[float | None]]] = {base: ([], []) for base in range(4)}
    for letter in letters:
        x, y = outlines[letter.base]
        outline = _OUTLINES[letter.base]
        x += [*(letter.at - 0.5 + outline[:, 0]), None]
        y += [*(letter.bottom + outline[:, 1] * letter.height), None]
    for base, (x, y) in outlines.items():
        colour = BASE_COLOURS[base]
        line = {"width": 0, "color": colour}
        style = {"fill": "toself", "fillcolor": colour, "line": line, "mode": "lines"}
        figure.add_scatter(x=x, y=y, hoverinfo="skip", showlegend=False, **style, **place)


def logo_figure(heights: NDArray[np.float64], height: int = 170) -> go.Figure:
    """Plot a sequence logo.

    Args:
        heights: (4, W) in bits, of the letters A C G T of each column; the highest is drawn on top.
        height: of the figure, in pixels.
    """
    letters = []
    for column, bits in enumerate(heights.T, 1):
        bottom = 0.0
        for base in np.argsort(bits):
            if bits[base] >= SMALLEST_LETTER:
                letters.append(Letter(int(base), column, bottom, float(bits[base])))
            bottom += float(bits[base])
    figure = go.Figure()
    draw_letters(figure, letters)
    figure.update_xaxes(range=[0.5, heights.shape[1] + 0.5], dtick=1, fixedrange=True)
    figure.update_yaxes(range=[0, 2], dtick=1, title_text="bits", fixedrange=True)
    return figure.update_layout(height=height, margin={"l": 8, "r": 8, "t": 8, "b": 8})


def _arc(opening: float, flat: float) -> NDArray[np.float64]:
    """A ring open on the right by `opening` radians either side, as the outline of a C in the unit square."""
    turn = np.linspace(opening, 2 * np.pi - opening, 24)
    outer = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    inner = outer[::-1] * [1 - 2 * flat, 1 - 1.6 * flat]
    return np.concatenate([outer, inner]) * 0.5 + 0.5


_A_LEGS = [(0, 0), (0.4, 1), (0.6, 1), (1, 0), (0.8, 0), (0.71, 0.24)]
_A_HOLE = [(0.65, 0.4), (0.5, 0.82), (0.35, 0.4), (0.65, 0.4), (0.71, 0.24), (0.29, 0.24), (0.2, 0)]
_A = np.array([*_A_LEGS, *_A_HOLE])
_T = np.array([(0.4, 0), (0.4, 0.83), (0, 0.83), (0, 1), (1, 1), (1, 0.83), (0.6, 0.83), (0.6, 0)])
_G_BAR = np.array([(0.55, 0.5), (1.0, 0.5), (1.0, 0.12), (0.8, 0.12), (0.8, 0.35), (0.55, 0.35)])
_C = _arc(0.75, 0.18)
_G = np.concatenate([_C, [(_C[0])], _G_BAR[[3, 4, 5, 0, 1, 2, 3]]])
_OUTLINES = tuple(np.clip(outline * [0.92, 1] + [0.04, 0], 0, 1) for outline in (_A, _C, _G, _T))
