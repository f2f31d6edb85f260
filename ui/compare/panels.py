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
    format_value,
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
    ranking_figure,
    ranking_table,
    setting_columns,
    setting_importance,
    spans_decades,
    table,
    verdict_lines,
)
from tfbind.evaluation import BaselineComparison, compare_baselines_by_data, remark_on_best
from tfbind.runs import RunRecord, folder, record as run_record
from tfbind.text import visible
from ui.compare.select import made_for
from ui.train.science import chart_buttons
from ui.widgets.panels import panel
from ui.widgets.session import cells, home, plain, run_action

IMPORTANCE_HELP = (
    "PED-ANOVA: where the best tenth of the runs lie along each setting, compared with all of them. The mark is what "
    "figures dealt out at random reach; settings below it are not shown. Those that were hardly varied cannot show "
    "their importance."
)
DIFF_RUNS = 12
# Plotly draws these axes black in every theme.
AXES_SEEN = "<style>.st-key-parallel .axis :is(path, line) { stroke: currentcolor; }</style>"
TABLE = "runs.csv"
MOST_NAMED = 20  # a command with more names is read by nobody
PICTURES = {"svg": "SVG", "png": "PNG"}
SHOWN = 4  # comparisons that are open to read at once


def settings_panels(records: list[RunRecord], rank_by: RankBy) -> None:
    """Draw what the settings of the selected runs do to the figure."""
    st.subheader("Settings", anchor=False)
    with panel("settings"):
        _figures(records, rank_by)
    with panel("configurations side by side"):
        _differences(records)


def _figures(records: list[RunRecord], rank_by: RankBy) -> None:
    rows = made_for("records", (rank_by, *records), lambda: table(records, rank_by))
    columns = setting_columns(rows, records, rank_by)
    measured = [row for row in rows if row[rank_by.metric] is not None]
    if not columns:
        st.caption("The selected runs have the same settings. They differ in the seed at most.")
    elif len(measured) < 2:
        st.caption(plain(f"Fewer than two of the selected runs have a figure for {metric_label(rank_by.metric)}."))
    else:
        with panel("parallel coordinates"):
            _parallel(measured, columns, rank_by)
        left, right = st.columns(2, gap="large")
        with left, panel("figure against a setting"):
            _against(measured, columns, rank_by)
        with right, panel("importance"):
            _importance(measured, columns, rank_by)


def _parallel(rows: list[dict[str, Any]], columns: list[str], rank_by: RankBy) -> None:
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
        parallel(rows, first, rank_by),
        config=chart_config("parallel"),
        key="parallel",
        alt=f"Each run as a line through its settings to its {visible(metric_label(rank_by.metric))}",
    )
    st.caption(
        "Each line is a run. Drag along an axis to pick out runs; settings over decades have logarithmic axes."
    )


def _against(rows: list[dict[str, Any]], columns: list[str], rank_by: RankBy) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        column = st.selectbox("Figure against", columns, format_func=visible, key="against-column")
        log = st.toggle("Log axis", spans_decades([row[column] for row in rows]), key=f"against-log-{column}")
    st.plotly_chart(
        against(rows, column, rank_by, log),
        config=chart_config("against"),
        key="against",
        alt=visible(f"{metric_label(rank_by.metric)} of each run against {column}"),
    )


def _importance(rows: list[dict[str, Any]], columns: list[str], rank_by: RankBy) -> None:
    st.markdown("Importance", help=IMPORTANCE_HELP)
    if len(rows) < FEWEST:
        st.caption(f"Importance needs at least {FEWEST} runs with a figure; there are {len(rows)}.")
        return
    key = (rank_by, *(row["key"] for row in rows), *(row[rank_by.metric] for row in rows))
    importances = made_for("importance", key, lambda: setting_importance(rows, columns, rank_by))
    if not importances:
        st.caption("No setting shows importance beyond chance.")
        return
    st.plotly_chart(
        importance_bars(importances),
        config=chart_config("importance"),
        key="importance",
        alt="How much of the differences each setting explains, and what chance reaches",
    )


