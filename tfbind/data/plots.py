"""Figures of a data set: distributions of scores and GC content, windows along chromosomes, scores of a window."""

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from tfbind.data.dataset import Windows
from tfbind.data.splits import coordinates
from tfbind.dna import window_place
from tfbind.figures import AS_OBSERVED, bars

BARS = 60
HEIGHT = 260
STRETCHES = 120  # along the longest chromosome
SHOWN_CHROMOSOMES = 24
SAMPLE = 5_000_000  # scores that a histogram is made from


def score_histogram(data: Windows) -> go.Figure:
    """Plot a histogram of scores without those of 0, which nearly all scores of a scan are."""
    step = max(1, data.scores.size // SAMPLE)
    values = np.asarray(data.scores[::step])
    values = values[values != 0]
    counts, edges = np.histogram(values, bins=BARS) if len(values) else (np.zeros(1, int), np.array([0.0, 1.0]))
    return bars(edges, counts * step, "score of a base", "bases", HEIGHT)


def gc_histogram(data: Windows) -> go.Figure:
    """Plot a histogram of the GC content of windows."""
    counts, edges = np.histogram(gc_content(data), bins=40, range=(0, 1))
    return bars(edges * 100, counts, "G and C (%)", "windows", HEIGHT)


def gc_content(data: Windows) -> NDArray[np.float64]:
    """The GC content of each window: the share of G and C among its known bases, without windows of N alone."""
    codes = np.asarray(data.codes)
    known = (codes < 4).sum(axis=1)
    strong = ((codes == 1) | (codes == 2)).sum(axis=1)
    shares: NDArray[np.float64] = strong[known > 0] / known[known > 0]
    return shares


def coverage_figure(data: Windows) -> go.Figure | None:
    """Plot the windows along each chromosome, from the first to the last. None without coordinates."""
    try:
        chromosomes, starts = coordinates(data)
    except ValueError:
        return None
    numbers = np.unique(chromosomes)[:SHOWN_CHROMOSOMES]
    step = max(float(np.ptp(starts)) / STRETCHES, float(data.length))
    edges = np.arange(starts.min(), starts.max() + step, step)
    counts = np.array([np.histogram(starts[chromosomes == number], bins=edges)[0] for number in numbers])
    first_names = [data.names[int(np.flatnonzero(chromosomes == number)[0])] for number in numbers]
    rows = [place[0] for name in first_names if (place := window_place(name, data.length))]
    figure = go.Figure(
        go.Heatmap(
            x=edges[:-1] / 1e6,
            y=rows,
            z=np.where(counts > 0, counts, np.nan),
            colorscale=[[0, "rgba(26,127,196,0.25)"], [1, "rgba(26,127,196,1)"]],
            showscale=False,
            hovertemplate=f"%{{y}}: %{{z}} windows in the {step / 1e6:.2g} Mb from %{{x:.2f}} Mb<extra></extra>",
        )
    )
    figure.update_yaxes(type="category", autorange="reversed")
    figure.update_xaxes(title_text="position (Mb)")
    return figure.update_layout(height=120 + 22 * len(rows), margin={"l": 8, "r": 8, "t": 8, "b": 8})


def window_figure(scores: NDArray[np.floating]) -> go.Figure:
    """Plot the scores (L,) along a window."""
    position = np.arange(1, len(scores) + 1)
    figure = go.Figure(
        go.Scatter(x=position, y=np.round(scores, 3), **AS_OBSERVED, hovertemplate="base %{x}: %{y}<extra></extra>")
    )
    figure.update_xaxes(title_text="position (1-based)", range=[0.5, len(scores) + 0.5])
    return figure.update_layout(
        height=170, margin={"l": 8, "r": 8, "t": 8, "b": 8}, yaxis={"title": "score"}, showlegend=False
    )
