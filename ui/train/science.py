"""What a run has learnt, and what its figures are worth: profiles, filters, baselines, leaks, the sealed test."""

from typing import Any, Literal

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from tfbind import runs
from tfbind.compare import interval
from tfbind.config import TrainConfig
from tfbind.data import Windows, open_training_data, validation_groups
from tfbind.evaluation import Filter, FilterReport, SplitBaselines, baselines, filters, test_set
from tfbind.figures import Curve, exemplary, pearson_histogram, profiles
from tfbind.metrics import SiteAgreement, of_part, site_agreement, site_figures
from tfbind.motifs import motif_logo
from tfbind.runs import Run, read_validation, record
from tfbind.text import figure
from ui.widgets.cache import remembered
from ui.widgets.command import command
from ui.widgets.panels import number_column, panel
from ui.widgets.session import plain

SHOWN = 6
SECONDS = 600
MEASURING_SECONDS = 600
FLAT = ": all held-out scores, or all predictions of them, are the same number."
FEW = 10  # of what is drawn again and again: with fewer, an interval is rough
COLUMNS = {
    "Pearson r": "pearsonr",
    "Mean of windows": "pearsonr_window",
    "Loss": "loss",
    "Sites found": "recall",
    "Calls right": "precision",
    "AUPRC": "auprc",
    "Undefined": "windows_undefined",
}
FORMATS = {"Undefined": None, "Sites found": "percent", "Calls right": "percent"}
HELP = {
    "Pearson r": "All held-out bases as one list: correlation of predicted and true scores. 1 is perfect.",
    "Mean of windows": "Pearson r within each window, averaged. Windows where it is undefined are left out.",
    "Loss": "Mean squared error per base; lower is better.",
    "Undefined": "Windows in which all true or all predicted scores are the same: they have no correlation.",
    "Sites found": "Recall: of the stretches with a score, the share of which calls cover at least half.",
    "Calls right": "Precision: of the called stretches, the share of which true sites cover at least half.",
    "AUPRC": "Area under the precision-recall curve over bases: 1 if all bases in sites come before all others.",
}


def run_filters(run: Run) -> None:
    """Draw the section for a run that has weights."""
    st.subheader("What the first filters look for", anchor=False)
    try:
        report = filters.read_filters(run)
        if report is None:
            st.caption("Each filter of the first layer looks for a word of DNA. Which, and is it a known motif?")
            if st.button("Find out", icon=":material/search:", key="filters"):
                with st.spinner("Comparing with the motifs of JASPAR; the first time takes a minute or two"):
                    command("filters", run.id, seconds=SECONDS)
                if filters.read_filters(run) is None:
                    raise ValueError(f"{run.folder}: what was found out cannot be kept; `filters {run.id}` prints it")
                st.rerun()
            return
    except ValueError as error:
        st.error(plain(str(error)))
        return
    _draw(report)


def _draw(report: FilterReport) -> None:
    matching = sorted((entry for entry in report.filters if entry.motif), key=lambda entry: entry.matches[0].e_value)
    matched = [entry for entry in matching if entry.match]
    summary = (
        f"{len(matching)} of {len(report.filters)} filters look for something in particular, {len(matched)} of them "
        "for something like a known motif"
    )
    if report.behind:
        summary += f", {len(report.for_the_labels)} for the motif behind the labels, {report.behind}"
    st.markdown(f"{summary}.")
    for row in (matching[:3], matching[3:SHOWN]):
        for column, entry in zip(st.columns(3), row, strict=False):
            _logo(column, entry)
    with st.expander(f"All {len(report.filters)} filters"):
        st.dataframe(
            pd.DataFrame([_filter_row(entry) for entry in report.filters]),
            hide_index=True,
            alt="The filters and their matches",
        )
    st.caption(
        "The thousand words that excite a filter most, and at least half as much as the best one does, in "
        f"{report.windows:,} held-out windows. E-value: how many of the motifs compared would come as close by "
        "chance (TOMTOM). Later layers combine filters, so that a filter alone may look for a part of a motif, or "
        "for what is none."
    )


def _logo(column: "st.delta_generator.DeltaGenerator", entry: Filter) -> None:
    assert entry.motif is not None
    match = (
        f"like {entry.match.name} {entry.match.matrix_id}, E-value {entry.match.e_value:.1g}" if entry.match else ""
    )
    column.caption(plain(f"Filter {entry.number}: {entry.words:,} words {match}"))
    column.plotly_chart(
        motif_logo(entry.motif, height=110), key=f"filter-{entry.number}", alt=f"Logo of {entry.motif.consensus}"
    )