def _differences(records: list[RunRecord]) -> None:
    with st.expander("Configurations side by side"):
        everything = st.toggle("Also what is the same", key="diff-all")
        shown = records[:DIFF_RUNS]
        configs = [columns_of(record) for record in shown]
        keys = sorted({key for config in configs for key in config}) if everything else differing(configs)
        if len(records) > DIFF_RUNS:
            st.caption(f"The first {DIFF_RUNS} of {len(records)} runs.")
        if not keys:
            st.caption("No difference.")
            return
        names = [f"{record.name} · {record.id}" for record in shown]
        rows: list[dict[str, Any]] = [
            {"setting": key, **dict(zip(names, (format_value(config.get(key)) for config in configs), strict=True))}
            for key in keys
        ]
        st.dataframe(cells(rows), hide_index=True, alt="The settings of the selected runs, one column for each run")


def chart_config(name: str) -> dict[str, object]:
    """The buttons of a chart; the camera saves it in the format that is chosen further down."""
    return chart_buttons(name, st.session_state.get("picture-format") or "svg")


def export_comparison(records: list[RunRecord], verdict: Verdict, baselines: list[BaselineComparison]) -> None:
    """Draw the downloads."""
    st.subheader("Take it away", anchor=False)
    command = _command(records, verdict)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.download_button(
            "Report (HTML)",
            data=lambda: html_report(Report(records, verdict, command, now(), baselines)).encode(),
            file_name="comparison.html",
            mime="text/html",
            icon=":material/download:",
            type="primary",
            on_click="ignore",
            help="One file with tables, curves and verdict; needs no network.",
        )
        st.download_button(
            "Report (Markdown)",
            data=lambda: markdown_report(Report(records, verdict, command, now(), baselines)).encode(),
            file_name="comparison.md",
            mime="text/markdown",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            "Table (CSV)",
            data=lambda: csv_table(records, verdict.rank_by).encode(),
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
    st.caption("The same by command" + (f"; {TABLE} is the table above" if len(records) > MOST_NAMED else ""))
    st.code(visible(command), language="bash", wrap_lines=True)


def _command(records: list[RunRecord], verdict: Verdict) -> str:
    rank_by = verdict.rank_by
    runs = ["--table", TABLE] if len(records) > MOST_NAMED else [record.key for record in reversed(records)]
    words = ["python", "-m", "tfbind", "compare", *runs]
    words += ["--metric", rank_by.metric, "--at", str(rank_by.epoch or rank_by.when), "--goal", rank_by.goal]
    return shlex.join([*words, "--out", "comparison.html"])


def labels_editor(records: list[RunRecord]) -> None:
    """Draw the tags and the note of one of the selected runs of this home, to be changed."""
    local = {record.key: record for record in records if record.source == "local"}
    if not local:
        return
    with st.popover("Tags and note", icon=":material/sell:"):
        key = st.selectbox(
            "Run", list(local), format_func=lambda key: visible(f"{local[key].name} · {key}"), key="label-run"
        )
        record = local[key]
        tags = st.text_input("Tags, with commas between them", ", ".join(record.tags), key=f"tags-{key}")
        note = st.text_area("Note", record.note, max_chars=run_record.NOTE_LENGTH, key=f"note-{key}")
        if st.button("Save", key="save-labels"):
            run_action(lambda: run_record.annotate(folder.find(home(), key), tags, note))


def panels(records: list[RunRecord], rank_by: RankBy, pool: list[RunRecord]) -> None:
    """Draw everything about the selected runs."""
    if not records:
        st.info("Tick the runs to compare in the table.")
        return
    baselines: list[BaselineComparison] = []
    with panel("baselines"):
        baselines = _baselines(records, rank_by)
    verdict: Verdict | None = None
    with panel("verdict"):
        verdict = made_for("verdict", (rank_by, *records, None, *pool), lambda: judge(records, rank_by, pool))
        _verdict(verdict, baselines)
    with panel("learning curves"):
        _curves(ranked(verdict) if verdict else group_runs(records, rank_by), rank_by)
    settings_panels(records, rank_by)
    if verdict:
        with panel("take it away"):
            export_comparison(records, verdict, baselines)


def _baselines(records: list[RunRecord], rank_by: RankBy) -> list[BaselineComparison]:
    try:
        return compare_baselines_by_data(home(), [record.config for record in records], rank_by.metric)
    except ValueError as error:
        st.warning(plain(str(error)))
        return []


def _verdict(verdict: Verdict, baselines: list[BaselineComparison]) -> None:
    st.subheader("Verdict", anchor=False)
    answer = plain(headline(verdict))
    if verdict.refused:
        st.warning(answer)
        _baselines_of_each(verdict, baselines)
        return
    is_decided = verdict.comparisons and not verdict.tied
    (st.success if is_decided else st.info)(answer, icon=":material/trophy:" if is_decided else ":material/balance:")
    st.caption(plain(f"Judged by {verdict.rank_by.words}."))
    words, picture = st.columns([3, 2], gap="large")
    with words:
        lines = verdict_lines(verdict)
        _bullets(lines if len(lines) <= SHOWN + 1 else [*lines[:SHOWN], lines[-1]])
        if len(lines) > SHOWN + 1:
            with st.expander(f"{len(lines) - SHOWN - 1} more comparisons"):
                _bullets(lines[SHOWN:-1])
        for note in verdict.notes:
            st.caption(plain(note))
    if verdict.rankings:
        with picture, panel("ranking"):
            st.plotly_chart(
                ranking_figure(verdict),
                config=chart_config("ranking"),
                key="ranking",
                alt="The settings by their mean, with a dot for each seed",
            )
        st.dataframe(
            cells(ranking_table(verdict, baselines)),
            hide_index=True,
            height=min(38 + 35 * (len(verdict.rankings) + len(baselines)), 320),
            alt="Each setting with its figures over seeds and how its curves end, and baselines on the same windows",
        )
        with panel("beside baselines"):
            _best_against_baselines(verdict, baselines)
    _next(verdict)
    with st.expander("The rule behind this verdict"):
        _bullets(list(RULE))


def _baselines_of_each(verdict: Verdict, baselines: list[BaselineComparison]) -> None:
    """Show what simple models reach on each of several data sets."""
    if not baselines:
        st.caption(
            "No baselines of these data sets have been computed; the page of a run computes those of its split."
        )
        return
    st.caption("Simpler models, on the held-out windows of each data set.")
    rows = cells(baseline_table(baselines, verdict.rank_by.metric))
    st.dataframe(rows, hide_index=True, alt="The baselines of each data set")


def _best_against_baselines(verdict: Verdict, baselines: list[BaselineComparison]) -> None:
    """Say what the baselines are, and whether one of them does as well as the best setting."""
    best = verdict.best
    if baselines and best:
        configs = [record.config for record in best.setting.counted]
        remark = remark_on_best(home(), configs, verdict.rank_by.metric, best.mean, best.setting.label)
        if remark:
            st.info(plain(remark), icon=":material/balance:")
        st.caption(plain(baseline_words(baselines)))


def _bullets(lines: list[str]) -> None:
    st.markdown("\n".join(f"- {plain(line)}" for line in lines))


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


def _curves(settings: list[Configuration], rank_by: RankBy) -> None:
    st.subheader("Learning curves", anchor=False)
    if all(record.last_only for setting in settings for record in setting.records):
        st.caption("Only the last values of these runs are known.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        axis = st.segmented_control("Along", list(get_args(Axis)), default="epoch", key="curve-axis")
        log = st.pills("Log axes", ["x", "y"], selection_mode="multi", key="curve-log")
        smooth = st.slider("Smoothing", 0.0, 0.95, 0.0, 0.05, key="curve-smooth", width=200)
        grouped = st.toggle("Seeds as mean with range", True, key="curve-grouped")
    options = PlotOptions(axis or "epoch", "x" in log, "y" in log, smooth, grouped)
    st.plotly_chart(
        learning_curves(settings, rank_by.metric, options),
        config=chart_config("curves"),
        key="curves",
        alt=f"{visible(metric_label(rank_by.metric))} of the selected runs along the {options.axis}s",
    )
