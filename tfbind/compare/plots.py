"""Figures of a comparison: settings and runs in, what Plotly draws out. Colours are seen on white and on black."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from tfbind.compare.curves import curve_points, mean_curve, smooth
from tfbind.compare.runs import Configuration, RankBy, format_value, metric_label, number
from tfbind.compare.significance import Importance
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


def learning_curves(settings: Sequence[Configuration], metric: str, options: PlotOptions) -> go.Figure:
    """The learning curves of all runs, settings in the order of their ranking.

    Args:
        settings: the configurations, the best first.
        metric: a key of the rows.
        options: axes, smoothing; with `grouped`, the seeds of a setting are one line, their mean, in a band from the
            lowest to the highest.

    Returns:
        A Plotly figure.
    """
    figure = go.Figure()
    for place, setting in enumerate(settings[:COLOURED]):
        records = setting.counted or list(setting.records)
        if options.grouped and options.axis == "epoch" and len(records) > 1:
            _band(figure, setting, records, metric, place, options)
        else:
            for index, record in enumerate(records):
                _line(figure, record, setting.label, metric, place, options, first=index == 0)
    _grey(figure, [record for setting in settings[COLOURED:] for record in setting.records], metric, options)
    title = {"epoch": "epoch", "seconds": "seconds of training"}[options.axis]
    figure.update_xaxes(title=title, type="log" if options.log_x else "linear")
    if (
        options.axis == "epoch" and not options.log_x and _last_epoch(figure) <= FEW_EPOCHS
    ):  # else half epochs are marked
        figure.update_xaxes(dtick=1)
    figure.update_yaxes(title=plain(metric_label(metric)), type="log" if options.log_y else "linear")
    if "loss" in metric and not options.log_y:
        _keep_in_sight(figure, settings, metric, options)
    named = sum(trace.showlegend is not False for trace in figure.data)
    return _framed(figure, 420, legend=named > 1)


def _keep_in_sight(figure: go.Figure, settings: Sequence[Configuration], metric: str, options: PlotOptions) -> None:
    """Show the part of the axis on which the runs are that did not diverge, and say how many are beyond."""
    view = sight([_smoothed_points(record, metric, options)[1] for setting in settings for record in setting.records])
    if view.limits:
        figure.update_yaxes(range=view.limits)
        place = {"xref": "paper", "x": 1, "xanchor": "right", "yref": "paper", "y": 1, "yanchor": "top"}
        figure.add_annotation(text=f"{plural(view.beyond, 'run')} beyond", showarrow=False, **place)


def _last_epoch(figure: go.Figure) -> float:
    return max((max(trace.x) for trace in figure.data if len(trace.x)), default=0)


def _style(place: int) -> dict[str, Any]:
    return {"color": colour(place), "dash": DASHES[place // len(COLOURS) % len(DASHES)], "width": 2}


def _band(
    figure: go.Figure,
    setting: Configuration,
    records: Sequence[RunRecord],
    metric: str,
    place: int,
    options: PlotOptions,
) -> None:
    curve = mean_curve(records, metric)
    indices = thin(curve.mean, CURVE_POINTS) if len(curve.mean) else np.empty(0, np.intp)
    low, mean, high = (
        np.array(smooth(values.tolist(), options.smooth), float)[indices]
        for values in (curve.low, curve.mean, curve.high)
    )
    epochs = curve.epochs[indices]
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
    figure: go.Figure, record: RunRecord, label: str, metric: str, place: int, options: PlotOptions, *, first: bool
) -> None:
    x, y = _smoothed_points(record, metric, options)
    figure.add_scatter(
        x=x,
        y=y,
        name=_short(label),
        legendgroup=label,
        showlegend=first,
        line=_style(place) | ({} if first else {"width": 1}),
        mode="lines+markers" if len(x) <= 30 else "lines",
        text=[_short(record.name)] * len(x),
        hovertemplate="%{y:.4g} %{text}",
    )


def _smoothed_points(record: RunRecord, metric: str, options: PlotOptions) -> tuple[list[float], list[float | None]]:
    x, y = curve_points(record, options.axis, metric)
    y = smooth(y, options.smooth)
    if len(x) > CURVE_POINTS:
        indices = thin(np.array(y, float), CURVE_POINTS)
        x, y = [x[place] for place in indices], [y[place] for place in indices]
    return x, y


def _grey(figure: go.Figure, records: Sequence[RunRecord], metric: str, options: PlotOptions) -> None:
    """All remaining runs as one trace with gaps: many traces are slow, many points are not."""
    if not records:
        return
    xs: list[float | None] = []
    ys: list[float | None] = []
    for record in records:
        x, y = _smoothed_points(record, metric, options)
        xs += [*x, None]
        ys += [*y, None]
    trace = go.Scatter(
        x=np.array(xs, np.float32),
        y=np.array(ys, np.float32),
        name=f"{len(records)} other runs",
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


def ranking_figure(verdict: Verdict) -> go.Figure:
    """The best settings by mean: a dot for each seed, the mean with the standard error over seeds."""
    figure = go.Figure()
    rankings = verdict.rankings[:COLOURED]
    for place, ranking in enumerate(rankings):
        label = _short(ranking.setting.label)
        values = ranking.setting.values
        figure.add_scatter(
            x=values,
            y=[label] * len(values),
            mode="markers",
            marker={"color": _rgba(colour(place), 0.5), "size": 9},
            hovertemplate="%{x:.5g}<extra></extra>",
        )
        error = ranking.sd / np.sqrt(ranking.seeds) if ranking.sd else None
        figure.add_scatter(
            x=[ranking.mean],
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
    figure.update_xaxes(title=plain(metric_label(verdict.rank_by.metric)))
    return _framed(figure, 90 + 34 * max(2, len(rankings)))


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
        words = [format_value(value) for value in values]
        names = sorted(set(words))
        return _Dimension(label, [names.index(word) for word in words], list(range(len(names))), names)
    if log and min(known) > 0:
        values = [float(np.log10(value)) for value in known]
        return _Dimension(f"{label} (log)", values, *_ticks(values, lambda tick: f"{10**tick:.3g}"))
    return _Dimension(label, known, *_ticks(known, lambda tick: f"{tick:.4g}"))


def _ticks(values: Sequence[float], format_tick: Any) -> tuple[list[float], list[str]]:
    distinct = sorted(set(values))
    near = np.diff(distinct) < NEAREST_TICKS * (distinct[-1] - distinct[0])
    if len(distinct) > TICKS or near.any():
        distinct = np.linspace(distinct[0], distinct[-1], TICKS).tolist()
    return distinct, [format_tick(value) for value in distinct]


def spans_decades(values: Sequence[Any]) -> bool:
    """Whether a column is read best on a logarithmic axis: positive numbers over a factor of at least 20."""
    known = [number(value) for value in values]
    positive = [value for value in known if value is not None and value > 0]
    return len(positive) == len(known) and len(known) > 0 and max(positive) >= 20 * min(positive)


def parallel(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], rank_by: RankBy) -> go.Figure:
    """Parallel coordinates: a line for each run through its settings to its figure, where it has one.

    Args:
        rows: as from `compare.table`.
        columns: the settings to draw; those that span decades are drawn on logarithmic axes.
        rank_by: the figure.

    Returns:
        A Plotly figure.
    """
    measured = [row for row in rows if row[rank_by.metric] is not None]
    dimensions = []
    for column in columns:
        values = [row[column] for row in measured]
        if values:
            dimensions.append(_dimension(column, values, spans_decades(values)))
    results = [row[rank_by.metric] for row in measured]
    if results:
        dimensions.append(_dimension(metric_label(rank_by.metric), results, log=False))
    figure = go.Figure(
        go.Parcoords(
            line={
                "color": results,
                "colorscale": SCALE,
                "reversescale": rank_by.goal == "min",
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


def against(rows: Sequence[Mapping[str, Any]], column: str, rank_by: RankBy, log: bool) -> go.Figure:
    """A scatter plot of the figure of every run against one of its settings.

    Args:
        rows: as from `compare.table`.
        column: the setting.
        rank_by: the figure.
        log: whether the axis of the setting is logarithmic.

    Returns:
        A Plotly figure.
    """
    measured = [row for row in rows if row[rank_by.metric] is not None]
    values = [row[column] for row in measured]
    categorical = any(number(value) is None for value in values)
    figure = go.Figure(
        go.Scatter(
            x=[plain(format_value(value)) for value in values] if categorical else values,
            y=[row[rank_by.metric] for row in measured],
            mode="markers",
            marker={"size": 9, "color": COLOURS[0], "opacity": 0.7},
            text=[_short(row["name"]) for row in measured],
            hovertemplate="%{text}<br>%{x}: %{y:.5g}<extra></extra>",
        )
    )
    numeric = "log" if log else "linear"
    figure.update_xaxes(title=plain(column), type="category" if categorical else numeric, exponentformat="e")
    figure.update_yaxes(title=plain(metric_label(rank_by.metric)))
    return _framed(figure, 320)


def importance_bars(importances: Mapping[str, Importance]) -> go.Figure:
    """How much of the differences each setting explains, the most important on top, beside what chance reaches."""
    names = list(importances)[::-1]
    labels = [_short(name) for name in names]
    figure = go.Figure(
        go.Bar(
            x=[importances[name].share for name in names],
            y=labels,
            orientation="h",
            name="share",
            marker={"color": COLOURS[0]},
            hovertemplate="%{y}: %{x:.0%}<extra></extra>",
        )
    )
    figure.add_scatter(
        x=[importances[name].chance for name in names],
        y=labels,
        mode="markers",
        name="what chance reaches",
        marker={"color": COLOURS[1], "symbol": "line-ns", "size": 16, "line": {"width": 3, "color": COLOURS[1]}},
        hovertemplate="by chance up to %{x:.0%}<extra></extra>",
    )
    figure.update_xaxes(title="share of importance", tickformat=".0%", range=[0, 1])
    figure.update_yaxes(automargin=True)
    return _framed(figure, 100 + 30 * max(2, len(names)), legend=True)
