"""One run on the page: live while it is active, what it has learnt when it ended, and what can be done with it."""

import shlex
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import streamlit as st

from tfbind import runs
from tfbind.config import TrainConfig
from tfbind.data import resolve_name
from tfbind.evaluation import SplitBaselines, as_good_as_the_rule
from tfbind.figures import curve
from tfbind.runs import Hint, Row, Run, State, Status, Steps, devices, duration, hint, log
from tfbind.store import GRACE_SECONDS
from tfbind.text import figure, visible
from tfbind.tracking import logger
from ui.predict.model import MODEL
from ui.train.form import fill
from ui.train.science import baseline_curves, baseline_words, read_split_baselines, results
from ui.train.wandb import secrets, wandb_note
from ui.widgets.chart import FIRST_POINT, Chart, live_charts, loss_chart
from ui.widgets.disk import TO_TRASH
from ui.widgets.panels import panel, poll
from ui.widgets.session import PREDICT_PAGE, close_run, home, next_run_id, plain, run_action, show_run, start_key

RESUMABLE = ("killed", "crashed", "failed")
MORE_EPOCHS = 5
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
    "killed": "It was stopped.",
}


def state_badge(state: State) -> str:
    """A state in its colour, as Markdown."""
    return f":{COLOURS[state]}-badge[{runs.state_word(state)}]"


def has_weights(run: Run) -> bool:
    """Whether a run has finished an epoch, whose weights score DNA."""
    return (run.folder / runs.BEST).exists()


def actions(run: Run, status: Status) -> None:
    """Draw the buttons that the state of the run allows, other than Stop."""
    with st.container(horizontal=True, key="actions"):
        diverged = status.diverged
        kind: Literal["primary", "secondary"] = "secondary" if diverged else "primary"
        if status.state in RESUMABLE and st.button("Resume", type=kind, icon=":material/resume:"):
            run_action(lambda: runs.resume(run, secrets()))
        if not status.active and has_weights(run):
            _score(run)
            _more_epochs(run)
        st.button(
            "Clone",
            type="primary" if diverged else "secondary",
            icon=":material/content_copy:",
            on_click=_clone,
            args=(run,),
            help="Its settings, as a form",
        )
        _rename(run)
        if not status.active:
            _delete(run)


def stop_buttons(run: Run, status: Status) -> None:
    """Stop, and when that was not heard for a while, Force stop."""
    requested = run.stop_requested()
    label = "Cancel" if status.state == "pending" else "Stop"
    if st.button(label, icon=":material/stop_circle:", disabled=requested, key="stop"):
        run_action(run.cancel)
    if requested:
        weights = (
            "The weights of its best finished epoch are kept" if has_weights(run) else "No epoch is finished yet"
        )
        st.caption(f"Stopping after the batch in hand. {weights}.")
        waited = time.time() - run.stop_file.stat().st_mtime
        if waited > GRACE_SECONDS and st.button("Force stop", help="The epoch in flight is lost."):
            run_action(run.kill)


def _score(run: Run) -> None:
    # Through the session's state, since the Predict page goes by the address in a new session only.
    if st.button("Score DNA", icon=":material/genetics:", help="The Predict page, with this model"):
        st.session_state[MODEL.key] = run.id
        st.switch_page(PREDICT_PAGE)


def _more_epochs(run: Run) -> None:
    id = next_run_id()
    with st.popover("More epochs", icon=":material/forward:"):
        st.caption("A new run that starts from the best weights of this one.")
        epochs = st.number_input("Epochs", min_value=1, max_value=10_000, value=MORE_EPOCHS, key="more-epochs")
        try:
            dataset = resolve_name(run.home, runs.read_record(run))
        except ValueError as error:
            st.error(plain(str(error)))
            return
        config = runs.read_config(run).model_copy(update={"num_epochs": epochs, "dataset": dataset})
        name = f"{runs.read_labels(run)['name'][:60]} + {epochs} epochs"
        request = runs.RunRequest(name, id, run, wandb=logger.requested_mode(runs.read_record(run)))
        if st.button("Start", type="primary", key=start_key(id)):
            start(lambda: runs.submit(home(), config, request, secrets()), id)
        st.caption("What Start executes, logged to W&B as this run is")
        st.code(shlex.join(runs.command(config, request)), language=None, wrap_lines=True)


