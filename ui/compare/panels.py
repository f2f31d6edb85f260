"""What the selected runs show: the verdict first, then the curves, what the settings do, and the report to take."""

import shlex
from typing import Any, get_args

import streamlit as st

from tfbind.compare import (
    FEWEST,
    MOST_COLUMNS,
    RULE,
    Axis,
    Configuration,
    PlotOptions,
    RankBy,
    Report,
    Verdict,
    against,
    baseline_table,
    baseline_words,
    columns_of,
    csv_table,
    differing,
    group_runs,
    headline,
    html_report,
    importance_bars,
    judge,
    learning_curves,
    markdown_report,
    metric_label,
    next_steps,
    now,
    parallel,
    ranked,
    ranking,
    setting_columns,
    setting_importance,
    shown,
    spans_decades,
    standings_table,
    table,
    verdict_lines,
)
from tfbind.evaluation import BaselineComparison, compare_baselines_by_data, remark_on_best
from tfbind.runs import RunRecord, folder, record
from tfbind.text import visible
from ui.compare.select import made_for
from ui.train.science import chart_buttons
from ui.widgets.panels import panel
from ui.widgets.session import cells, home, plain, run_action

IMPORTANCE_HELP = (
    "PED-ANOVA: where the best tenth of the runs lie along each setting, compared with all of them. Shares add up "
    "to 1. It is a hint, not a test: settings that were hardly varied cannot show their importance."
)
DIFF_RUNS = 12
# Plotly draws these axes black in every theme.
AXES_SEEN = "<style>.st-key-parallel .axis :is(path, line) { stroke: currentcolor; }</style>"
TABLE = "runs.csv"
MOST_NAMED = 20  # a command with more names is read by nobody
PICTURES = {"svg": "SVG", "png": "PNG"}
SHOWN = 4  # comparisons that are open to read at once


def settings_panels(chosen: list[RunRecord], choice: RankBy) -> None:
    """Draw what the settings of the selected runs do to the figure."""
    st.subheader("Settings", anchor=False)
    with panel("settings"):
        _figures(chosen, choice)
    with panel("configurations side by side"):
        _differences(chosen)


def _figures(chosen: list[RunRecord], choice: RankBy) -> None:
    records = made_for("records", (choice, *chosen), lambda: table(chosen, choice))
    columns = setting_columns(records, chosen)
    measured = [record for record in records if record[choice.metric] is not None]
    if not columns:
        st.caption("The selected runs have the same settings. They differ in the seed at most.")
    elif len(measured) < 2:
        st.caption(plain(f"Fewer than two of the selected runs have a figure for {metric_label(choice.metric)}."))
    else:
        with panel("parallel coordinates"):
            _parallel(measured, columns, choice)
        left, right = st.columns(2, gap="large")
        with left, panel("figure against a setting"):
            _against(measured, columns, choice)
        with right, panel("importance"):
            _importance(measured, columns, choice)


def _parallel(records: list[dict[str, Any]], columns: list[str], choice: RankBy) -> None:
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
        alt=f"Each run as a line through its settings to its {visible(metric_label(choice.metric))}",
    )
    st.caption(
        "Each line is a run. Drag along an axis to pick out runs; settings over decades have logarithmic axes."
    )


def _against(records: list[dict[str, Any]], columns: list[str], choice: RankBy) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        column = st.selectbox("Figure against", columns, format_func=visible, key="against-column")
        log = st.toggle(
            "Log axis", spans_decades([record[column] for record in records]), key=f"against-log-{column}"
        )
    st.plotly_chart(
        against(records, column, choice, log),
        config=chart_config("against"),
        key="against",
        alt=visible(f"{metric_label(choice.metric)} of each run against {column}"),
    )


def _importance(records: list[dict[str, Any]], columns: list[str], choice: RankBy) -> None:
    st.markdown("Importance", help=IMPORTANCE_HELP)
    if len(records) < FEWEST:
        st.caption(f"Importance needs at least {FEWEST} runs with a figure; there are {len(records)}.")
        return
    key = (choice, *(record["key"] for record in records), *(record[choice.metric] for record in records))
    shares = made_for("importance", key, lambda: setting_importance(records, columns, choice))
    st.plotly_chart(
        importance_bars(shares),
        config=chart_config("importance"),
        key="importance",
        alt="How much of the differences each setting explains",
    )


def _differences(chosen: list[RunRecord]) -> None:
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


def chart_config(name: str) -> dict[str, object]:
    """The buttons of a chart; the camera saves it in the format that is chosen further down."""
    return chart_buttons(name, st.session_state.get("picture-format") or "svg")


