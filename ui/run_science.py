"""What the figures of a run are worth: simpler models, chance, sites, leaks, and the sealed test."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from tfbind import baselines, history, runs, sealed
from tfbind.baselines import Appraisal
from tfbind.best_epoch import read_held_out
from tfbind.config import TrainConfig
from tfbind.datasets import Windows
from tfbind.metrics import SiteAgreement, of_part, site_agreement, site_figures
from tfbind.paired import interval
from tfbind.plots import GREY, Curve
from tfbind.runs import Run
from tfbind.splits import held_groups
from ui.child import command
from ui.remembered import remembered
from ui.session import plain

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


def appraisal(run: Run) -> Appraisal | None:
    """What is known of the run's split; None while it is being found out, or cannot be read."""
    try:
        return baselines.stored(run.home, runs.read_record(run))
    except ValueError as error:
        st.warning(plain(str(error)))
        return None


def baseline_curves(known: Appraisal | None, epochs: int) -> list[Curve]:
    """A level line for each baseline that has a correlation; the rule behind the labels has dashes of its own."""
    found = known.baselines if known else []
    return [
        Curve(
            base.name,
            [1, max(2, epochs)],
            [base.val_pearsonr] * 2,
            "dash" if base.key == baselines.RULE else "dot",
            GREY,
        )
        for base in found
        if base.val_pearsonr is not None
    ]


def baseline_words(known: Appraisal | None) -> str:
    """What the grey lines of the chart are."""
    found = [base for base in known.baselines if base.val_pearsonr is not None] if known else []
    said = " · ".join(f"{base.name} {base.val_pearsonr:.3f}" for base in found)
    return f"Grey lines: {said}" if said else ""


def science(run: Run, data: Windows) -> None:
    """Draw the section for a run that has weights; `data` are what it learnt from."""
    st.subheader("What these figures are worth", anchor=False)
    config, known = runs.read_config(run), appraisal(run)
    best = runs.best_row(runs.read_rows(run)) or {}
    if known:
        remark = baselines.remark(known.baselines, best.get("val_pearsonr"))
        if remark:
            st.info(plain(remark), icon=":material/balance:")
        sites = of_part("val", site_figures(_agreement(run, data)))
        _table(best | sites, [vars(base) for base in known.baselines], "val")
    elif best:
        _offer(run)
    r = best.get("val_pearsonr")
    st.markdown(f"Pearson r of the best epoch: **{_figure(r)}**{FLAT if r is None else _chance(run, config, data)}")
    _sites(_agreement(run, data))
    if known:
        st.markdown(f"**Leaks.** {plain(known.leaks.words)}")
    _test(run, config)


def _offer(run: Run) -> None:
    """Have the baselines of a run measured, where no process beside it has done that."""
    st.caption("What far simpler models reach on the same windows has not been measured yet.")
    if not st.button("Measure simpler models", icon=":material/balance:", key="baselines"):
        return
    try:
        with st.spinner("Fitting simpler models to the training windows"):
            command(*baselines.words(run.home, runs.read_record(run)), seconds=MEASURING_SECONDS)
        if baselines.stored(run.home, runs.read_record(run)) is None:
            raise ValueError("The data set or the program has changed since: its split is another one now.")
    except ValueError as error:
        st.error(plain(str(error)))
        return
    st.rerun()


def _figure(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def _table(run: dict[str, Any], simpler: list[dict[str, Any]], part: str) -> None:
    """The figures of this run and of simpler models on the windows of a part, `val` or `test`."""
    this_run = {"name": "this run", "about": "the weights of its best epoch", **run}
    st.dataframe(
        pd.DataFrame([_row(one, part) for one in (this_run, *simpler)]).dropna(axis="columns", how="all"),
        hide_index=True,
        placeholder="–",
        alt="This run beside far simpler models on the same held-out windows",
        column_config={
            name: st.column_config.NumberColumn(help=about, format=FORMATS.get(name, "%.4f"))
            for name, about in HELP.items()
        },
    )


def _row(figures: dict[str, Any], part: str) -> dict[str, Any]:
    reached = {column: figures.get(f"{part}_{name}") for column, name in COLUMNS.items()}
    return {"Model": figures["name"], **reached, "What it is": figures["about"]}


@remembered
def _chance(run: Run, config: TrainConfig, data: Windows) -> str:
    """How far the figure hangs on what was held out, in words."""
    groups, kind = held_groups(data, config), config.split_by
    count = len(np.unique(groups))
    if count == 1:
        one = kind.removesuffix("s")
        return f". All held-out windows are from one {one}: what it would be with another cannot be told."
    low, high = interval(history.local(run), "val_pearsonr", groups)
    few = f" Only {count} {kind} were held out: with so few, the interval is rough." if count < FEW else ""
    return (
        f", from {low:.4f} to {high:.4f} if other {kind} had been held out (95 % bootstrap interval).{few} Another "
        "seed changes it, too: that is not in it."
    )


@remembered
def _agreement(run: Run, data: Windows) -> SiteAgreement | None:
    held = read_held_out(run.folder / runs.VALIDATION, len(data), data.length)
    return site_agreement(held.predictions.astype(np.float32), np.asarray(data.scores[held.windows]))


def _sites(found: SiteAgreement | None) -> None:
    if found is None:
        st.caption("The data are a signal along the whole window, without single sites to find.")
        return
    left, middle, right = st.columns(3)
    left.metric("Sites found", f"{found.recall:.1%}", help=f"{HELP['Sites found']} There are {found.sites:,}.")
    calls = "no call" if found.precision is None else f"{found.precision:.1%}"
    middle.metric(
        "Calls right", calls, help=f"{HELP['Calls right']} {found.calls:,} calls at {found.threshold:.2f} or above."
    )
    right.metric("AUPRC", f"{found.auprc:.3f}", help=HELP["AUPRC"])


def _test(run: Run, config: TrainConfig) -> None:
    if not config.test_split:
        return
    result = sealed.opened(run)
    if result:
        st.markdown(
            f"**Test**, opened {plain(result.opened[:16].replace('T', ' '))} UTC: Pearson r "
            f"**{_figure(result.test_pearsonr)}**, mean of windows {_figure(result.test_pearsonr_window)}, loss "
            f"{result.test_loss:.4f}, over {result.windows:,} windows."
        )
        if result.baselines:
            _table(vars(result), [vars(one) for one in result.baselines], "test")
    elif runs.read_status(run).state == "finished":
        with st.popover("Open the test", icon=":material/lock:"):
            st.caption(
                "The test part was kept away from everything so far. It is opened once: if its figure makes you "
                "train again, it is a test no more. Open it when the model is final."
            )
            if st.button("Open it now", type="primary", key="open-test"):
                with st.spinner("Scoring the windows, and fitting simpler models to the training windows"):
                    command("test", run.id, seconds=MEASURING_SECONDS)
                st.rerun()
