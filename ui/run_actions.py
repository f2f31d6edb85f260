"""What can be done with a run: stop it, go on with it, start another from it, rename it, throw it away."""

import shlex
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

import streamlit as st

from tfbind import launch, runs, wandb_logged
from tfbind.datasets import name_now
from tfbind.hints import lost_its_loss
from tfbind.runs import Run, Status
from ui.config_form import fill
from ui.model_choice import MODEL
from ui.session import PREDICT_PAGE, attempt, close_run, home, next_run_id, plain, show_run, start_key
from ui.wandb_settings import secrets

RESUMABLE = ("killed", "crashed", "failed")
MORE_EPOCHS = 5


def actions(run: Run, status: Status) -> None:
    """Draw the buttons that the state of the run allows, other than Stop."""
    with st.container(horizontal=True, key="actions"):
        hopeless = lost_its_loss(status.error)
        kind: Literal["primary", "secondary"] = "secondary" if hopeless else "primary"
        if status.state in RESUMABLE and st.button("Resume", type=kind, icon=":material/resume:"):
            attempt(lambda: launch.resume(run, secrets()))
        has_weights = (run.folder / runs.BEST).exists()
        if status.state == "finished" and has_weights:
            _score(run)
        if not status.active and has_weights:
            _more_epochs(run)
        st.button(
            "Clone",
            type="primary" if hopeless else "secondary",
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
    asked = runs.stop_requested(run)
    label = "Cancel" if status.state == "pending" else "Stop"
    if st.button(label, icon=":material/stop_circle:", disabled=asked, key="stop"):
        attempt(lambda: launch.cancel(run))
    if asked:
        st.caption("Stopping after the batch in hand. The weights of its best finished epoch are kept.")
        waited = time.time() - (run.folder / runs.STOP).stat().st_mtime
        if waited > launch.GRACE_SECONDS and st.button("Force stop", help="The epoch in flight is lost."):
            attempt(lambda: launch.kill(run))


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
            dataset = name_now(run.home, runs.read_record(run))
        except ValueError as error:
            st.error(plain(str(error)))
            return
        config = runs.read_config(run).model_copy(update={"num_epochs": epochs, "dataset": dataset})
        name = f"{runs.read_labels(run)['name'][:60]} + {epochs} epochs"
        order = launch.Order(name, id, run, wandb=wandb_logged.asked(runs.read_record(run)))
        if st.button("Start", type="primary", key=start_key(id)):
            start(lambda: launch.submit(home(), config, order, secrets()), id)
        st.caption("What Start executes, logged to W&B as this run is")
        st.code(shlex.join(launch.command(config, order)), language=None, wrap_lines=True)


def start(submit: Callable[[], object], id: str) -> None:
    """Start the run `id` and show it, or say in one line why it cannot start."""
    attempt(submit, lambda: show_run(id), lambda: runs.is_run(home(), id))


def _clone(run: Run) -> None:
    try:
        config = runs.read_config(run)
        with suppress(ValueError):  # its data are not here, and others can learn by its settings
            config = config.model_copy(update={"dataset": name_now(run.home, runs.read_record(run))})
        fill(config)
    except ValueError:  # thrown away or damaged since it was drawn: the page, drawn anew, says so
        return
    close_run()


def _rename(run: Run) -> None:
    with st.popover("Rename", icon=":material/edit:"), st.form(f"rename-{run.id}", border=False):
        name = st.text_input("Name", runs.read_labels(run)["name"], max_chars=runs.NAME_LENGTH, key=f"name-{run.id}")
        if st.form_submit_button("Save", key="save-name"):
            attempt(lambda: runs.rename(run, name))


def _delete(run: Run) -> None:
    with st.popover("Delete", icon=":material/delete:"):
        st.caption(f"The run moves to the folder trash in {plain(str(home()))}.")
        if st.button("Move to trash", key="delete"):
            attempt(lambda: runs.delete(run), close_run)
