"""Compare: runs in one table, a verdict on those that are ticked, and everything behind it."""

import streamlit as st

from tfbind.compare import DEFAULT_METRIC, choose, known_runs
from tfbind.runs import RunRecord, read_run_records
from ui.compare.panels import labels_editor, panels
from ui.compare.pull import curves_of, external_runs
from ui.compare.select import cached_record, choose_rank_by, run_table, selected
from ui.widgets.panels import panel
from ui.widgets.session import SWEEP_PAGE, home, inside_app, plain


def known() -> tuple[list[RunRecord], list[str]]:
    """Every run there is, and what cannot be read; those of this home whatever comes from elsewhere."""
    with panel("runs from elsewhere"):
        return known_runs(home(), cached_record)
    return read_run_records(home(), cached_record)


inside_app()

st.title("Compare runs", anchor=False)
with panel("Runs from Weights & Biases"):
    external_runs()
records, problems = known()
for problem in problems[:3]:
    st.warning(plain(problem))
if not records:
    st.info(
        "No runs yet. Two learning rates with three replicates each make a first comparison: start them as a sweep, "
        "then come back here. Or pull runs from Weights & Biases above."
    )
    st.page_link(SWEEP_PAGE, label="To the sweep", icon=":material/stacked_line_chart:")
else:
    rank_by, selection = choose(DEFAULT_METRIC), selected(records)
    with panel("choice of the metric"):
        rank_by = choose_rank_by(records)
    with panel("table"):
        selection = run_table(records, rank_by)
    with panel("curves from elsewhere"):
        curves_of(selection)
    with panel("tags and note"):
        labels_editor(selection)
    panels(selection, rank_by, records)
