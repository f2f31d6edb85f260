"""By which figure runs are compared: the metric, the direction, the epoch."""

import streamlit as st

from tfbind import sweep_folder
from tfbind.compare import DEFAULT_METRIC, Choice, Goal, When, choose, goal_of, metrics, words_of
from tfbind.history import Past
from tfbind.visible import visible
from ui.compare_runs import made_for, selected
from ui.session import home, plain

WHEN: dict[When, str] = {"best": "Best epoch", "last": "Last epoch", "epoch": "At epoch"}
BETTER: dict[Goal, str] = {"max": "Higher", "min": "Lower"}
WHEN_HELP = (
    "Best epoch: the one with the lowest validation loss, whatever the metric. At epoch: every run at the same "
    "epoch, also runs that have not finished."
)


def choice_of(pasts: list[Past]) -> Choice:
    """Draw the choices and return what they say."""
    known = made_for("metrics", tuple(pasts), lambda: metrics(pasts)) or [DEFAULT_METRIC]
    _as_its_sweep(pasts, known)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        metric = st.selectbox(
            "Metric", known, format_func=lambda metric: visible(words_of(metric)), key="compare-metric", width=230
        )
        when = st.segmented_control(
            "Where", list(WHEN), format_func=WHEN.__getitem__, default="best", key="compare-when", help=WHEN_HELP
        )
        epoch = None
        if when == "epoch":
            longest = max((len(past.rows) for past in pasts), default=1)
            epoch = int(st.number_input("Epoch", 1, max(1, longest), min(5, max(1, longest)), width=110))
        st.session_state.setdefault(_goal_key(metric), goal_of(metric))
        goal = st.segmented_control(
            "Better is",
            list(BETTER),
            format_func=BETTER.__getitem__,
            key=_goal_key(metric),
        )
    return choose(metric, when or "best", epoch, goal or goal_of(metric))


def _goal_key(metric: str) -> str:
    return f"compare-goal-{metric}"


def _as_its_sweep(pasts: list[Past], known: list[str]) -> None:
    """Until something else is chosen, judge the runs of one sweep by its metric and goal."""
    groups = {past.group if past.source == "local" else "" for past in selected(pasts)}
    if "compare-metric" in st.session_state or len(groups) != 1:
        return
    try:
        found = sweep_folder.judged_by(home(), groups.pop())
    except ValueError as error:
        st.warning(plain(str(error)))
        return
    if found and found[0] in known:
        st.session_state["compare-metric"], st.session_state[_goal_key(found[0])] = found
