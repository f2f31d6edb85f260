"""What the settings do: parallel coordinates, the figure against each of them, their importance, what differs."""

from typing import Any

import streamlit as st

from tfbind.compare import Choice, columns_of, differing, shown, table, words_of
from tfbind.compare_plots import against, importance_bars, parallel, spans_decades
from tfbind.history import Past
from tfbind.importance import FEWEST, importance
from tfbind.report import MOST_COLUMNS, setting_columns
from tfbind.visible import visible
from ui.compare_runs import made_for
from ui.compare_take import chart_config
from ui.panels import panel
from ui.session import cells, plain

IMPORTANCE_HELP = (
    "PED-ANOVA: where the best tenth of the runs lie along each setting, compared with all of them. Shares add up "
    "to 1. It is a hint, not a test: settings that were hardly varied cannot show their importance."
)
DIFF_RUNS = 12
# Plotly draws these axes black in every theme.
AXES_SEEN = "<style>.st-key-parallel .axis :is(path, line) { stroke: currentcolor; }</style>"


def settings_panels(chosen: list[Past], choice: Choice) -> None:
    """Draw what the settings of the selected runs do to the figure."""
    st.subheader("Settings", anchor=False)
    with panel("settings"):
        _figures(chosen, choice)
    with panel("configurations side by side"):
        _differences(chosen)


def _figures(chosen: list[Past], choice: Choice) -> None:
    records = made_for("records", (choice, *chosen), lambda: table(chosen, choice))
    columns = setting_columns(records, chosen)
    measured = [record for record in records if record[choice.metric] is not None]
    if not columns:
        st.caption("The selected runs have the same settings. They differ in the seed at most.")
    elif len(measured) < 2:
        st.caption(plain(f"Fewer than two of the selected runs have a figure for {words_of(choice.metric)}."))
    else:
        with panel("parallel coordinates"):
            _parallel(measured, columns, choice)
        left, right = st.columns(2, gap="large")
        with left, panel("figure against a setting"):
            _against(measured, columns, choice)
        with right, panel("importance"):
            _importance(measured, columns, choice)


def _parallel(records: list[dict[str, Any]], columns: list[str], choice: Choice) -> None:
    first = columns[:MOST_COLUMNS]
    if len(columns) > MOST_COLUMNS:
        first = st.multiselect(
            "Settings to draw",
            columns,
            first,
            format_func=visible,
            key="parallel-columns",
            max_selections=MOST_COLUMNS,
        )
    st.html(AXES_SEEN)
    st.plotly_chart(
        parallel(records, first, choice),
        config=chart_config("parallel"),
        key="parallel",
        alt=f"Each run as a line through its settings to its {visible(words_of(choice.metric))}",
    )
    st.caption(
        "Each line is a run. Drag along an axis to pick out runs; settings over decades have logarithmic axes."
    )


def _against(records: list[dict[str, Any]], columns: list[str], choice: Choice) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        column = st.selectbox("Figure against", columns, format_func=visible, key="against-column")
        log = st.toggle(
            "Log axis", spans_decades([record[column] for record in records]), key=f"against-log-{column}"
        )
    st.plotly_chart(
        against(records, column, choice, log),
        config=chart_config("against"),
        key="against",
        alt=visible(f"{words_of(choice.metric)} of each run against {column}"),
    )


def _importance(records: list[dict[str, Any]], columns: list[str], choice: Choice) -> None:
    st.markdown("Importance", help=IMPORTANCE_HELP)
    if len(records) < FEWEST:
        st.caption(f"Importance needs at least {FEWEST} runs with a figure; there are {len(records)}.")
        return
    key = (choice, *(record["key"] for record in records), *(record[choice.metric] for record in records))
    shares = made_for("importance", key, lambda: importance(records, columns, choice))
    st.plotly_chart(
        importance_bars(shares),
        config=chart_config("importance"),
        key="importance",
        alt="How much of the differences each setting explains",
    )


def _differences(chosen: list[Past]) -> None:
    with st.expander("Configurations side by side"):
        everything = st.toggle("Also what is the same", key="diff-all")
        few = chosen[:DIFF_RUNS]
        configs = [columns_of(past) for past in few]
        keys = sorted({key for config in configs for key in config}) if everything else differing(configs)
        if len(chosen) > DIFF_RUNS:
            st.caption(f"The first {DIFF_RUNS} of {len(chosen)} runs.")
        if not keys:
            st.caption("No difference.")
            return
        names = [f"{past.name} · {past.id}" for past in few]
        rows = [
            {"setting": key} | {name: shown(config.get(key)) for name, config in zip(names, configs, strict=True)}
            for key in keys
        ]
        st.dataframe(cells(rows), hide_index=True, alt="The settings of the selected runs, one column for each run")
