"""Lesson: ten minutes from the data to a verdict and a model of one's own; `?step=N` is where one stands."""

import streamlit as st

from ui.lesson.steps import STEPS
from ui.widgets.panels import panel
from ui.widgets.session import inside_app

STEP = "step"


def current() -> int:
    """The step in the address, 1-based; the first where it names none."""
    asked = st.query_params.get(STEP, "1")
    return min(max(int(asked), 1), len(STEPS)) if asked.isdecimal() and len(asked) < 4 else 1


def go(step: int) -> None:
    st.query_params[STEP] = str(step)


inside_app()
number = current()
step = STEPS[number - 1]
st.title("Lesson: what a learning rate can do, and what it cannot", anchor=False)
st.progress(number / len(STEPS), f"Step {number} of {len(STEPS)}")
st.header(f"{number}. {step.title}", anchor=False)
done = False
with panel("step"):
    done = step.draw()
with st.container(horizontal=True):
    if number > 1:
        st.button("Back", on_click=go, args=(number - 1,), icon=":material/arrow_back:")
    if number < len(STEPS):
        st.button(
            f"Next: {STEPS[number].title}",
            on_click=go,
            args=(number + 1,),
            type="primary" if done else "secondary",
            disabled=not done,
            icon=":material/arrow_forward:",
        )
