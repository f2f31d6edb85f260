"""Figures along DNA: profiles of predicted scores, maps of base changes with the logo of contributions.

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
from tfbind.metrics import COVERAGE
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
    """Another profile (L,) in the figure, such as that of another model, of the other strand or before an edit."""

    name: str
    scores: Scores
    colour: str = OBSERVED


def profile_figure(
    codes: Codes,
    scores: Scores,
    *,
    name: str,
    spread: Scores | None = None,
    band: tuple[Scores, Scores] | None = None,
    lines: Sequence[Line] = (),
    sites: Sequence[Site] = (),
    hits: Sequence[Hit] = (),
    shaded: int = 0,
    focus: tuple[int, int] | None = None,
    first: int = 1,
    target: ScoreTarget = UNKNOWN,
) -> go.Figure:
    """Draw the predicted score of each base, with the letters under it when zoomed in.

    Args:
        codes: (L,).
        scores: (L,).
        name: of the line.
        spread: (L,) drawn as a band above and below, where there is no `band`.
        band: its lower and its upper edge (L,), which hold 90 % of the true scores.
        lines: other profiles.
        sites: called stretches, drawn behind the line.
        hits: matches of a known motif, drawn under the line.
        shaded: how many bases at either end see less of their surroundings than the others.
        focus: a stretch, 0-based half-open, to show close instead of all.
        first: the number of the first base on the axis.
        target: gives the unit of a score.

    Returns:
        The figure.
    """
    figure = go.Figure()
    position = np.arange(first, first + len(codes))
    letters = np.array(list(decode(codes)))
    if edges := band or (None if spread is None else (scores - spread, scores + spread)):
        low, high = edges
        look = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
        figure.add_scatter(x=position, y=high, showlegend=False, **look)
        label = f"{COVERAGE:.0%} band" if band else "± 1 sd"
        figure.add_scatter(x=position, y=low, fill="tonexty", fillcolor="rgba(26,127,196,0.25)", name=label, **look)
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
    padding = max(0, LEAST_BASES - (end - start)) / 2
    axis: dict[str, Any] = {"tickformat": "d", "range": [first + start - 0.5 - padding, first + end - 0.5 + padding]}
    if len(codes) > LETTERED_BASES:
        return axis
    every_letter = end - start <= (EVERY_LETTER if focus else EVERY_LETTER // 2)
    step = 5 if every_letter and end - start > LEAST_BASES else 1
    axis["labelalias"] = {
        str(place): f"{letter}<br>{place}" if place % step == 0 else letter
        for place, letter in enumerate(decode(codes), start=first)
    }
    if padding:
        return axis | {"tickvals": list(range(first + start, first + end))}
    return axis | ({"dtick": 1, "tickangle": 0} if every_letter else {})


def _height_axis(target: ScoreTarget) -> dict[str, Any]:
    """An axis of scores from 0, in nats to 1 at least: scores far below those of a site are not drawn as high."""
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
    texts = [f"motif match {STRAND_ARROWS[hit.strand]} strand {hit.strand}: {hit.score:.1f} nats" for hit in hits]
    figure.add_scatter(
        x=x,
        y=[-0.6 if place is not None else None for place in x],
        mode="lines",
        line={"color": HIT, "width": 7},
        name="known motif",
        text=[text for text in texts for _ in range(3)],
        hovertemplate="%{text}<extra></extra>",
    )


def stacked_figure(
    names: Sequence[str], profiles: Sequence[Scores], *, selected: int | None = None, unit: str = ""
) -> go.Figure:
    """Draw profiles of several records below each other, with shared axes.

    Args:
        names: of the records.
        profiles: (L,) for each.
        selected: the record that is drawn in full colour; None for all of them.
        unit: behind a score.

    Returns:
        The figure.
    """
    figure = make_subplots(rows=len(names), shared_xaxes=True, vertical_spacing=0.15 / len(names))
    # Points can be clicked where there are markers; these are not to be seen.
    hidden = {"marker": {"opacity": 0}}
    labels = []
    for row, (name, scores) in enumerate(zip(names, profiles, strict=True), start=1):
        points = thin(scores, STACKED_POINTS)
        colour = PREDICTED if selected in (None, row - 1) else OBSERVED
        figure.add_scatter(
            x=points + 1,
            y=np.round(scores[points], 2),
            mode="lines+markers",
            line={"color": colour, "width": 1.5},
            marker={"size": 8, "opacity": 0},
            selected=hidden,
            unselected=hidden,
            hovertemplate=f"{plain(name[:60])}<br>position %{{x}}: %{{y:.2f}}{unit}<extra></extra>",
            row=row,
            col=1,
        )
        axis = "y domain" if row == 1 else f"y{row} domain"
        placement = {"xref": "paper", "x": 0, "xanchor": "left", "yref": axis, "y": 1, "yanchor": "top"}
        label = name if len(name) <= NAME_LETTERS else f"{name[: NAME_LETTERS - 1]}…"
        labels.append({"text": plain(label), "showarrow": False, "font": {"size": 11, "color": colour}, **placement})
    low, high = min(float(scores.min()) for scores in profiles), max(float(scores.max()) for scores in profiles)
    figure.update_yaxes(range=[min(low, 0) - 0.5, max(high, 1) * 1.6], nticks=3)
    figure.update_xaxes(range=[0.5, max(map(len, profiles)) + 0.5], tickformat="d")
    figure.update_xaxes(title_text="position (1-based)", row=len(names), col=1)
    return figure.update_layout(annotations=labels, **_frame(46 * len(names) + 80, top=8), showlegend=False)


def mutagenesis_figure(mutagenesis: Mutagenesis, target: ScoreTarget = UNKNOWN) -> go.Figure:
    """Draw the contribution of every base (a logo) above the effect of every base change (a heat map, rows A C G T).

    Args:
        mutagenesis: the effects.
        target: gives the unit of a score.

    Returns:
        The figure.
    """
    figure = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.45, 0.55])
    position = mutagenesis.start + 1 + np.arange(len(mutagenesis.reference))
    known = mutagenesis.reference < 4
    places = np.flatnonzero(known)
    letters = [
        Letter(int(mutagenesis.reference[place]), float(position[place]), 0, float(mutagenesis.contribution[place]))
        for place in places
    ]
    draw_letters(figure, letters, row=1, col=1)
    effect = mutagenesis.effect.astype(float)
    effect[mutagenesis.reference[known], places] = np.nan
    strongest = max(float(np.abs(mutagenesis.effect).max()), 1.0 if target.unit else 0.0) or 1.0
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
    present = position[known], [LETTERS[code] for code in mutagenesis.reference[known]]
    dots = {"mode": "markers", "marker": {"size": 4, "color": "#808080"}, "hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(x=present[0], y=present[1], row=2, col=1, **dots)
    figure.update_xaxes(**_base_axis(mutagenesis.reference, mutagenesis.start + 1))
    figure.update_yaxes(title_text="contribution", **_height_axis(target), row=1, col=1)
    figure.update_yaxes(title_text="changed to", autorange="reversed", row=2, col=1)
    return figure.update_layout(**_frame(370, top=8))
