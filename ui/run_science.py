"""What the figures of a run are worth: simpler models, chance, sites, leaks, and the sealed test."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from tfbind import baselines, history, runs, sealed
from tfbind.baselines import Appraisal
from tfbind.config import TrainConfig
from tfbind.datasets import Windows
from tfbind.metrics import SiteAgreement, site_agreement
from tfbind.paired import interval
from tfbind.plots import GREY, Curve
from tfbind.runs import Run
from tfbind.splits import held_blocks
from ui.child import command
from ui.remembered import remembered
from ui.session import plain

MEASURING_SECONDS = 600
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
    """A level line for each baseline that has a correlation."""
    found = known.baselines if known else []
    return [
        Curve(base.name, [1, max(2, epochs)], [base.val_pearsonr] * 2, "dot", GREY)
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
        _table(known, best)
    elif best:
        _offer(run)
    low, high = _interval(run, config, data)
    over = "blocks" if config.split_by == "blocks" else "windows"
    st.markdown(
        f"Pearson r of the best epoch: **{_figure(best.get('val_pearsonr'))}**, from {low:.4f} to {high:.4f} if "
        f"other {over} had been held out (95 % bootstrap interval). Another seed changes it, too: that is not in it."
    )
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
            command(*baselines.words(runs.read_record(run)), seconds=MEASURING_SECONDS)
        if baselines.stored(run.home, runs.read_record(run)) is None:
            raise ValueError("The data set or the program has changed since: its split is another one now.")
    except ValueError as error:
        st.error(plain(str(error)))
        return
    st.rerun()


def _figure(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def _table(known: Appraisal, best: dict[str, Any]) -> None:
    rows = [_row("this run", "the weights of its best epoch", best)]
    rows += [_row(base.name, base.about, vars(base)) for base in known.baselines]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        alt="This run beside far simpler models on the same held-out windows",
        column_config={
            name: st.column_config.NumberColumn(help=HELP[name], format=None if name == "Undefined" else "%.4f")
            for name in ("Pearson r", "Mean of windows", "Loss", "Undefined")
        },
    )


def _row(name: str, about: str, figures: dict[str, Any]) -> dict[str, Any]:
    return {
        "Model": name,
        "Pearson r": figures.get("val_pearsonr"),
        "Mean of windows": figures.get("val_pearsonr_window"),
        "Undefined": figures.get("val_windows_undefined"),
        "Loss": figures.get("val_loss"),
        "What it is": about,
    }


@remembered
def _interval(run: Run, config: TrainConfig, data: Windows) -> tuple[float, float]:
    groups = held_blocks(data, config) if config.split_by == "blocks" else None
    return interval(history.local(run), "val_pearsonr", groups)


@remembered
def _agreement(run: Run, data: Windows) -> SiteAgreement | None:
    with np.load(run.folder / runs.VALIDATION) as saved:
        windows, predictions = saved["windows"], saved["predictions"].astype(np.float32)
    return site_agreement(predictions, np.asarray(data.scores[windows]))


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
    elif runs.read_status(run).state == "finished":
        with st.popover("Open the test", icon=":material/lock:"):
            st.caption(
                "The test part was kept away from everything so far. It is opened once: if its figure makes you "
                "train again, it is a test no more. Open it when the model is final."
            )
            if st.button("Open it now", type="primary", key="open-test"):
                sealed.open_test(run)
                st.rerun()
