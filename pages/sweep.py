"""Sweep: set up many runs at once, watch them race; `?sweep=ID` shows one sweep."""

import streamlit as st

from ui.session import inside_app, open_sweep, plain
from ui.sweep_form import new_sweep
from ui.sweep_race import race

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
