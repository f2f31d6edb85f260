"""Which runs are compared and by which figure: the runs that are known, their table, the ticks, metric and epoch."""

import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from tfbind import runs, sweeps
from tfbind.compare import (
    DEFAULT_METRIC,
    Goal,
    RankBy,
    When,
    choose,
    goal_of,
    metric_label,
    metrics,
    number,
    select_runs,
    table,
)
from tfbind.figures import thin
from tfbind.runs import Run, RunRecord, Stamp, record as run_record
from tfbind.text import visible
from ui.widgets.panels import number_column, number_columns
from ui.widgets.session import COMPARE_PAGE, cells, home, plain

WHEN: dict[When, str] = {"best": "Best epoch", "last": "Last epoch", "epoch": "At epoch"}
BETTER: dict[Goal, str] = {"max": "Higher", "min": "Lower"}
WHEN_HELP = (
    "Best epoch: the one with the lowest validation loss, whatever the metric. At epoch: every run at the same "
    "epoch, also runs that have not finished."
)
SELECTED, ANEW = "compare-selected", "compare-anew"
FEW = 6
LONGEST_ADDRESS = 40  # runs; an address with more names is of no use to anybody
SPARKLINE = 40
CURVE = "curve"  # the column of sparklines
HEIGHT = 320
HIDDEN = ("key", "id")
LAST = ("tags", "note", "group", "source", "server", "epochs", "seconds", "created")


def choose_rank_by(records: list[RunRecord]) -> RankBy:
    """Draw the choices and return what they say."""
    available = made_for("metrics", tuple(records), lambda: metrics(records)) or [DEFAULT_METRIC]
    _default_to_sweep(records, available)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        metric = st.selectbox(
            "Metric",
            available,
            format_func=lambda metric: visible(metric_label(metric)),
            key="compare-metric",
            width=230,
        )
        when = st.segmented_control(
            "Where", list(WHEN), format_func=WHEN.__getitem__, default="best", key="compare-when", help=WHEN_HELP
        )
        epoch = None
        if when == "epoch":
            longest = max((len(record.rows) for record in records), default=1)
            epoch = int(st.number_input("Epoch", 1, max(1, longest), min(5, max(1, longest)), width=110))
        st.session_state.setdefault(_goal_key(metric), goal_of(metric))
        goal = st.segmented_control(
            "Better is",
            list(BETTER),
            format_func=BETTER.__getitem__,
            key=_goal_key(metric),
        )
    return choose(metric, when or "best", epoch, goal or goal_of(metric))


def _goal_key(metric: str) -> str:
    return f"compare-goal-{metric}"


def _default_to_sweep(records: list[RunRecord], available: list[str]) -> None:
    """Until something else is chosen, judge the runs of one sweep by its metric and goal."""
    groups = {record.group if record.source == "local" else "" for record in selected(records)}
    if "compare-metric" in st.session_state or len(groups) != 1:
        return
    try:
        recorded = sweeps.judged_by(home(), groups.pop())
    except ValueError as error:
        st.warning(plain(str(error)))
        return
    if recorded and recorded[0] in available:
        st.session_state["compare-metric"], st.session_state[_goal_key(recorded[0])] = recorded


@st.cache_resource(show_spinner=False)
def _read() -> dict[Path, tuple[Stamp, RunRecord]]:
    return {}


