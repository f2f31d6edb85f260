"""Compare: runs in one table, a verdict on those that are ticked, and everything behind it."""

import streamlit as st

from ui.compare_choice import choice_of
from ui.compare_panels import panels
from ui.compare_pull import curves_of, elsewhere
from ui.compare_runs import known_runs
from ui.compare_table import run_table
from ui.compare_take import labels_editor
from ui.session import home, inside_app, plain

inside_app()

st.header("Compare runs", anchor=False)
elsewhere()
pasts, problems = known_runs(home())
for problem in problems[:3]:
    st.warning(plain(problem))
if not pasts:
    st.info(
        "No runs yet. Start some on the Train page: two learning rates, three seeds each, make a first comparison. "
        "Then come back here, or pull runs from Weights & Biases above."
    )
else:
    choice = choice_of(pasts)
    chosen = run_table(pasts, choice)
    curves_of(chosen)
    labels_editor(chosen)
    panels(chosen, choice, pasts)
