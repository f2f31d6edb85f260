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
box, options_column = st.columns([3, 2], gap="large")
scoring_settings, parsed, variants, record = None, None, None, None
with options_column, panel("model"):
    scoring_settings = settings()
with box:
    with panel("sequences"):
        parsed = sequence_input()
    records = parsed or []
    forget_other_list(records)
    with panel("file"):
        file = FILE.file()
        if file and scoring_settings and parsed is not None:
            offer_job(file, scoring_settings, too_large=not records)
    with panel("list of variants"):
        variants = variant_input(records)
if variants and scoring_settings:
    with panel("variants"):
        variant_view(variants, scoring_settings)
if records:
    with panel("notes"):
        show_notes(records)
if records and scoring_settings:
    with panel("records"):
        record = choose_record(records, scoring_settings)
    record = record or records[0]
    st.subheader(plain(record.name), anchor=False)
    bases = plural(len(record.codes), "base")
    st.caption(plain(f"{scoring_settings.main.label} · {bases} · {scoring_settings.model.target.words}"))
    show_cautions(record, scoring_settings.model)
    with panel("sequence"):
        sequence_view(record, records, scoring_settings, lambda meant: open_record(meant, records))
    with panel("downloads"):
        downloads(records, scoring_settings)
with panel("files in the background"):
    background_jobs()
