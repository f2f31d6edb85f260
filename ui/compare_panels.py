"""What the selected runs show: the verdict first, then the curves, the settings, and the report to take away."""

from typing import get_args

import streamlit as st

from tfbind.baselines import Beside, beside_each, remark_beside
from tfbind.compare import Choice, Setting, group, words_of
from tfbind.compare_plots import Axis, Look, learning_curves, ranking
from tfbind.history import Past
from tfbind.report import baseline_table, baseline_words, ranked, standings_table
from tfbind.verdict import Verdict, judge
from tfbind.verdict_text import RULE, headline, lines, next_steps
from tfbind.visible import visible
from ui.compare_runs import made_for
from ui.compare_settings import settings_panels
from ui.compare_take import chart_config, take_away
from ui.panels import panel
from ui.session import cells, home, plain

SHOWN = 4  # comparisons that are open to read at once


def panels(chosen: list[Past], choice: Choice, pool: list[Past]) -> None:
    """Draw everything about the selected runs."""
    if not chosen:
        st.info("Tick the runs to compare in the table.")
        return
    found: list[Beside] = []
    with panel("baselines"):
        found = _baselines(chosen, choice)
    verdict: Verdict | None = None
    with panel("verdict"):
        verdict = made_for("verdict", (choice, *chosen, None, *pool), lambda: judge(chosen, choice, pool))
        _verdict(verdict, found)
    with panel("learning curves"):
        _curves(ranked(verdict) if verdict else group(chosen, choice), choice)
    settings_panels(chosen, choice)
    if verdict:
        with panel("take it away"):
            take_away(chosen, verdict, found)


def _baselines(chosen: list[Past], choice: Choice) -> list[Beside]:
    try:
        return beside_each(home(), [past.config for past in chosen], choice.metric)
    except ValueError as error:
        st.warning(plain(str(error)))
        return []


def _verdict(verdict: Verdict, found: list[Beside]) -> None:
    st.subheader("Verdict", anchor=False)
    answer = plain(headline(verdict))
    if verdict.refused:
        st.warning(answer)
        _beside_each(verdict, found)
        return
    sure = verdict.comparisons and not verdict.tied
    (st.success if sure else st.info)(answer, icon=":material/trophy:" if sure else ":material/balance:")
    st.caption(plain(f"Judged by {verdict.choice.words}."))
    words, picture = st.columns([3, 2], gap="large")
    with words:
        said = lines(verdict)
        _bullets(said if len(said) <= SHOWN + 1 else [*said[:SHOWN], said[-1]])
        if len(said) > SHOWN + 1:
            with st.expander(f"{len(said) - SHOWN - 1} more comparisons"):
                _bullets(said[SHOWN:-1])
        for note in verdict.notes:
            st.caption(plain(note))
    if verdict.standings:
        with picture, panel("ranking"):
            st.plotly_chart(
                ranking(verdict),
                config=chart_config("ranking"),
                key="ranking",
                alt="The settings by their mean, with a dot for each seed",
            )
        st.dataframe(
            cells(standings_table(verdict, found)),
            hide_index=True,
            height=min(38 + 35 * (len(verdict.standings) + len(found)), 320),
            alt="Each setting with its figures over seeds and how its curves end, and baselines on the same windows",
        )
        with panel("beside baselines"):
            _beside(verdict, found)
    _next(verdict)
    with st.expander("The rule behind this verdict"):
        _bullets(list(RULE))


def _beside_each(verdict: Verdict, found: list[Beside]) -> None:
    """Show what simple models reach on each of several data sets."""
    if not found:
        st.caption(
            "No baselines of these data sets have been computed; the page of a run computes those of its split."
        )
        return
    st.caption("Simpler models, on the held-out windows of each data set.")
    rows = cells(baseline_table(found, verdict.choice.metric))
    st.dataframe(rows, hide_index=True, alt="The baselines of each data set")


def _beside(verdict: Verdict, found: list[Beside]) -> None:
    """Say what the baselines are, and whether one of them does as well as the best setting."""
    best = verdict.best
    if found and best:
        records = [past.config for past in best.setting.counted]
        said = remark_beside(home(), records, verdict.choice.metric, best.mean, best.setting.label)
        if said:
            st.info(plain(said), icon=":material/balance:")
        st.caption(plain(baseline_words(found)))


def _bullets(said: list[str]) -> None:
    st.markdown("\n".join(f"- {plain(line)}" for line in said))


def _next(verdict: Verdict) -> None:
    steps = next_steps(verdict)
    if not steps:
        return
    st.markdown("**What would settle the rest**")
    _bullets([step.text for step in steps])
    commands = list(dict.fromkeys(command for step in steps for command in step.commands))
    if commands:
        with st.expander("The commands"):
            st.code(visible("\n".join(commands)), language="bash", wrap_lines=True)


def _curves(settings: list[Setting], choice: Choice) -> None:
    st.subheader("Learning curves", anchor=False)
    if all(past.last_only for setting in settings for past in setting.pasts):
        st.caption("Only the last values of these runs are known.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        axis = st.segmented_control("Along", list(get_args(Axis)), default="epoch", key="curve-axis")
        log = st.pills("Log axes", ["x", "y"], selection_mode="multi", key="curve-log")
        smooth = st.slider("Smoothing", 0.0, 0.95, 0.0, 0.05, key="curve-smooth", width=200)
        grouped = st.toggle("Seeds as mean with range", True, key="curve-grouped")
    look = Look(axis or "epoch", "x" in log, "y" in log, smooth, grouped)
    st.plotly_chart(
        learning_curves(settings, choice.metric, look),
        config=chart_config("curves"),
        key="curves",
        alt=f"{visible(words_of(choice.metric))} of the selected runs along the {look.axis}s",
    )