def _filter_row(entry: Filter) -> dict[str, object]:
    nearest = entry.matches[0] if entry.matches else None
    return {
        "Filter": entry.number,
        "Words": entry.words,
        "Consensus": entry.motif.consensus if entry.motif else None,
        "Nearest motif": f"{nearest.name} {nearest.matrix_id}".strip() if nearest else None,
        "E-value": f"{nearest.e_value:.1g}" if nearest else None,
        "Like the labels' motif (p)": None if entry.behind is None else f"{entry.behind:.1g}",
    }


def read_split_baselines(run: Run) -> SplitBaselines | None:
    """What is known of the run's split; None while it is being found out, or cannot be read."""
    try:
        return baselines.read_baselines(run.home, runs.read_record(run))
    except ValueError as error:
        st.warning(plain(str(error)))
        return None


def baseline_curves(measured: SplitBaselines | None, epochs: int) -> list[Curve]:
    """A level line for each baseline that has a correlation; the rule behind the labels has dashes of its own."""
    lines = measured.baselines if measured else []
    return [
        Curve(
            baseline.name,
            [1, max(2, epochs)],
            [baseline.val_pearsonr] * 2,
            "dash" if baseline.key == baselines.RULE else "dot",
            level=True,
        )
        for baseline in lines
        if baseline.val_pearsonr is not None
    ]


def baseline_words(measured: SplitBaselines | None) -> str:
    """What the grey lines of the chart are."""
    correlated = (
        [baseline for baseline in measured.baselines if baseline.val_pearsonr is not None] if measured else []
    )
    figures = " · ".join(f"{baseline.name} {baseline.val_pearsonr:.3f}" for baseline in correlated)
    return f"Grey lines: {figures}" if figures else ""


def figures_section(run: Run, data: Windows) -> None:
    """Draw the section for a run that has weights; `data` are what it learnt from."""
    st.subheader("What these figures are worth", anchor=False)
    config, measured = runs.read_config(run), read_split_baselines(run)
    best = runs.best_row(runs.read_rows(run)) or {}
    if measured:
        remark = baselines.remark(measured.baselines, best.get("val_pearsonr"))
        if remark:
            st.info(plain(remark), icon=":material/balance:")
        sites = of_part("val", site_figures(_agreement(run, data)))
        _table(best | sites, [vars(baseline) for baseline in measured.baselines], "val")
    elif best:
        _offer(run)
    r = best.get("val_pearsonr")
    st.markdown(
        f"Pearson r of the best epoch: **{figure(r)}**{FLAT if r is None else _interval_words(run, config, data)}"
    )
    _sites(_agreement(run, data))
    if measured:
        st.markdown(f"**Leaks.** {plain(measured.leaks.words)}")
    _test(run, config)


def _offer(run: Run) -> None:
    """Have the baselines of a run measured, where no process beside it has done that."""
    st.caption("What far simpler models reach on the same windows has not been measured yet.")
    if not st.button("Measure simpler models", icon=":material/balance:", key="baselines"):
        return
    try:
        with st.spinner("Fitting simpler models to the training windows"):
            command(*baselines.baselines_command(run.home, runs.read_record(run)), seconds=MEASURING_SECONDS)
        if baselines.read_baselines(run.home, runs.read_record(run)) is None:
            raise ValueError("The data set or the program has changed since: its split is another one now.")
    except ValueError as error:
        st.error(plain(str(error)))
        return
    st.rerun()


def _table(run: dict[str, Any], simpler: list[dict[str, Any]], part: str) -> None:
    """The figures of this run and of simpler models on the windows of a part, `val` or `test`."""
    this_run = {"name": "this run", "about": "the weights of its best epoch", **run}
    rows = [_row(figures, part) for figures in (this_run, *simpler)]
    st.dataframe(
        pd.DataFrame(rows).dropna(axis="columns", how="all"),
        hide_index=True,
        placeholder="–",
        alt="This run beside far simpler models on the same held-out windows",
        column_config={
            name: st.column_config.NumberColumn(help=about, format=FORMATS[name])
            if name in FORMATS
            else number_column([row[name] for row in rows], help=about)
            for name, about in HELP.items()
        },
    )


def _row(figures: dict[str, Any], part: str) -> dict[str, Any]:
    values = {column: figures.get(f"{part}_{name}") for column, name in COLUMNS.items()}
    return {"Model": figures["name"], **values, "What it is": figures["about"]}


@remembered
def _interval_words(run: Run, config: TrainConfig, data: Windows) -> str:
    """How far the figure hangs on what was held out, in words."""
    groups, kind = validation_groups(data, config), config.split_by
    count = len(np.unique(groups))
    if count == 1:
        unit = kind.removesuffix("s")
        return f". All held-out windows are from one {unit}: what it would be with another cannot be told."
    low, high = interval(record.read_run_record(run), "val_pearsonr", groups)
    caution = f" Only {count} {kind} were held out: with so few, the interval is rough." if count < FEW else ""
    return (
        f", from {low:.4f} to {high:.4f} if other {kind} had been held out (95 % bootstrap interval).{caution} "
        "Another seed changes it, too: that is not in it."
    )


