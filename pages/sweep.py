"""Sweep: set up many runs at once, watch them race; `?sweep=ID` shows one sweep."""

import streamlit as st

from ui.sweep.form import new_sweep
from ui.sweep.monitor import race
from ui.widgets.session import inside_app, open_sweep, plain

inside_app()

sweep = None
try:
    sweep = open_sweep()
    if sweep:
        race(sweep)
except ValueError as error:
    st.error(plain(str(error)))

if not sweep:
    new_sweep()
