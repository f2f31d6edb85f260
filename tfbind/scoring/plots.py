"""Figures along DNA: the profile of predicted scores, the map of base changes, the logo of contributions.

Positions on these axes are 1-based, as people count bases; arrays stay 0-based.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tfbind.dna import LETTERS, Codes, decode
from tfbind.figures import OBSERVED, PREDICTED, Letter, draw_letters, plain, thin
from tfbind.scoring.ism import Mutagenesis
from tfbind.scoring.model import Scores, Site
from tfbind.scoring.sites import Hit
from tfbind.scoring.target import UNKNOWN, ScoreTarget

LETTERED_BASES = 2_000
STACKED_POINTS = 400
NAME_LETTERS = 40
REVERSED, COMPARED, HIT = "#a3487f", "#d55e00", "#00795a"
CALLED, CHOSEN, SHADED = "rgba(213, 94, 0, 0.18)", "rgba(213, 94, 0, 0.38)", "rgba(128,128,128,0.15)"
DOWN_UP = [[0, "#1f6fbf"], [0.5, "rgba(128, 128, 128, 0)"], [1, "#d6392b"]]  # no change is the page, light or dark
EVERY_LETTER = 80  # at most so many bases have each a letter under the axis, where they are shown close
LEAST_BASES = 10  # fewer are drawn as wide as if they were so many
AROUND_FOCUS = 12  # bases on either side of a site that is shown close
STRAND_ARROWS = {"+": "▶", "-": "◀"}


@dataclass(frozen=True)
class Line:
    """One more profile (L,) on the axis, such as that of another model, of the other strand or before an edit."""

    name: str
    scores: Scores
    colour: str = OBSERVED


def profile_figure(
    codes: Codes,
    scores: Scores,
    *,
    name: str,
    spread: Scores | None = None,
    lines: Sequence[Line] = (),
    sites: Sequence[Site] = (),
    hits: Sequence[Hit] = (),
    shaded: int = 0,
    focus: tuple[int, int] | None = None,
    first: int = 1,
    target: ScoreTarget = UNKNOWN,
) -> go.Figure:
    """The predicted score of each base (L,), with the letters under it when zoomed in.

    Args:
        spread: (L,) drawn as a band above and below.
        sites: called stretches, drawn behind the line.
        hits: matches of a known motif, drawn under the line.
        shaded: how many bases at either end see less of their surroundings than the others.
        focus: a stretch, 0-based half-open, to show close instead of all.
        first: the number of the first base on the axis.
        target: what a score is in.
    """
    figure = go.Figure()
    position = np.arange(first, first + len(codes))
    letters = np.array(list(decode(codes)))
    if spread is not None:
        band = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
        figure.add_scatter(x=position, y=scores + spread, showlegend=False, **band)
        figure.add_scatter(
            x=position, y=scores - spread, fill="tonexty", fillcolor="rgba(26,127,196,0.25)", name="± 1 sd", **band
        )
    for line in lines:
        figure.add_scatter(
            x=position, y=np.round(line.scores, 3), name=plain(line.name), line={"color": line.colour, "width": 1.5}
        )
    figure.add_scatter(
        x=position,
        y=np.round(scores, 3),
        name=plain(name),
        mode="lines+markers" if _lettered(codes) else "lines",
        marker={"size": 4},
        line={"color": PREDICTED, "width": 2},
        customdata=np.stack([position.astype(str), letters], axis=1),
        hovertemplate=f"base %{{customdata[1]}} at %{{customdata[0]}}: %{{y:.2f}}{target.unit}<extra></extra>",
    )
    _draw_hits(figure, hits, first)
    figure.update_xaxes(title_text="position (1-based)", **_base_axis(codes, first, focus))
    figure.update_yaxes(title_text=f"score in {plain(target.scale)}", **_height_axis(target))
    return figure.update_layout(shapes=_marks(len(codes), sites, shaded, focus, first), **_frame(330))


def _base_axis(codes: Codes, first: int, focus: tuple[int, int] | None = None) -> dict[str, Any]:
    """An axis of all bases, or of a stretch and what is around it. Under it stand letters with positions, close up
    every letter and every fifth position."""
    start, end = (max(0, focus[0] - AROUND_FOCUS), focus[1] + AROUND_FOCUS) if focus else (0, len(codes))
    end = min(end, len(codes))
    beside = max(0, LEAST_BASES - (end - start)) / 2
    axis: dict[str, Any] = {"tickformat": "d", "range": [first + start - 0.5 - beside, first + end - 0.5 + beside]}
    if len(codes) > LETTERED_BASES:
        return axis
    close = end - start <= (EVERY_LETTER if focus else EVERY_LETTER // 2)
    numbered = 5 if close and end - start > LEAST_BASES else 1
    axis["labelalias"] = {
        str(place): f"{letter}<br>{place}" if place % numbered == 0 else letter
        for place, letter in enumerate(decode(codes), start=first)
    }
    if beside:
        return axis | {"tickvals": list(range(first + start, first + end))}
    return axis | ({"dtick": 1, "tickangle": 0} if close else {})


def _height_axis(target: ScoreTarget) -> dict[str, Any]:
    """An axis of scores from 0, and in nats to 1 at least: what no site has is not drawn as high as one."""
    return {"exponentformat": "none", "autorangeoptions": {"include": [0, 1] if target.unit else [0]}}


def _lettered(codes: Codes) -> bool:
    return len(codes) <= LETTERED_BASES


def _frame(height: int, top: int = 36) -> dict[str, Any]:
    return {
        "height": height,
        "margin": {"l": 8, "r": 8, "t": top, "b": 8},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "hovermode": "closest",
    }


def _marks(
    bases: int, sites: Sequence[Site], shaded: int, focus: tuple[int, int] | None, first: int
) -> list[dict[str, Any]]:
    """The boxes behind a profile: called sites, and the ends that see less of their surroundings."""
    boxes = [
        _box(site.start, site.end, CHOSEN if (site.start, site.end) == focus else CALLED, first) for site in sites
    ]
    if shaded and bases > 2 * shaded:
        boxes += [_box(start, start + shaded, SHADED, first) for start in (0, bases - shaded)]
    return boxes


def _box(start: int, end: int, colour: str, first: int) -> dict[str, Any]:
    """A box over the whole height. Boxes are handed over together: Plotly copies all there are for each one added."""
    left = first - 0.5
    across, height = {"x0": left + start, "x1": left + end, "xref": "x"}, {"y0": 0, "y1": 1, "yref": "y domain"}
    return {"type": "rect", **across, **height, "fillcolor": colour, "line": {"width": 0}, "layer": "below"}


def _draw_hits(figure: go.Figure, hits: Sequence[Hit], first: int) -> None:
    if not hits:
        return
    x: list[float | None] = []
    for hit in hits:
        x += [first - 0.5 + hit.start, first - 0.5 + hit.end, None]
    words = [f"motif match {STRAND_ARROWS[hit.strand]} strand {hit.strand}: {hit.score:.1f} nats" for hit in hits]
    figure.add_scatter(
        x=x,
        y=[-0.6 if place is not None else None for place in x],
        mode="lines",
        line={"color": HIT, "width": 7},
        name="known motif",
        text=[word for word in words for _ in range(3)],
        hovertemplate="%{text}<extra></extra>",
    )


def stacked_figure(
    names: Sequence[str], profiles: Sequence[Scores], *, chosen: int | None = None, unit: str = ""
) -> go.Figure:
    """Profiles (L,) of several records, each below the other, on one scale of scores and one of positions.

    Args:
        chosen: the record that is drawn in full colour; None for all of them.
        unit: what stands behind a score.
    """
    figure = make_subplots(rows=len(names), shared_xaxes=True, vertical_spacing=0.15 / len(names))
    # Points can be clicked where there are markers; these are not to be seen.
    unseen = {"marker": {"opacity": 0}}
    labels = []
    for row, (name, scores) in enumerate(zip(names, profiles, strict=True), start=1):
        drawn = thin(scores, STACKED_POINTS)
        colour = PREDICTED if chosen in (None, row - 1) else OBSERVED
        figure.add_scatter(
            x=drawn + 1,
            y=np.round(scores[drawn], 2),
            mode="lines+markers",
            line={"color": colour, "width": 1.5},
            marker={"size": 8, "opacity": 0},
            selected=unseen,
            unselected=unseen,
            hovertemplate=f"{plain(name[:60])}<br>position %{{x}}: %{{y:.2f}}{unit}<extra></extra>",
            row=row,
            col=1,
        )
        axis = "y domain" if row == 1 else f"y{row} domain"
        where = {"xref": "paper", "x": 0, "xanchor": "left", "yref": axis, "y": 1, "yanchor": "top"}
        label = name if len(name) <= NAME_LETTERS else f"{name[: NAME_LETTERS - 1]}…"
        labels.append({"text": plain(label), "showarrow": False, "font": {"size": 11, "color": colour}, **where})
    low, high = min(float(scores.min()) for scores in profiles), max(float(scores.max()) for scores in profiles)
    figure.update_yaxes(range=[min(low, 0) - 0.5, max(high, 1) * 1.6], nticks=3)
    figure.update_xaxes(range=[0.5, max(map(len, profiles)) + 0.5], tickformat="d")
    figure.update_xaxes(title_text="position (1-based)", row=len(names), col=1)
    return figure.update_layout(annotations=labels, **_frame(46 * len(names) + 80, top=8), showlegend=False)


def mutagenesis_figure(found: Mutagenesis, target: ScoreTarget = UNKNOWN) -> go.Figure:
    """What every base adds (a logo) above what every base change does (a heat map, rows A C G T).

    Args:
        target: what a score is in.
    """
    figure = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.45, 0.55])
    position = found.start + 1 + np.arange(len(found.reference))
    places = np.flatnonzero(found.reference < 4)
    letters = [
        Letter(int(found.reference[at]), float(position[at]), 0, float(found.contribution[at])) for at in places
    ]
    draw_letters(figure, letters, row=1, col=1)
    effect = found.effect.astype(float)
    known = found.reference < 4
    effect[found.reference[known], np.flatnonzero(known)] = np.nan
    strongest = max(float(np.abs(found.effect).max()), 1.0 if target.unit else 0.0) or 1.0
    figure.add_heatmap(
        x=position,
        y=list(LETTERS[:4]),
        z=np.round(effect, 2),
        colorscale=DOWN_UP,
        zmin=-strongest,
        zmax=strongest,
        colorbar={
            "title": {"text": "change", "side": "right"},
            "orientation": "h",
            "x": 1,
            "xanchor": "right",
            "y": 1,
            "yanchor": "bottom",
            "len": 0.5,
            "thickness": 8,
            "ypad": 0,
            "exponentformat": "none",
        },
        hovertemplate="%{y} at %{x}: %{z:+.1f}<extra></extra>",
        row=2,
        col=1,
    )
    present = position[known], [LETTERS[code] for code in found.reference[known]]
    dots = {"mode": "markers", "marker": {"size": 4, "color": "#808080"}, "hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(x=present[0], y=present[1], row=2, col=1, **dots)
    figure.update_xaxes(**_base_axis(found.reference, found.start + 1))
    figure.update_yaxes(title_text="contribution", **_height_axis(target), row=1, col=1)
    figure.update_yaxes(title_text="changed to", autorange="reversed", row=2, col=1)
    return figure.update_layout(**_frame(370, top=8))
