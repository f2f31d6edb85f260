"""The server of the app, which is dashboard.py. Start it with `streamlit run app.py`."""

import streamlit as st
from starlette.middleware import Middleware

from ui.widgets.session import Guard

app = st.App("dashboard.py", middleware=[Middleware(Guard)])
