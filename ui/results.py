"""What a run with weights has learnt: predicted against observed profiles, and how good each window is."""

from typing import Literal

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from tfbind import runs
from tfbind.best_epoch import read_held_out
from tfbind.datasets import Windows, open_learnt
from tfbind.plots import exemplary, pearson_histogram, profiles
from tfbind.runs import Run
from ui.run_filters import run_filters
from ui.run_science import science
from ui.session import plain


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
        data = open_learnt(run.home, runs.read_record(run))
        windows, predictions, _, pearson = read_held_out(path, len(data), data.length)
    except ValueError as error:
        st.warning(plain(str(error)))
        return
    profile, spread = st.columns([3, 2], gap="large")
    with profile:
        _examples(data, windows, predictions, pearson)
    with spread:
        _spread(pearson)
    try:
        science(run, data)
        run_filters(run)
    except (ValueError, OSError) as error:
        st.warning(plain(str(error)))


def _examples(
    data: Windows, windows: NDArray[np.int64], predictions: NDArray[np.float16], pearson: NDArray[np.float32]
) -> None:
    chosen = exemplary(pearson)
    if not chosen:
        st.caption("In none of the held-out windows is the Pearson correlation defined.")
        return
    places = list(chosen.values())
    names = [data.names[windows[place]].decode(errors="replace") for place in places]
    titles = [
        f"{kind}: {name}, r = {pearson[place]:.3f}" for kind, name, place in zip(chosen, names, places, strict=True)
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
    said = f"{len(pearson):,} held-out windows, each with its own Pearson r."
    if undefined:
        said += f" In {undefined:,} it is undefined, because all true or all predicted scores are the same."
    st.caption(said)