def start(submit: Callable[[], object], id: str) -> None:
    """Start the run `id` and show it, or say in one line why it cannot start."""
    run_action(submit, lambda: show_run(id), lambda: runs.is_run(home(), id))


def _clone(run: Run) -> None:
    try:
        config = runs.read_config(run)
        with suppress(ValueError):  # its data are not here, and others can learn by its settings
            config = config.model_copy(update={"dataset": resolve_name(run.home, runs.read_record(run))})
        fill(config)
    except ValueError:  # thrown away or damaged since it was drawn: the page, drawn anew, says so
        return
    close_run()


def _rename(run: Run) -> None:
    with st.popover("Rename", icon=":material/edit:"), st.form(f"rename-{run.id}", border=False):
        name = st.text_input("Name", runs.read_labels(run)["name"], max_chars=runs.NAME_LENGTH, key=f"name-{run.id}")
        if st.form_submit_button("Save", key="save-name"):
            run_action(lambda: runs.rename(run, name))


def _delete(run: Run) -> None:
    with st.popover("Delete", icon=":material/delete:"):
        st.caption(TO_TRASH)
        if st.button("Move to trash", key="delete"):
            run_action(lambda: runs.delete(run), close_run)


def run_view(run: Run) -> None:
    """Draw a run: heading, state, curves, results, buttons. Polls once a second while the run is active."""
    status = run.status()
    title, new = st.columns([5, 1], vertical_alignment="center")
    title.header(plain(runs.read_labels(run)["name"]), anchor=False)
    new.button("New run", icon=":material/add:", on_click=close_run, width="stretch")
    with panel("buttons"):
        actions(run, status)
    config = runs.read_config(run)
    poll(lambda: _live(run, config, status.active), status.active)
    with panel("W&B"):
        wandb_note(run)
    if not status.active:
        with panel("results"):
            results(run)


def _live(run: Run, config: TrainConfig, was_active: bool) -> None:
    if not run.folder.exists():  # another tab threw it away
        st.rerun()
    status = run.status()
    if was_active and not status.active:
        st.rerun()
    with panel("run"):
        _draw(run, config, status, runs.read_rows(run))


def _draw(run: Run, config: TrainConfig, status: Status, rows: list[Row]) -> None:
    measured = read_split_baselines(run)
    summary = f"{state_badge(status.state)} " + " · ".join(_facts(run, status, rows, config))
    if status.active:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(summary)
            stop_buttons(run, status)
        if status.state == "running":
            with panel("progress"):
                _progress(run)
        advice = hint(rows, to_the_end=False)
        if advice and advice.kind == "diverged":
            st.warning(advice.text, icon=":material/trending_up:")
    else:
        weights = " The weights of its best epoch are kept." if has_weights(run) else ""
        st.markdown(summary, help=f"{MEANINGS[status.state]}{weights}")
        with panel("outcome"):
            _outcome(run, status, rows, _hint(run, config, status, rows, measured))
    with panel("curves"):
        _charts(run, rows, status.active, measured)


def _facts(run: Run, status: Status, rows: list[Row], config: TrainConfig) -> list[str]:
    if status.state == "pending":
        if runs.read_record(run).get("ray"):
            return [plain(status.waits or "waits for its turn")]  # the cluster alone knows its turn
        ahead = runs.queue_position(run)
        return [f"{ahead} before you on this device" if ahead else "next on this device"]
    facts = [f"data set {plain(config.dataset)}", devices.describe_device(config.device, config.threads or 1)]
    if not status.active:
        seconds = duration(sum(row["seconds"] for row in rows))
        facts.append(f"{len(rows)} of {config.num_epochs} epochs in {seconds}")
        if status.state == "finished" and len(rows) < config.num_epochs:
            facts.append(f"stopped early, after {config.early_stopping_patience} without a lower validation loss")
    best = runs.best_row(rows)
    if best:
        facts.append(f"best epoch {best['epoch']}: validation loss {figure(best['val_loss'])}, {_pearson(best)}")
    return facts


