"""Figures of a comparison: settings and runs in, what Plotly draws out. Colours are seen on white and on black."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from tfbind.compare.curves import curve_points, mean_curve, smooth
from tfbind.compare.runs import Configuration, RankBy, metric_label, number
from tfbind.compare.verdict import Verdict
from tfbind.figures import CURVE_POINTS, OBSERVED, plain, sight, thin
from tfbind.runs import RunRecord
from tfbind.store import plural

COLOURS = ("#1a7fc4", "#d9691a", "#12936f", "#c2609b", "#a3842a", "#6f7bd0", "#5a9bb0")
SCALE = ((0.0, "#8a8f98"), (0.5, "#1a7fc4"), (1.0, "#dc9f10"))  # from worst to best, seen on white and on black
DASHES = ("solid", "dash", "dot", "dashdot")
COLOURED = 20  # of more curves than this, the best are coloured and the rest drawn in grey
TICKS = 6
NEAREST_TICKS = 0.06  # of an axis; the numbers of nearer ones would lie on each other
FEW_EPOCHS = 10

Axis = Literal["epoch", "seconds"]


@dataclass(frozen=True)
class PlotOptions:
    """How curves are drawn: against what, on which axes, how smooth (0 to 0.99), seeds as a mean with its range."""

    axis: Axis = "epoch"
    log_x: bool = False
    log_y: bool = False
    smooth: float = 0.0
    grouped: bool = True


def colour(place: int) -> str:
    """The colour of the setting at this place of the ranking."""
    return COLOURS[place % len(COLOURS)]


def _rgba(hexadecimal: str, opacity: float) -> str:
    red, green, blue = (int(hexadecimal[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def _short(label: str) -> str:
    return plain(label if len(label) <= 60 else f"{label[:59]}…")


def learning_curves(settings: Sequence[Configuration], metric: str, look: PlotOptions) -> go.Figure:
    """The metric of every run along the epochs or seconds, settings in the order of their ranking.

    With `grouped`, the seeds of a setting are one line, their mean, in a band from the lowest to the highest.
    """
    figure = go.Figure()
    for place, setting in enumerate(settings[:COLOURED]):
        drawn = setting.counted or list(setting.pasts)
        if look.grouped and look.axis == "epoch" and len(drawn) > 1:
            _band(figure, setting, drawn, metric, place, look)
        else:
            for number_of_run, past in enumerate(drawn):
                _line(figure, past, setting.label, metric, place, look, first=number_of_run == 0)
    _grey(figure, [past for setting in settings[COLOURED:] for past in setting.pasts], metric, look)
    title = {"epoch": "epoch", "seconds": "seconds of training"}[look.axis]
    figure.update_xaxes(title=title, type="log" if look.log_x else "linear")
    if look.axis == "epoch" and not look.log_x and _last_epoch(figure) <= FEW_EPOCHS:  # else half epochs are marked
        figure.update_xaxes(dtick=1)
    figure.update_yaxes(title=plain(metric_label(metric)), type="log" if look.log_y else "linear")
    if "loss" in metric and not look.log_y:
        _keep_in_sight(figure, settings, metric, look)
    named = sum(trace.showlegend is not False for trace in figure.data)
    return _framed(figure, 420, legend=named > 1)


def _keep_in_sight(figure: go.Figure, settings: Sequence[Configuration], metric: str, look: PlotOptions) -> None:
    """Show the part of the axis on which the runs are that did not diverge, and say how many are beyond."""
    found = sight([_drawn(past, metric, look)[1] for setting in settings for past in setting.pasts])
    if found.limits:
        figure.update_yaxes(range=found.limits)
        place = {"xref": "paper", "x": 1, "xanchor": "right", "yref": "paper", "y": 1, "yanchor": "top"}
        figure.add_annotation(text=f"{plural(found.beyond, 'run')} beyond", showarrow=False, **place)


def _last_epoch(figure: go.Figure) -> float:
    return max((max(trace.x) for trace in figure.data if len(trace.x)), default=0)


def _style(place: int) -> dict[str, Any]:
    return {"color": colour(place), "dash": DASHES[place // len(COLOURS) % len(DASHES)], "width": 2}


def _band(
    figure: go.Figure, setting: Configuration, drawn: Sequence[RunRecord], metric: str, place: int, look: PlotOptions
) -> None:
    curve = mean_curve(drawn, metric)
    kept = thin(curve.mean, CURVE_POINTS) if len(curve.mean) else np.empty(0, np.intp)
    low, mean, high = (
        np.array(smooth(values.tolist(), look.smooth), float)[kept] for values in (curve.low, curve.mean, curve.high)
    )
    epochs = curve.epochs[kept]
    figure.add_scatter(
        x=np.concatenate([epochs, epochs[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        fill="toself",
        fillcolor=_rgba(colour(place), 0.18),
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
        legendgroup=setting.label,
        mode="lines",
    )
    figure.add_scatter(
        x=epochs,
        y=mean,
        name=f"{_short(setting.label)} ({curve.runs} run{'' if curve.runs == 1 else 's'})",
        legendgroup=setting.label,
        line=_style(place),
        mode="lines+markers" if len(epochs) <= 30 else "lines",
        customdata=np.stack([low, high], axis=1),
        hovertemplate="%{y:.4g} (%{customdata[0]:.4g} to %{customdata[1]:.4g})",
    )


def _line(
    figure: go.Figure, past: RunRecord, label: str, metric: str, place: int, look: PlotOptions, *, first: bool
) -> None:
    x, y = _drawn(past, metric, look)
    figure.add_scatter(
        x=x,
        y=y,
        name=_short(label),
        legendgroup=label,
        showlegend=first,
        line=_style(place) | ({} if first else {"width": 1}),
        mode="lines+markers" if len(x) <= 30 else "lines",
        text=[_short(past.name)] * len(x),
        hovertemplate="%{y:.4g} %{text}",
    )


def _drawn(past: RunRecord, metric: str, look: PlotOptions) -> tuple[list[float], list[float | None]]:
    x, y = curve_points(past, look.axis, metric)
    y = smooth(y, look.smooth)
    if len(x) > CURVE_POINTS:
        kept = thin(np.array(y, float), CURVE_POINTS)
        x, y = [x[place] for place in kept], [y[place] for place in kept]
    return x, y


def _grey(figure: go.Figure, pasts: Sequence[RunRecord], metric: str, look: PlotOptions) -> None:
    """All remaining runs as one trace with gaps: many traces are slow, many points are not."""
    if not pasts:
        return
    xs: list[float | None] = []
    ys: list[float | None] = []
    for past in pasts:
        x, y = _drawn(past, metric, look)
        xs += [*x, None]
        ys += [*y, None]
    trace = go.Scatter(
        x=np.array(xs, np.float32),
        y=np.array(ys, np.float32),
        name=f"{len(pasts)} other runs",
        line={"color": _rgba(OBSERVED, 0.35), "width": 1},
        mode="lines",
        hoverinfo="skip",
    )
    figure.add_trace(trace)
    figure.data = (figure.data[-1], *figure.data[:-1])


def _framed(figure: go.Figure, height: int, *, legend: bool = False) -> go.Figure:
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 24, "b": 8},
        showlegend=legend,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        hovermode="closest",
    )
    return figure


def ranking(verdict: Verdict) -> go.Figure:
    """The best settings by mean: a dot for each seed, the mean with the standard error over seeds."""
    figure = go.Figure()
    shown = verdict.standings[:COLOURED]
    for place, standing in enumerate(shown):
        label = _short(standing.setting.label)
        values = standing.setting.values
        figure.add_scatter(
            x=values,
            y=[label] * len(values),
            mode="markers",
            marker={"color": _rgba(colour(place), 0.5), "size": 9},
            hovertemplate="%{x:.5g}<extra></extra>",
        )
        error = standing.sd / np.sqrt(standing.seeds) if standing.sd else None
        figure.add_scatter(
            x=[standing.mean],
            y=[label],
            mode="markers",
            marker={
                "color": colour(place),
                "size": 12,
                "symbol": "line-ns",
                "line": {"width": 3, "color": colour(place)},
            },
            error_x={"type": "data", "array": [error], "thickness": 2, "width": 0, "visible": error is not None},
            hovertemplate="mean %{x:.5g}<extra></extra>",
        )
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_xaxes(title=plain(metric_label(verdict.choice.metric)))
    return _framed(figure, 90 + 34 * max(2, len(shown)))


@dataclass(frozen=True, eq=False)
class _Dimension:
    label: str
    values: list[float]
    ticks: list[float]
    names: list[str]


def _dimension(label: str, values: Sequence[Any], log: bool) -> _Dimension:
    """A column as numbers: the values, their logarithms, or the place of each word among all of them."""
    numbers = [number(value) for value in values]
    known = [value for value in numbers if value is not None]
    if len(known) < len(values):
        words = sorted({_word(value) for value in values})
        return _Dimension(label, [words.index(_word(value)) for value in values], list(range(len(words))), words)
    if log and min(known) > 0:
        values = [float(np.log10(value)) for value in known]
        return _Dimension(f"{label} (log)", values, *_ticks(values, lambda tick: f"{10**tick:.3g}"))
    return _Dimension(label, known, *_ticks(known, lambda tick: f"{tick:.4g}"))


def _word(value: Any) -> str:
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _ticks(values: Sequence[float], write: Any) -> tuple[list[float], list[str]]:
    distinct = sorted(set(values))
    near = np.diff(distinct) < NEAREST_TICKS * (distinct[-1] - distinct[0])
    if len(distinct) > TICKS or near.any():
        distinct = np.linspace(distinct[0], distinct[-1], TICKS).tolist()
    return distinct, [write(value) for value in distinct]


def spans_decades(values: Sequence[Any]) -> bool:
    """Whether a column is read best on a logarithmic axis: positive numbers over a factor of at least 20."""
    known = [number(value) for value in values]
    positive = [value for value in known if value is not None and value > 0]
    return len(positive) == len(known) and len(known) > 0 and max(positive) >= 20 * min(positive)


def parallel(records: Sequence[Mapping[str, Any]], columns: Sequence[str], choice: RankBy) -> go.Figure:
    """A line for each run through its settings to its figure; runs without a figure are left out.

    Args:
        records: as from `compare.table`.
        columns: the settings to draw; those that span decades are drawn on logarithmic axes.
    """
    known = [record for record in records if record[choice.metric] is not None]
    dimensions = []
    for column in columns:
        values = [record[column] for record in known]
        if values:
            dimensions.append(_dimension(column, values, spans_decades(values)))
    results = [record[choice.metric] for record in known]
    if results:
        dimensions.append(_dimension(metric_label(choice.metric), results, log=False))
    figure = go.Figure(
        go.Parcoords(
            line={
                "color": results,
                "colorscale": SCALE,
                "reversescale": choice.goal == "min",
                "showscale": False,
            },
            dimensions=[
                {
                    "label": _short(dimension.label)[:30],
                    "values": dimension.values,
                    "tickvals": dimension.ticks,
                    "ticktext": [plain(name)[:20] for name in dimension.names],
                }
                for dimension in dimensions
            ],
        )
    )
    figure.update_layout(height=380, margin={"l": 60, "r": 60, "t": 60, "b": 24})
    return figure


def against(records: Sequence[Mapping[str, Any]], column: str, choice: RankBy, log: bool) -> go.Figure:
    """The figure of every run against one of its settings."""
    known = [record for record in records if record[choice.metric] is not None]
    values = [record[column] for record in known]
    words = any(number(value) is None for value in values)
    figure = go.Figure(
        go.Scatter(
            x=[plain(_word(value)) for value in values] if words else values,
            y=[record[choice.metric] for record in known],
            mode="markers",
            marker={"size": 9, "color": COLOURS[0], "opacity": 0.7},
            text=[_short(record["name"]) for record in known],
            hovertemplate="%{text}<br>%{x}: %{y:.5g}<extra></extra>",
        )
    )
    figure.update_xaxes(
        title=plain(column), type="category" if words else "log" if log else "linear", exponentformat="e"
    )
    figure.update_yaxes(title=plain(metric_label(choice.metric)))
    return _framed(figure, 320)


def importance_bars(shares: Mapping[str, float]) -> go.Figure:
    """How much of the differences each setting explains, the most important on top."""
    names = list(shares)[::-1]
    figure = go.Figure(
        go.Bar(
            x=[shares[name] for name in names],
            y=[_short(name) for name in names],
            orientation="h",
            marker={"color": COLOURS[0]},
            hovertemplate="%{y}: %{x:.0%}<extra></extra>",
        )
    )
    figure.update_xaxes(title="share of importance", tickformat=".0%", range=[0, 1])
    figure.update_yaxes(automargin=True)
    return _framed(figure, 80 + 30 * max(2, len(names)))
