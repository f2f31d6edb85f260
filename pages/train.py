"""Train: set up a run, start it, watch it learn; `?run=ID` shows one run."""

import streamlit as st

from ui.train.new_run import new_run
from ui.train.run import run_view
from ui.widgets.session import inside_app, open_run, plain

inside_app()

run = None
try:
    run = open_run()
    if run:
        run_view(run)
except ValueError as error:
    st.error(plain(str(error)))

if not run:
    new_run()
