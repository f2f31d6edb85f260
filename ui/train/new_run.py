"""Before a run: the form, what it will do and how long that takes, Start, and the runs so far."""

import shlex

import pandas as pd
import streamlit as st

from tfbind import runs
from tfbind.config import TrainConfig, parameter_count, receptive_field
from tfbind.data import Windows, dataset
from tfbind.runs import devices, disk_needed, estimate_run, few_steps, recent_samples, size
from ui.train.form import config_form, counts, data_of, form_and_plan, in_labels, leak_check
from ui.train.run import start
from ui.train.wandb import secrets, wandb_mode
from ui.widgets.disk import room_warning
from ui.widgets.panels import number_column, panel
from ui.widgets.session import cells, home, newest_first, next_run_id, plain, show_run, start_key

LOW_DISK_BYTES = 1e9
ABOUT = "The model learns from DNA with known scores: letters in, a score for each base out, high at binding sites."


def new_run() -> None:
    """Draw the form on the left, the plan with its Start button on the right, earlier runs below."""
    st.title("Train a model", anchor=False)
    st.caption(ABOUT)
    with panel("form"):
        _set_up()
    with panel("runs so far"):
        _list_runs()


def _set_up() -> None:
    sizes = dataset.dataset_sizes(home())
    form, plan = form_and_plan()
    with form:
        try:
            config, problem = devices.resolve_device(config_form(list(sizes))), ""
        except ValueError as error:
            config, problem = None, in_labels(error)
    with plan:
        if config:
            request = _plan(config, *sizes[config.dataset])
        else:
            st.button("Start", type="primary", width="stretch", disabled=True, key="start-never")
            st.error(plain(problem))
    if config:
        with form:
            st.caption("What Start executes; the same line works in a terminal")
            st.code(shlex.join(runs.command(config, request)), language=None, wrap_lines=True)


def _plan(config: TrainConfig, windows: int, length: int) -> runs.RunRequest:
    """What pressing Start orders."""
    id = next_run_id()
    try:
        data = data_of(config)
        parts, problem = counts(data, config, windows), ""
    except ValueError as error:
        data, parts, problem = None, {}, in_labels(error)
    button, place = st.container(), st.container()
    name = st.text_input("Name", key=f"name-{id}", placeholder=runs.default_name(config), max_chars=runs.NAME_LENGTH)
    request = runs.RunRequest(name, id, wandb=wandb_mode())
    if button.button(
        "Start",
        type="primary",
        width="stretch",
        icon=":material/play_arrow:",
        key=start_key(id),
        disabled=bool(problem),
    ):
        with st.spinner("Starting"):
            start(lambda: runs.submit(home(), config, request, secrets()), id)
    with place:
        if problem:
            st.error(plain(problem))
        else:
            with panel("plan"):
                _figures(config, data, parts, length)
    return request


def _figures(config: TrainConfig, data: Windows | None, part: dict[str, int], length: int) -> None:
    time = estimate_run(config, sum(part.values()), length, recent_samples(runs.list_runs(home())))
    left, right = st.columns(2)
    left.metric("Takes about", time.text, help=f"From Start to the end of the last epoch: {time.basis}.")
    right.metric("Training windows", f"{part['train']:,}", help="Windows that the model learns from.")
    reach = receptive_field(config)
    if config.norm == "layer":
        reason = f"norm=layer makes a score depend on the whole window. The convolutions alone read {reach} bases."
        left.metric("Receptive field", "whole window", help=reason)
    else:
        left.metric("Receptive field", f"{reach} bases", help="How many bases a score depends on.")
    right.metric("Parameters", f"{parameter_count(config, length):,}", help="Numbers that training adjusts.")
    free, disk = runs.free_disk(home()), disk_needed(config, part["validation"], length)
    st.caption(
        f"On {devices.describe_device(config.device, config.threads or 1)} · time: {time.basis} · "
        f"judged on {part['validation']:,} other windows of {length} bases · "
        + (f"{part['test']:,} stay sealed for a test · " if part["test"] else "")
        + f"{free / 1e9:,.1f} GB of disk free",
        help=f"The run keeps about {size(disk)}.",
    )
    if steps := few_steps(part["train"], config):
        st.warning(f"This run takes {steps}.", icon=":material/footprint:")
    if data is not None:
        leak_check(data, config)
    room_warning(disk)
    if free < LOW_DISK_BYTES:
        st.warning("The disk is nearly full: the run may fail when it writes its weights.")


def _list_runs() -> None:
    all_runs = runs.list_runs(home())
    st.subheader("Runs so far", anchor=False)
    if not all_runs:
        st.caption("None yet. Press Start: the first one works as it stands.")
        return
    newest = newest_first(all_runs, "all-runs")
    rows = [_table_row(run) for run in newest]
    st.dataframe(
        pd.DataFrame(cells(rows)),
        hide_index=True,
        placeholder="–",
        on_select=lambda: _open_selected([run.id for run in newest]),
        selection_mode="single-cell",
        key="runs",
        alt="Runs, newest first: name, state, epochs, validation loss and Pearson of the best epoch",
        column_config={
            "Name": st.column_config.TextColumn(width="medium"),
            "val_loss": number_column([row.get("val_loss") for row in rows], "Validation loss"),
            "val_pearsonr": number_column([row.get("val_pearsonr") for row in rows], "Pearson r"),
        },
    )
    st.caption("Click a row to open that run.")


def _table_row(run: runs.Run) -> dict[str, object]:
    try:
        summary = runs.summary(run)
    except ValueError as error:
        return {"Name": f"damaged: {error}", "Run": run.id}
    return {
        "Name": summary["name"],
        "State": runs.state_word(summary["state"]),
        "Data set": summary["config"]["dataset"],
        "Epochs": f"{summary['epochs']} of {summary['config']['num_epochs']}",
        "val_loss": summary["val_loss"],
        "val_pearsonr": summary["val_pearsonr"],
        "Run": run.id,
    }


def _open_selected(ids: list[str]) -> None:
    for row, _ in st.session_state["runs"]["selection"]["cells"]:
        show_run(ids[row])