@remembered
def _agreement(run: Run, data: Windows) -> SiteAgreement | None:
    held_out = read_validation(run.folder / runs.VALIDATION, len(data), data.length)
    return site_agreement(held_out.predictions.astype(np.float32), np.asarray(data.scores[held_out.windows]))


def _sites(agreement: SiteAgreement | None) -> None:
    if agreement is None:
        st.caption("The data are a signal along the whole window, without single sites to find.")
        return
    left, middle, right = st.columns(3)
    left.metric(
        "Sites found", f"{agreement.recall:.1%}", help=f"{HELP['Sites found']} There are {agreement.sites:,}."
    )
    calls = "no call" if agreement.precision is None else f"{agreement.precision:.1%}"
    middle.metric(
        "Calls right",
        calls,
        help=f"{HELP['Calls right']} {agreement.calls:,} calls at {agreement.threshold:.2f} or above.",
    )
    right.metric("AUPRC", f"{agreement.auprc:.3f}", help=HELP["AUPRC"])


def _test(run: Run, config: TrainConfig) -> None:
    if not config.test_split:
        return
    result = test_set.read_test_result(run)
    if result:
        st.markdown(
            f"**Test**, opened {plain(result.opened[:16].replace('T', ' '))} UTC: Pearson r "
            f"**{figure(result.test_pearsonr)}**, mean of windows {figure(result.test_pearsonr_window)}, loss "
            f"{figure(result.test_loss)}, over {result.windows:,} windows."
        )
        if result.baselines:
            _table(vars(result), [vars(baseline) for baseline in result.baselines], "test")
    elif run.state == "finished":
        with st.popover("Open the test", icon=":material/lock:"):
            st.caption(
                "The test part was kept away from everything so far. It is opened once: if its figure makes you "
                "train again, it is a test no more. Open it when the model is final."
            )
            if st.button("Open it now", type="primary", key="open-test"):
                with st.spinner("Scoring the windows, and fitting simpler models to the training windows"):
                    command("test", run.id, seconds=MEASURING_SECONDS)
                st.rerun()


def chart_buttons(name: str, kind: Literal["svg", "png"] = "svg") -> dict[str, object]:
    """The buttons of a chart; the camera saves it in the file `name.kind`."""
    return {
        "displaylogo": False,
        "modeBarButtonsToRemove": ["sendChartToCloud", "select2d", "lasso2d", "autoScale2d"],
        "toImageButtonOptions": {"format": kind, "filename": name, "scale": 1 if kind == "svg" else 3},
    }


def results(run: Run) -> None:
    """Draw the best epoch's predictions on the held-out windows."""
    path = run.folder / runs.VALIDATION
    if not path.exists():
        return
    st.subheader("How good it is on windows it has not learnt from", anchor=False)
    try:
        data = open_training_data(run.home, runs.read_record(run))
        windows, predictions, _, pearson = read_validation(path, len(data), data.length)
    except ValueError as error:
        st.warning(plain(str(error)))
        return
    profile, spread = st.columns([3, 2], gap="large")
    with profile, panel("examples"):
        _examples(data, windows, predictions, pearson)
    with spread, panel("windows"):
        _spread(pearson)
    with panel("figures"):
        figures_section(run, data)
    with panel("filters"):
        run_filters(run)


def _examples(
    data: Windows, windows: NDArray[np.int64], predictions: NDArray[np.float16], pearson: NDArray[np.float32]
) -> None:
    examples = exemplary(pearson)
    if not examples:
        st.caption("In none of the held-out windows is the Pearson correlation defined.")
        return
    places = list(examples.values())
    names = [data.names[windows[place]].decode(errors="replace") for place in places]
    titles = [
        f"{kind}: {name}, r = {pearson[place]:.3f}" for kind, name, place in zip(examples, names, places, strict=True)
    ]
    observed = np.asarray(data.scores[windows[places]])
    st.plotly_chart(
        profiles(titles, observed, predictions[places].astype(np.float32)),
        config=chart_buttons("observed-and-predicted"),
        key="profiles",
        alt="Observed and predicted scores along the best, a typical and the worst held-out window",
    )


def _spread(pearson: NDArray[np.float32]) -> None:
    undefined = int(np.isnan(pearson).sum())
    st.plotly_chart(
        pearson_histogram(pearson),
        config=chart_buttons("pearson-of-windows"),
        key="histogram",
        alt="How many held-out windows reach which Pearson correlation",
    )
    caption = f"{len(pearson):,} held-out windows, each with its own Pearson r."
    if undefined:
        caption += f" In {undefined:,} it is undefined, because all true or all predicted scores are the same."
    st.caption(caption)