def made_for(name: str, parts: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    """What `make` returned when it was last given these very parts, which are objects that do not change."""
    previous, value = st.session_state.get(f"made-for-{name}", (None, None))
    if previous is None or len(previous) != len(parts) or not all(map(_same, previous, parts)):
        value = make()
        st.session_state[f"made-for-{name}"] = (parts, value)
    return value


def _same(first: Any, second: Any) -> bool:
    return first is second or (not isinstance(first, RunRecord) and bool(first == second))


def cached_record(run: Run) -> RunRecord:
    """A run of this home, read again only when one of its files has changed.

    Raises:
        ValueError: its folder is damaged.
    """
    cache, stamp = _read(), run_record.stamp(run)
    cached = cache.get(run.folder)
    if cached is None or cached[0] != stamp:
        cache[run.folder] = cached = (stamp, run_record.read_run_record(run))
    record = cached[1]
    if record.state not in runs.ACTIVE:
        return record
    status = run.status()  # it may have died without a word
    return replace(record, state=status.state, error=status.error)


def selected(records: list[RunRecord]) -> list[RunRecord]:
    """The selected runs: as ticked, else as the address names them, else the newest sweep or the newest few runs."""
    keys = {record.key for record in records}
    stored = st.session_state.get(SELECTED)
    if stored is None:
        stored = _from_address(records) or _newest(records)
        st.session_state[SELECTED] = stored
    wanted_keys = set(stored) & keys
    return [record for record in records if record.key in wanted_keys]


def select(keys: list[str], anew: bool = False) -> None:
    """Select runs, and put them into the address, so that a refresh or another tab shows them again.

    `anew`: not by ticks in the table, which has to forget its own.
    """
    st.session_state[SELECTED] = keys
    st.session_state[ANEW] = st.session_state.get(ANEW, 0) + anew
    st.query_params.pop("sweep", None)
    if 0 < len(keys) <= LONGEST_ADDRESS:
        st.query_params["runs"] = ",".join(keys)
    else:
        st.query_params.pop("runs", None)


def show_comparison(sweep: str) -> None:
    """Open the Compare page with the runs of a sweep, whatever was selected there before."""
    st.session_state.pop(SELECTED, None)
    st.session_state.pop("compare-metric", None)  # another sweep may have another
    st.session_state[ANEW] = st.session_state.get(ANEW, 0) + 1
    st.switch_page(COMPARE_PAGE, query_params={"sweep": sweep})


def _from_address(records: list[RunRecord]) -> list[str]:
    sweep: Any = st.query_params.get("sweep")
    if sweep:
        return [record.key for record in records if record.group == sweep]
    names = (st.query_params.get("runs") or "").split(",")
    return [record.key for record in select_runs(records, names)]


def _newest(records: list[RunRecord]) -> list[str]:
    if not records:
        return []
    first = records[0]
    if first.group:
        return [record.key for record in records if (record.group, record.server) == (first.group, first.server)]
    data = first.config.get("dataset_hash")
    same_data = [record.key for record in records if record.config.get("dataset_hash") == data and not record.group]
    return same_data[:FEW]


def run_table(records: list[RunRecord], rank_by: RankBy) -> list[RunRecord]:
    """Draw the table and return the selected runs."""
    filtered = _filtered(records)
    selection = selected(records)
    frame = made_for("table", (rank_by, *filtered), lambda: _frame(filtered, rank_by))
    keys = [record.key for record in filtered]
    selected_keys = {record.key for record in selection}
    places = [place for place, key in enumerate(keys) if key in selected_keys]
    state = st.dataframe(
        frame,
        key=table_key(keys, st.session_state.get(ANEW, 0)),
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": places}},
        hide_index=True,
        height=HEIGHT if len(filtered) > 8 else "auto",
        column_config=_columns(frame, rank_by),
        alt="The runs: name, state, figure, and the settings in which they differ",
    )
    ticked = [keys[row] for row in state["selection"]["rows"] if row < len(keys)]
    hidden = [record.key for record in selection if record.key not in set(keys)]
    updated = ticked if _cleared(len(hidden)) else hidden + ticked
    if set(updated) != selected_keys:
        select(updated)
        st.rerun()
    return selection


def _cleared(hidden: int) -> bool:
    """Say how many selected runs the filter hides, and return whether they are to be selected no longer."""
    if not hidden:
        return False
    with st.container(horizontal=True, vertical_alignment="center"):
        are = "run is" if hidden == 1 else "runs are"
        st.caption(f"{hidden:,} selected {are} hidden by the filter and counted below all the same.")
        return st.button("Clear them", key="compare-clear-hidden", icon=":material/deselect:")


def table_key(keys: list[str], anew: int = 0) -> str:
    """The key of the table of these runs: rows are ticked by place, so other rows have to be another table, and so
    have ticks that were not made in it."""
    return f"runs-{anew}-{zlib.crc32(chr(10).join(keys).encode()):08x}"


def _filtered(records: list[RunRecord]) -> list[RunRecord]:
    words = st.text_input(
        "Filter",
        key="compare-filter",
        placeholder="words that name, tags, note, sweep, state or settings contain, such as: finished 0.01",
        label_visibility="collapsed",
    )
    terms = words.lower().split()
    return [record for record in records if _matches(record, terms)] if terms else records


def _matches(record: RunRecord, words: list[str]) -> bool:
    config = " ".join(f"{key} {value}" for key, value in record.config.items())
    labels = (
        record.name,
        record.state,
        runs.state_word(record.state),
        record.source,
        record.group,
        record.note,
        *record.tags,
    )
    text = " ".join((*labels, config)).lower()
    return all(word in text for word in words)


def _frame(records: list[RunRecord], rank_by: RankBy) -> pd.DataFrame:
    rows = [row | {"state": runs.state_word(row["state"])} for row in table(records, rank_by)]
    frame = pd.DataFrame(cells(rows))
    if frame.empty:
        return pd.DataFrame({"name": []})
    place, curve = frame.columns.get_loc(visible(rank_by.metric)) + 1, _curve_column(frame)
    frame.insert(place, curve, [_sparkline(record, rank_by) for record in records])
    frame = frame.drop(columns=[*HIDDEN])
    settings = [column for column in frame.columns if column not in LAST]
    mixed = {column: _one_type(frame[column]) for column in settings if column != curve}
    return frame.assign(**mixed)[[*settings, *[column for column in LAST if frame[column].astype(bool).any()]]]


def _curve_column(frame: pd.DataFrame) -> str:
    """A name for the column of sparklines that is no setting's and no metric's."""
    name = CURVE
    while name in frame:
        name += " "
    return name


def _one_type(column: Any) -> Any:
    """Words and numbers in one column cannot be sorted: they are all words then."""
    known = [value for value in column if value is not None and value == value]
    if all(number(value) is not None for value in known):
        return column
    return pd.Series(
        [None if value is None or value != value else str(value) for value in column], index=column.index
    )


def _sparkline(record: RunRecord, rank_by: RankBy) -> list[float]:
    if record.last_only:
        return []
    values = [value for row in record.rows if (value := number(row.get(rank_by.metric))) is not None]
    if len(values) > SPARKLINE:
        values = [values[place] for place in thin(pd.Series(values).to_numpy(), SPARKLINE)]
    return [float(f"{value:.4g}") for value in values]


def _columns(frame: pd.DataFrame, rank_by: RankBy) -> dict[str, Any]:
    words = metric_label(rank_by.metric)
    curve = next((name for name in frame if len(frame) and isinstance(frame[name].iloc[0], list)), CURVE)
    columns: dict[str, Any] = {
        "name": st.column_config.TextColumn("name", pinned=True, width="medium"),
        "state": st.column_config.TextColumn("state", width="small"),
        rank_by.metric: number_column(frame.get(rank_by.metric, ()), words, help=rank_by.words),
        curve: st.column_config.LineChartColumn(CURVE, help=f"{words} over the epochs", width="small"),
        "best_epoch": st.column_config.NumberColumn("best epoch", width="small", help="The lowest validation loss"),
        "seconds": st.column_config.NumberColumn("seconds", format="%.0f"),
    }
    return number_columns(frame) | {name: column for name, column in columns.items() if name in frame.columns}
