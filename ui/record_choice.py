"""Which record to look at: a table of all of them, and small profiles of up to 20 on one scale."""

import re
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from tfbind.records import Record
from tfbind.scoring import Scores
from tfbind.sequence_plots import stacked_figure
from ui import scored
from ui.kept_setting import KeptSetting
from ui.model_choice import Settings, padded
from ui.results import chart_buttons
from ui.sequence_changes import key
from ui.session import cells

TABLE = "records"
LIST, SHOWN = "records-list", "records-shown"  # what tells the last list from others, and its row that was open
RECORD = KeptSetting[int | None]("record", "record", None, lambda place: str((place or 0) + 1))
CHART_KEY = "stack"
TABLE_RECORDS = 1_000
STACKED = 20
STACKED_BASES = 100_000


def choose_record(records: Sequence[Record], how: Settings) -> Record:
    """The record to look at: until one is chosen, the first that the model can score."""
    if len(records) == 1:
        return records[0]
    listed = records[:TABLE_RECORDS]
    highest = scored.highest(how.model, tuple(record.codes.tobytes() for record in listed), how.both, padded())
    place = _settle(len(listed), next((place for place, score in enumerate(highest) if score is not None), 0))
    _draw_table(listed, highest, place, len(records))
    _draw_stack(listed, highest, place, how)
    return listed[place]


def open_record(record: Record, records: Sequence[Record]) -> None:
    """Show another record of the table."""
    _select(next(place for place, other in enumerate(records) if other is record))


def forget_other_list(records: Sequence[Record]) -> None:
    """Forget which record was chosen, unless it was among these, in this session or the one before.

    To be called in every run, also where nothing could be read: what the address says is meant for what was open.
    """
    identity = hash(tuple(map(key, records)))
    if st.session_state.setdefault(LIST, identity) != identity:
        st.session_state[LIST] = identity
        st.session_state.pop(SHOWN, None)
        RECORD.remember(None)


def _settle(count: int, usual: int) -> int:
    """The record to look at, whose row is then selected: the one that was chosen, or else the usual one."""
    chosen = RECORD.restore(partial(_read_number, count))
    state, shown = st.session_state.get(TABLE), st.session_state.get(SHOWN)
    selected = state["selection"]["rows"] if state else []
    if shown is not None and selected not in ([], [shown]) and selected[0] < count:
        chosen = selected[0]
    RECORD.remember(None if chosen is None else RECORD.write(chosen))
    place: int = usual if chosen is None else chosen
    st.session_state[SHOWN] = place
    if selected not in ([], [place]):
        _select(place)
    return place


def _read_number(count: int, text: str) -> int:
    if not (re.fullmatch(r"[1-9]\d{0,3}", text, re.ASCII) and int(text) <= count):
        raise ValueError(f"Record {text} is not among these {count:,}: one that can be scored is opened.")
    return int(text) - 1


def _select(place: int) -> None:
    st.session_state[TABLE] = {"selection": {"rows": [place], "columns": [], "cells": []}}


def _draw_table(listed: Sequence[Record], highest: Sequence[float | None], chosen: int, count: int) -> None:
    rows = [
        {"Record": record.name, "Bases": len(record.codes), "Highest score": score}
        for record, score in zip(listed, highest, strict=True)
    ]
    said = f"{count:,} records. Select a row to see its profile."
    if count > TABLE_RECORDS:
        said += f" The first {TABLE_RECORDS:,} are shown; downloads hold all."
    if short := sum(score is None for score in highest):
        said += f" {short:,} of them, without a score, are too short for this model unless they are filled up with N."
    st.caption(said)
    st.dataframe(
        pd.DataFrame(cells(rows)),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row-required",
        selection_default={"selection": {"rows": [chosen]}},
        key=TABLE,
        height=min(35 * (len(rows) + 1) + 3, 220),
        alt="Records with their length and highest score",
        column_config={"Highest score": st.column_config.NumberColumn(format="%.2f")},
    )


def _draw_stack(listed: Sequence[Record], highest: Sequence[float | None], chosen: int, how: Settings) -> None:
    places = stacked(listed, highest)
    if len(places) < 2:
        return
    profiles = [
        scored.profile(how.model, listed[place].codes.tobytes(), how.both, padded()).scores for place in places
    ]
    said = "Their profiles on one scale" if len(places) == len(listed) else f"The {len(places)} highest on one scale"
    st.caption(f"{said}. Click a line to open its record.")
    st.plotly_chart(
        _stacked_figure(
            [listed[place].name for place in places],
            profiles,
            chosen=_within(places, chosen),
            unit=how.model.meaning.unit,
        ),
        key=CHART_KEY,
        config=chart_buttons("records"),
        on_select=lambda: _take_click(places),
        selection_mode="points",
        alt="Predicted scores of several records, one below the other, on one scale",
    )


@scored.drawn_once
def _stacked_figure(names: Sequence[str], profiles: Sequence[Scores], chosen: int | None, unit: str) -> go.Figure:
    return stacked_figure(names, profiles, chosen=chosen, unit=unit)


def stacked(listed: Sequence[Record], highest: Sequence[float | None]) -> list[int]:
    """Which records are drawn small: those with the highest scores, in the order of the input."""
    known = [(score, place) for place, score in enumerate(highest) if score is not None]
    drawn = [(score, place) for score, place in known if len(listed[place].codes) <= STACKED_BASES]
    return sorted(place for _, place in sorted(drawn, key=lambda entry: (-entry[0], entry[1]))[:STACKED])


def _within(places: Sequence[int], chosen: int) -> int | None:
    found = np.flatnonzero(np.array(places) == chosen)
    return int(found[0]) if len(found) else None


def _take_click(places: Sequence[int]) -> None:
    for point in st.session_state[CHART_KEY]["selection"]["points"][:1]:
        _select(places[point["curve_number"]])
