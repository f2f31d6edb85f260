"""Predict: paste DNA, see where the factor binds, change a base, take the result away."""

import pandas as pd
import streamlit as st

from tfbind.export import THRESHOLD
from tfbind.records import Record
from tfbind.scoring import Model
from tfbind.sequences import decode
from ui import scored
from ui.downloads import downloads
from ui.sequence_input import fill, sequence_input, show_notes
from ui.sequence_view import sequence_view
from ui.session import home, inside_app, plain

TABLE = "records"
TABLE_RECORDS = 1_000

inside_app()
st.title("Where does the factor bind?", anchor=False)
box, settings = st.columns([3, 2], gap="large")
with settings:
    names = scored.choices(home())
    name = st.selectbox("Model", list(names), format_func=names.__getitem__, key="model")
    left, right = st.columns(2)
    strand = left.selectbox(
        "Strand",
        ["forward", "both"],
        help="forward: what the models learnt from. both: averaged with the reverse complement, which agrees a "
        "little less with the labels, since their rule is not symmetric.",
        key="strand",
    )
    threshold = right.number_input(
        "Call sites from", 0.1, 50.0, THRESHOLD, 0.5, help="Lowest score, in nats, of a called site.", key="threshold"
    )
    st.checkbox("Draw the other strand too", key="show-reverse")
    with st.popover("What does a score mean?", icon=":material/help:"):
        st.markdown(
            "A score says **how well the DNA matches the binding motif**, in nats (natural-log odds) above random "
            "DNA: 0 is no match, the strongest FOXA1 sites reach about 10. It is **not** occupancy in a cell and "
            "not a probability: chromatin, cofactors and cell type are unknown to the model. The band shows how far "
            "three trainings of the same model differ."
        )
with box:
    records = sequence_input()


def choose(records: list[Record], model: Model) -> Record:
    """The record to look at: picked from a table of all, with the highest score of each."""
    if len(records) == 1:
        return records[0]
    listed = records[:TABLE_RECORDS]
    highest = scored.highest(model, tuple(record.codes.tobytes() for record in listed), strand == "both")
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
    model = scored.open_model(home(), name)
    record = choose(records, model)
    st.subheader(plain(record.name), anchor=False)
    st.caption(f"{plain(names[name])} · {len(record.codes):,} bases · score in nats above background, not occupancy")
    sequence_view(record, records, model, both=strand == "both", threshold=threshold, open_record=open_record)
    downloads(records, model, both=strand == "both", threshold=threshold)
