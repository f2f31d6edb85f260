"""Letters as shapes: sequence logos of any heights, drawn with the figure's own lines."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from tfbind.motifs.pwm import Motif, information

BASE_COLOURS = ("#2ca02c", "#1f77b4", "#e69f00", "#d62728")  # A C G T
SMALLEST = 0.01  # of a column's height; lower letters cannot be seen


@dataclass(frozen=True)
class Letter:
    """A base (0 to 3) drawn around the position `at`, from `bottom` on, `height` high: below it where negative."""

    base: int
    at: float
    bottom: float
    height: float


def draw_letters(figure: go.Figure, letters: Iterable[Letter], **place: int) -> None:
    """Add letters to a figure: one trace for each base. `place` is the row and column of a subplot."""
    outlines: dict[int, tuple[list[float | None], list[float | None]]] = {base: ([], []) for base in range(4)}
    for letter in letters:
        x, y = outlines[letter.base]
        outline = _OUTLINES[letter.base]
        x += [*(letter.at - 0.5 + outline[:, 0]), None]
        y += [*(letter.bottom + outline[:, 1] * letter.height), None]
    for base, (x, y) in outlines.items():
        colour = BASE_COLOURS[base]
        line = {"width": 0, "color": colour}
        drawn = {"fill": "toself", "fillcolor": colour, "line": line, "mode": "lines"}
        figure.add_scatter(x=x, y=y, hoverinfo="skip", showlegend=False, **drawn, **place)


def motif_logo(motif: Motif, height: int = 170) -> go.Figure:
    """The sequence logo of a motif: every column as high as its information in bits, its bases by probability."""
    letters = []
    for column, bits in enumerate(information(motif)):
        bottom = 0.0
        for base in np.argsort(motif.probabilities[:, column]):
            share = float(motif.probabilities[base, column] * bits)
            if share >= SMALLEST:
                letters.append(Letter(int(base), column + 1, bottom, share))
            bottom += share
    figure = go.Figure()
    draw_letters(figure, letters)
    figure.update_xaxes(range=[0.5, motif.width + 0.5], dtick=1, fixedrange=True)
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
