"""Compare: runs in one table, a verdict on those that are ticked, and everything behind it."""

import streamlit as st

from tfbind.compare import DEFAULT_METRIC, choose, known_runs
from tfbind.runs import RunRecord, read_run_records
from ui.compare.panels import labels_editor, panels
from ui.compare.pull import curves_of, external_runs
from ui.compare.select import choice_of, past_of, run_table, selected
from ui.widgets.panels import panel
from ui.widgets.session import SWEEP_PAGE, home, inside_app, plain


def known() -> tuple[list[RunRecord], list[str]]:
    """Every run there is, and what cannot be read; those of this home whatever comes from elsewhere."""
    with panel("runs from elsewhere"):
        return known_runs(home(), past_of)
    return read_run_records(home(), past_of)


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
    choice, chosen = choose(DEFAULT_METRIC), selected(records)
    with panel("choice of the metric"):
        choice = choice_of(records)
    with panel("table"):
        chosen = run_table(records, choice)
    with panel("curves from elsewhere"):
        curves_of(chosen)
    with panel("tags and note"):
        labels_editor(chosen)
    panels(chosen, choice, records)