def export_comparison(chosen: list[RunRecord], verdict: Verdict, found: list[BaselineComparison]) -> None:
    """Draw the downloads."""
    st.subheader("Take it away", anchor=False)
    command = _command(chosen, verdict)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.download_button(
            "Report (HTML)",
            data=lambda: html_report(Report(chosen, verdict, command, now(), found)).encode(),
            file_name="comparison.html",
            mime="text/html",
            icon=":material/download:",
            type="primary",
            on_click="ignore",
            help="One file with tables, curves and verdict; needs no network.",
        )
        st.download_button(
            "Report (Markdown)",
            data=lambda: markdown_report(Report(chosen, verdict, command, now(), found)).encode(),
            file_name="comparison.md",
            mime="text/markdown",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            "Table (CSV)",
            data=lambda: csv_table(chosen, verdict.choice).encode(),
            file_name=TABLE,
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
        st.segmented_control(
            "Pictures by the camera button",
            list(PICTURES),
            format_func=PICTURES.__getitem__,
            default="svg",
            key="picture-format",
        )
    st.caption("The same by command" + (f"; {TABLE} is the table above" if len(chosen) > MOST_NAMED else ""))
    st.code(visible(command), language="bash", wrap_lines=True)


def _command(chosen: list[RunRecord], verdict: Verdict) -> str:
    choice = verdict.choice
    runs = ["--table", TABLE] if len(chosen) > MOST_NAMED else [past.key for past in reversed(chosen)]
    words = ["python", "-m", "tfbind", "compare", *runs]
    words += ["--metric", choice.metric, "--at", str(choice.epoch or choice.when), "--goal", choice.goal]
    return shlex.join([*words, "--out", "comparison.html"])


def labels_editor(chosen: list[RunRecord]) -> None:
    """Draw the tags and the note of one of the selected runs of this home, to be changed."""
    mine = {past.key: past for past in chosen if past.source == "local"}
    if not mine:
        return
    with st.popover("Tags and note", icon=":material/sell:"):
        key = st.selectbox(
            "Run", list(mine), format_func=lambda key: visible(f"{mine[key].name} · {key}"), key="label-run"
        )
        past = mine[key]
        tags = st.text_input("Tags, with commas between them", ", ".join(past.tags), key=f"tags-{key}")
        note = st.text_area("Note", past.note, max_chars=record.NOTE_LENGTH, key=f"note-{key}")
        if st.button("Save", key="save-labels"):
            run_action(lambda: record.annotate(folder.find(home(), key), tags, note))


def panels(chosen: list[RunRecord], choice: RankBy, pool: list[RunRecord]) -> None:
    """Draw everything about the selected runs."""
    if not chosen:
        st.info("Tick the runs to compare in the table.")
        return
    found: list[BaselineComparison] = []
    with panel("baselines"):
        found = _baselines(chosen, choice)
    verdict: Verdict | None = None
    with panel("verdict"):
        verdict = made_for("verdict", (choice, *chosen, None, *pool), lambda: judge(chosen, choice, pool))
        _verdict(verdict, found)
    with panel("learning curves"):
        _curves(ranked(verdict) if verdict else group_runs(chosen, choice), choice)
    settings_panels(chosen, choice)
    if verdict:
        with panel("take it away"):
            export_comparison(chosen, verdict, found)


def _baselines(chosen: list[RunRecord], choice: RankBy) -> list[BaselineComparison]:
    try:
        return compare_baselines_by_data(home(), [past.config for past in chosen], choice.metric)
    except ValueError as error:
        st.warning(plain(str(error)))
        return []


def _verdict(verdict: Verdict, found: list[BaselineComparison]) -> None:
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
        said = verdict_lines(verdict)
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


def _beside_each(verdict: Verdict, found: list[BaselineComparison]) -> None:
    """Show what simple models reach on each of several data sets."""
    if not found:
        st.caption(
            "No baselines of these data sets have been computed; the page of a run computes those of its split."
        )
        return
    st.caption("Simpler models, on the held-out windows of each data set.")
    rows = cells(baseline_table(found, verdict.choice.metric))
    st.dataframe(rows, hide_index=True, alt="The baselines of each data set")


def _beside(verdict: Verdict, found: list[BaselineComparison]) -> None:
    """Say what the baselines are, and whether one of them does as well as the best setting."""
    best = verdict.best
    if found and best:
        records = [past.config for past in best.setting.counted]
        said = remark_on_best(home(), records, verdict.choice.metric, best.mean, best.setting.label)
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


def _curves(settings: list[Configuration], choice: RankBy) -> None:
    st.subheader("Learning curves", anchor=False)
    if all(past.last_only for setting in settings for past in setting.pasts):
        st.caption("Only the last values of these runs are known.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        axis = st.segmented_control("Along", list(get_args(Axis)), default="epoch", key="curve-axis")
        log = st.pills("Log axes", ["x", "y"], selection_mode="multi", key="curve-log")
        smooth = st.slider("Smoothing", 0.0, 0.95, 0.0, 0.05, key="curve-smooth", width=200)
        grouped = st.toggle("Seeds as mean with range", True, key="curve-grouped")
    look = PlotOptions(axis or "epoch", "x" in log, "y" in log, smooth, grouped)
    st.plotly_chart(
        learning_curves(settings, choice.metric, look),
        config=chart_config("curves"),
        key="curves",
        alt=f"{visible(metric_label(choice.metric))} of the selected runs along the {look.axis}s",
    )