def _pearson(row: Row) -> str:
    return "Pearson undefined" if row["val_pearsonr"] is None else f"Pearson {figure(row['val_pearsonr'])}"


def _progress(run: Run) -> None:
    progress = runs.read_progress(run)
    if not progress:
        st.progress(0.0, "Starting: loading the data set")
        return
    if None in (progress["windows_per_second"], progress["seconds_left"]):
        st.progress(0.0, "Starting: the first batch, for which a model of a new shape is compiled")
        return
    share = (progress["epoch"] - 1 + progress["batches"] / progress["batches_per_epoch"]) / progress["num_epochs"]
    words = [
        f"Epoch {progress['epoch']} of {progress['num_epochs']}",
        f"batch {progress['batches']} of {progress['batches_per_epoch']}",
        f"{progress['windows_per_second']:,.0f} windows a second",
        f"{duration(progress['seconds_left'])} left",
    ]
    st.progress(min(1.0, share), " · ".join(words))
    st.caption(_load(progress))


def _load(progress: dict[str, Any]) -> str:
    """What the run takes of the machine that trains it, as far as it has said so."""
    cores, memory, gpu, gpu_share = (progress.get(key) for key in ("cores", "memory", "gpu_memory", "gpu_busy"))
    words = [
        *([f"CPU {cores:.1f} cores"] if cores is not None else []),
        *([f"memory {memory / 1e9:.2f} GB"] if memory is not None else []),
        *([f"GPU memory {gpu / 1e9:.2f} GB"] if gpu is not None else []),
        *([f"GPU {gpu_share} % busy"] if gpu_share is not None else []),
    ]
    return f"This run takes now: {' · '.join(words)}" if words else ""


def _hint(
    run: Run, config: TrainConfig, status: Status, rows: list[Row], measured: SplitBaselines | None
) -> Hint | None:
    if status.diverged:
        return None
    windows = runs.training_windows(run)
    steps = Steps(windows, config.batch_size) if windows else None
    rule = as_good_as_the_rule(measured.baselines) if measured else None
    return hint(rows, status.state == "finished", steps, rule)


def _outcome(run: Run, status: Status, rows: list[Row], advice: Hint | None) -> None:
    if status.error:
        st.error(plain(". ".join(filter(None, [status.error, _what_next(status, rows)]))))
    if advice:
        st.info(advice.text, icon=":material/lightbulb:")
    tail = log.tail(run, LOG_LINES) if status.error else ""
    if tail:
        with st.expander("The last lines of its log", expanded=not status.diverged):
            st.code(visible(tail), language=None)


def _what_next(status: Status, rows: list[Row]) -> str:
    if status.diverged:
        return "Resume would only repeat it; Clone fills the form with these settings, to be changed."
    if status.state != "crashed":
        return ""
    return f"Resume goes on after epoch {len(rows)}." if rows else "Resume starts it again."


def _charts(run: Run, rows: list[Row], active: bool, measured: SplitBaselines | None) -> None:
    loss = loss_chart(
        "Loss: mean squared error, lower is better",
        "Loss against epoch, for training and validation windows",
        [curve("validation", rows, "val_loss"), curve("training", rows, "train_loss", dash="dot", colour=1)],
        of="curve",
    )
    pearson = Chart(
        "Pearson r with the true scores, 1 is perfect",
        "Pearson r",
        "Pearson correlation of predicted and true scores on the validation windows, against epoch",
        [
            *(baseline_curves(measured, len(rows)) if rows else []),
            curve("all bases", rows, "val_pearsonr"),
            curve("mean of windows", rows, "val_pearsonr_window", dash="dot", colour=2),
        ],
    )
    live_charts([loss, pearson], key=f"curves-{run.id}", empty=FIRST_POINT if active else "No epoch was finished.")
    if rows and (words := baseline_words(measured)):
        st.caption(plain(words))
