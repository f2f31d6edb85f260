"""One run on the page: live while it is active, what it has learnt when it ended."""

from typing import Any

import streamlit as st

from tfbind import devices, launch, run_log, runs
from tfbind.baselines import Appraisal, as_good_as_the_rule
from tfbind.config import TrainConfig
from tfbind.estimate import duration
from tfbind.hints import Hint, Steps, hint, lost_its_loss
from tfbind.plots import curve
from tfbind.runs import Row, Run, Status
from ui.live_chart import FIRST_POINT, Chart, live_charts
from ui.polling import poll
from ui.results import results
from ui.run_actions import actions, stop_buttons
from ui.run_science import appraisal, baseline_curves, baseline_words
from ui.session import close_run, plain
from ui.wandb_settings import wandb_note

LOG_LINES = 10
COLOURS = {
    "pending": "gray",
    "running": "blue",
    "finished": "green",
    "failed": "red",
    "crashed": "red",
    "killed": "orange",
}
MEANINGS = {
    "finished": "It ran to its end.",
    "failed": "It ended with an error.",
    "crashed": "Its process was ended from outside.",
    "killed": "It was stopped. The weights of its best epoch are kept.",
}


def run_view(run: Run) -> None:
    """Draw a run: heading, state, curves, results, buttons. Polls once a second while the run is active."""
    status = runs.read_status(run)
    title, new = st.columns([5, 1], vertical_alignment="center")
    title.header(plain(runs.read_labels(run)["name"]), anchor=False)
    new.button("New run", icon=":material/add:", on_click=close_run, width="stretch")
    actions(run, status)
    config = runs.read_config(run)
    poll(lambda: _live(run, config, status.active), status.active)
    for part in [wandb_note] if status.active else [wandb_note, results]:
        try:
            part(run)
        except ValueError as error:  # a damaged file of one part leaves the others
            st.error(plain(str(error)))


def _live(run: Run, config: TrainConfig, was_active: bool) -> None:
    if not run.folder.exists():  # another tab threw it away
        st.rerun()
    status = runs.read_status(run)
    if was_active and not status.active:
        st.rerun()
    try:
        _draw(run, config, status, runs.read_rows(run))
    except ValueError as error:
        st.error(plain(str(error)))


def _draw(run: Run, config: TrainConfig, status: Status, rows: list[Row]) -> None:
    known = appraisal(run)
    said = f":{COLOURS[status.state]}-badge[{status.state}] " + " · ".join(_facts(run, status, rows, config))
    if status.active:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(said)
            stop_buttons(run, status)
        if status.state == "running":
            _progress(run)
    else:
        st.markdown(said, help=MEANINGS[status.state])
        _outcome(run, status, rows, _hint(run, config, status, rows, known))
    _charts(run, rows, status.active, known)


def _facts(run: Run, status: Status, rows: list[Row], config: TrainConfig) -> list[str]:
    if status.state == "pending":
        if runs.read_record(run).get("ray"):
            said = run_log.tail(run, 1).partition(" WARNING waits")[2]  # the cluster alone knows its turn
            return [plain(f"waits{said or ' for its turn'}")]
        ahead = launch.ahead(run)
        return [f"{ahead} before you on this device" if ahead else "next on this device"]
    facts = [f"data set {plain(config.dataset)}", devices.describe(config.device, config.threads or 1)]
    if not status.active:
        seconds = duration(sum(row["seconds"] for row in rows))
        facts.append(f"{len(rows)} of {config.num_epochs} epochs in {seconds}")
        if status.state == "finished" and len(rows) < config.num_epochs:
            facts.append(f"stopped early, after {config.early_stopping_patience} without a lower validation loss")
    best = runs.best_row(rows)
    if best:
        facts.append(f"best epoch {best['epoch']}: validation loss {best['val_loss']:.4f}, {_pearson(best)}")
    return facts


def _pearson(row: Row) -> str:
    return "Pearson undefined" if row["val_pearsonr"] is None else f"Pearson {row['val_pearsonr']:.4f}"


def _progress(run: Run) -> None:
    now = runs.read_progress(run)
    if not now:
        st.progress(0.0, "Starting: loading the data set")
        return
    if None in (now["windows_per_second"], now["seconds_left"]):
        st.progress(0.0, "Starting: the first batch, for which a model of a new shape is compiled")
        return
    share = (now["epoch"] - 1 + now["batches"] / now["batches_per_epoch"]) / now["num_epochs"]
    words = [
        f"Epoch {now['epoch']} of {now['num_epochs']}",
        f"batch {now['batches']} of {now['batches_per_epoch']}",
        f"{now['windows_per_second']:,.0f} windows a second",
        f"{duration(now['seconds_left'])} left",
    ]
    st.progress(min(1.0, share), " · ".join(words))
    st.caption(_load(now))


def _load(now: dict[str, Any]) -> str:
    """What the run takes of the machine that trains it, as far as it has said so."""
    cores, memory, gpu, busy = (now.get(key) for key in ("cores", "memory", "gpu_memory", "gpu_busy"))
    words = [
        *([f"CPU {cores:.1f} cores"] if cores is not None else []),
        *([f"memory {memory / 1e9:.2f} GB"] if memory is not None else []),
        *([f"GPU memory {gpu / 1e9:.2f} GB"] if gpu is not None else []),
        *([f"GPU {busy} % busy"] if busy is not None else []),
    ]
    return f"This run takes now: {' · '.join(words)}" if words else ""


def _hint(run: Run, config: TrainConfig, status: Status, rows: list[Row], known: Appraisal | None) -> Hint | None:
    if lost_its_loss(status.error):
        return None
    windows = runs.read_record(run).get("split_windows", {}).get("train")
    steps = Steps(windows, config.batch_size) if windows else None
    rule = as_good_as_the_rule(known.baselines) if known else None
    return hint(rows, status.state == "finished", steps, rule)


def _outcome(run: Run, status: Status, rows: list[Row], found: Hint | None) -> None:
    if status.error:
        st.error(plain(". ".join(filter(None, [status.error, _what_next(status, rows)]))))
    if found:
        st.info(found.text, icon=":material/lightbulb:")
    tail = run_log.tail(run, LOG_LINES) if status.error else ""
    if tail:
        with st.expander("The last lines of its log", expanded=not lost_its_loss(status.error)):
            st.code(tail, language=None)


def _what_next(status: Status, rows: list[Row]) -> str:
    if lost_its_loss(status.error):
        return "Resume would only repeat it; Clone fills the form with these settings, to be changed."
    if status.state != "crashed":
        return ""
    return f"Resume goes on after epoch {len(rows)}." if rows else "Resume starts it again."


def _charts(run: Run, rows: list[Row], active: bool, known: Appraisal | None) -> None:
    loss = Chart(
        "Loss: mean squared error, lower is better",
        "loss",
        "Loss against epoch, for training and validation windows",
        [curve("validation", rows, "val_loss"), curve("training", rows, "train_loss", dash="dot", colour=1)],
    )
    pearson = Chart(
        "Pearson r with the true scores, 1 is perfect",
        "Pearson r",
        "Pearson correlation of predicted and true scores on the validation windows, against epoch",
        [
            *(baseline_curves(known, len(rows)) if rows else []),
            curve("all bases", rows, "val_pearsonr"),
            curve("mean of windows", rows, "val_pearsonr_window", dash="dot", colour=2),
        ],
    )
    live_charts([loss, pearson], key=f"curves-{run.id}", empty=FIRST_POINT if active else "No epoch was finished.")
    if rows and (said := baseline_words(known)):
        st.caption(plain(said))
