"""Predict: paste DNA, see where the factor binds, change a base, take the result away."""

import pandas as pd
import streamlit as st

from tfbind.records import Record
from tfbind.sequences import decode
from ui import scored
from ui.downloads import downloads
from ui.model_choice import Settings, settings
from ui.sequence_input import fill, sequence_input, show_notes
from ui.sequence_view import sequence_view
from ui.session import inside_app, plain

TABLE = "records"
TABLE_RECORDS = 1_000

inside_app()
st.title("Where does the factor bind?", anchor=False)
box, beside = st.columns([3, 2], gap="large")
with beside:
    chosen = settings()
with box:
    records = sequence_input()


def choose(records: list[Record], how: Settings) -> Record:
    """The record to look at: picked from a table of all, with the highest score of each."""
    if len(records) == 1:
        return records[0]
    listed = records[:TABLE_RECORDS]
    highest = scored.highest(how.model, tuple(record.codes.tobytes() for record in listed), how.both)
    rows = [
        {"Record": record.name, "Bases": len(record.codes), "Highest score": score}
        for record, score in zip(listed, highest, strict=True)
    ]
    st.caption(
        f"{len(records):,} records. Click a row to see its profile."
        + (f" The first {TABLE_RECORDS:,} are shown; downloads hold all." if len(records) > TABLE_RECORDS else "")
    )
    event = st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": [0]}},
        key=TABLE,
        height=min(35 * (len(rows) + 1) + 3, 220),
        alt="Records with their length and highest score",
        column_config={"Highest score": st.column_config.NumberColumn(format="%.2f")},
    )
    chosen = event["selection"]["rows"]
    return listed[chosen[0] if chosen and chosen[0] < len(listed) else 0]


def open_record(record: Record) -> None:
    """Show a record of the table; one that is not in it comes into the box."""
    places = [place for place, other in enumerate(records) if other is record]
    if places:
        st.session_state[TABLE] = {"selection": {"rows": places, "columns": [], "cells": []}}
    else:
        fill(f">{record.name}\n{decode(record.codes)}\n")


if records:
    show_notes(records)
if records and chosen:
    record = choose(records, chosen)
    st.subheader(plain(record.name), anchor=False)
    st.caption(
        f"{plain(chosen.main.label)} · {len(record.codes):,} bases · score in nats above background, not occupancy"
    )
    sequence_view(record, records, chosen, open_record)
    downloads(records, chosen)
