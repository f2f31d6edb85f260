"""Predict: paste DNA, see where the factor binds, change a base, take the result away."""

import streamlit as st

from tfbind.store import plural
from ui.predict.input import (
    FILE,
    choose_record,
    forget_other_list,
    open_record,
    sequence_input,
    show_cautions,
    show_notes,
)
from ui.predict.jobs import background_jobs, downloads, offer_job
from ui.predict.model import settings
from ui.predict.variants import variant_input, variant_view
from ui.predict.view import sequence_view
from ui.widgets.panels import panel
from ui.widgets.session import inside_app, plain

inside_app()
st.title("Where does the factor bind?", anchor=False)
box, beside = st.columns([3, 2], gap="large")
with beside:
    chosen = settings()
with box:
    read = sequence_input()
    records = read or []
    forget_other_list(records)
    file = FILE.file()
    if file and chosen and read is not None:
        offer_job(file, chosen, too_large=not records)
    variants = variant_input(records)
if variants and chosen:
    with panel("variants"):
        variant_view(variants, chosen)
if records:
    show_notes(records)
if records and chosen:
    record = choose_record(records, chosen)
    st.subheader(plain(record.name), anchor=False)
    bases = plural(len(record.codes), "base")
    st.caption(plain(f"{chosen.main.label} · {bases} · {chosen.model.target.words}"))
    show_cautions(record, chosen.model)
    sequence_view(record, records, chosen, lambda meant: open_record(meant, records))
    with panel("downloads"):
        downloads(records, chosen)
with panel("files in the background"):
    background_jobs()
