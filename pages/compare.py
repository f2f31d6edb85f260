"""Compare: runs in one table, a verdict on those that are ticked, and everything behind it."""

import streamlit as st

from tfbind.elsewhere import known_runs
from ui.compare_choice import choice_of
from ui.compare_panels import panels
from ui.compare_pull import curves_of, elsewhere
from ui.compare_runs import past_of
from ui.compare_table import run_table
from ui.compare_take import labels_editor
from ui.session import SWEEP_PAGE, home, inside_app, plain

inside_app()

st.title("Compare runs", anchor=False)
elsewhere()
pasts, problems = known_runs(home(), past_of)
for problem in problems[:3]:
    st.warning(plain(problem))
if not pasts:
    st.info(
        "No runs yet. Two learning rates with three replicates each make a first comparison: start them as a sweep, "
        "then come back here. Or pull runs from Weights & Biases above."
    )
    st.page_link(SWEEP_PAGE, label="To the sweep", icon=":material/stacked_line_chart:")
else:
    choice = choice_of(pasts)
    chosen = run_table(pasts, choice)
    curves_of(chosen)
    labels_editor(chosen)
    panels(chosen, choice, pasts)
