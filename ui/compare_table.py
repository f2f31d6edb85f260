"""The table of the Compare page: filter it, sort it, tick the runs to compare."""

import zlib
from typing import Any

import pandas as pd
import streamlit as st

from tfbind.compare import Choice, number, table, words_of
from tfbind.history import Past
from tfbind.plots import thin
from tfbind.visible import visible
from ui.compare_runs import ANEW, made_for, select, selected
from ui.number_column import number_column
from ui.session import cells

SPARKLINE = 40
CURVE = "curve"  # the column of sparklines
HEIGHT = 320
HIDDEN = ("key", "id")
LAST = ("tags", "note", "group", "source", "server", "epochs", "seconds", "created")


def run_table(pasts: list[Past], choice: Choice) -> list[Past]:
    """Draw the table and return the selected runs."""
    shown = _filtered(pasts)
    chosen = selected(pasts)
    frame = made_for("table", (choice, *shown), lambda: _frame(shown, choice))
    keys = [past.key for past in shown]
    picked = {past.key for past in chosen}
    places = [place for place, key in enumerate(keys) if key in picked]
    state = st.dataframe(
        frame,
        key=table_key(keys, st.session_state.get(ANEW, 0)),
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": places}},
        hide_index=True,
        height=HEIGHT if len(shown) > 8 else "auto",
        column_config=_columns(frame, choice),
        alt="The runs: name, state, figure, and the settings in which they differ",
    )
    ticked = [keys[row] for row in state["selection"]["rows"] if row < len(keys)]
    hidden = [past.key for past in chosen if past.key not in set(keys)]
    now = ticked if _cleared(len(hidden)) else hidden + ticked
    if set(now) != picked:
        select(now)
        st.rerun()
    return chosen


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


def _filtered(pasts: list[Past]) -> list[Past]:
    words = st.text_input(
        "Filter",
        key="compare-filter",
        placeholder="words that name, tags, note, sweep, state or settings contain, such as: finished 0.01",
        label_visibility="collapsed",
    )
    wanted = words.lower().split()
    return [past for past in pasts if _has(past, wanted)] if wanted else pasts


def _has(past: Past, words: list[str]) -> bool:
    config = " ".join(f"{key} {value}" for key, value in past.config.items())
    labels = (past.name, past.state, past.source, past.group, past.note, *past.tags)
    text = " ".join((*labels, config)).lower()
    return all(word in text for word in words)


def _frame(pasts: list[Past], choice: Choice) -> pd.DataFrame:
    frame = pd.DataFrame(cells(table(pasts, choice)))
    if frame.empty:
        return pd.DataFrame({"name": []})
    place, curve = frame.columns.get_loc(visible(choice.metric)) + 1, _curve_column(frame)
    frame.insert(place, curve, [_sparkline(past, choice) for past in pasts])
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
    return pd.Series([None if value is None else str(value) for value in column], index=column.index)


def _sparkline(past: Past, choice: Choice) -> list[float]:
    if past.last_only:
        return []
    values = [value for row in past.rows if (value := number(row.get(choice.metric))) is not None]
    if len(values) > SPARKLINE:
        values = [values[place] for place in thin(pd.Series(values).to_numpy(), SPARKLINE)]
    return [float(f"{value:.4g}") for value in values]


def _columns(frame: pd.DataFrame, choice: Choice) -> dict[str, Any]:
    words = words_of(choice.metric)
    columns: dict[str, Any] = {
        "name": st.column_config.TextColumn("name", pinned=True, width="medium"),
        "state": st.column_config.TextColumn("state", width="small"),
        choice.metric: number_column(frame.get(choice.metric, ()), words, help=choice.words),
        "curve": st.column_config.LineChartColumn("curve", help=f"{words} over the epochs", width="small"),
        "best_epoch": st.column_config.NumberColumn("best epoch", width="small", help="The lowest validation loss"),
        "seconds": st.column_config.NumberColumn("seconds", format="%.0f"),
        "learning_rate": st.column_config.NumberColumn("learning_rate", format="%g"),
        "weight_decay": st.column_config.NumberColumn("weight_decay", format="%g"),
    }
    return {name: column for name, column in columns.items() if name in frame.columns}
