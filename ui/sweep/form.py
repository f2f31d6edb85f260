"""Before a sweep: built here, pasted or uploaded; what it will do and how long that takes; Start."""

import shlex
from typing import Any

import pandas as pd
import streamlit as st
import yaml

from tfbind import runs, sweeps
from tfbind.cluster import protocol
from tfbind.config import PRESETS, TrainConfig
from tfbind.data import dataset as datasets
from tfbind.runs import recent_samples
from tfbind.sweeps import (
    LISTED,
    MAX_REPLICATES,
    MAX_RUNS,
    MAX_TEXT,
    METRICS,
    Plan,
    Spec,
    parse_spec,
    plan as sweep_plan,
    plan_sweep,
)
from ui.train.form import PRESET_HELP, PRESET_NAMES, form_and_plan, in_labels, label
from ui.train.wandb import secrets, wandb_mode
from ui.widgets.disk import room_warning
from ui.widgets.panels import number_columns, panel
from ui.widgets.session import cells, home, newest_first, next_sweep_id, plain, run_action, show_sweep, start_key

BUILD, WRITE = "Build it here", "Sweep file"
METHODS = {"grid": "All combinations", "random": "Random", "bayes": "Guided"}
METHOD_HELP = (
    "All combinations: every value with every other. Random: values drawn by chance. Guided: the next values follow "
    "from the runs so far (Optuna's TPE). In a sweep file: grid, random, bayes."
)
EARLY_HELP = (
    "At epoch 3, 9, 27 and so on only the best third of the runs so far goes on. Saves time; a slow starter is lost."
)
RAY_HELP = (
    "HOST:PORT of the head of a Ray cluster that this machine has joined, or auto. The runs train there; their "
    "results come back here."
)
TEXT, UPLOAD, WAY = "sweep-text", "sweep-upload", "sweep-way"
FIRST_VALUES = {"learning_rate": "0.01, 0.001, 0.0001"}
LOG_FIELDS = ("learning_rate", "weight_decay")  # whose useful values lie orders of magnitude apart
NOTHING = {
    BUILD: "Choose at least one hyperparameter.",
    WRITE: "There is no sweep file yet: paste one, upload one, or use the example.",
}
SCALES = {"uniform": "evenly", "log_uniform_values": "on a log scale"}


def new_sweep() -> None:
    """Draw the ways in on the left, the plan with its Start button on the right, earlier sweeps below."""
    st.title("Sweep: many runs, one question", anchor=False)
    with panel("form"):
        _set_up()
    with panel("sweeps so far"):
        _list_sweeps()


def _set_up() -> None:
    sizes = datasets.dataset_sizes(home())
    form, side = form_and_plan()
    with form:
        dataset, preset = _base(list(sizes))
        with st.container(horizontal=True, vertical_alignment="bottom"):
            way = st.segmented_control("Way in", [BUILD, WRITE], default=BUILD, key=WAY, persist_state="session")
            st.button(
                "Use the example",
                icon=":material/lightbulb:",
                on_click=_use_example,
                help="The published sweep: three learning rates, five epochs each.",
            )
        text = _form_text() if way != WRITE else _file_text()
        options = _options()
    with side:
        try:
            if not text.strip():
                raise ValueError(NOTHING[way or BUILD])
            _plan_and_start(text, dataset, preset, options, sizes)
        except ValueError as error:
            st.button("Start", type="primary", width="stretch", disabled=True, key="start-never")
            message = str(error) if way == WRITE else in_labels(error)
            (st.error if text.strip() else st.info)(plain(message))


def _base(datasets: list[str]) -> tuple[str, str]:
    left, right = st.columns(2)
    dataset = left.selectbox("Data set", datasets, key="sweep-dataset", persist_state="session")
    preset = right.selectbox(
        "Settings to start from",
        list(PRESETS),
        format_func=PRESET_NAMES.__getitem__,
        key="sweep-preset",
        persist_state="session",
        help="What the sweep leaves open is taken from here. "
        + "; ".join(f"{name}: {PRESET_HELP[preset]}" for preset, name in PRESET_NAMES.items()),
    )
    return dataset, preset


def _options() -> dict[str, Any]:
    with st.expander("More settings"):
        name = st.text_input("Name of the sweep", key="sweep-name", max_chars=runs.NAME_LENGTH)
        parallel = st.number_input(
            "Runs at once",
            min_value=0,
            max_value=64,
            key="sweep-parallel",
            help="0: as many as the machine has room for, one on each core or GPU.",
        )
        wandb = wandb_mode()
        ray = _ray()
    return {"name": name, "parallel": parallel or None, "wandb": "" if wandb == "off" else wandb, "ray": ray}


def _ray() -> str:
    """The address of a Ray cluster; "" trains on this machine."""
    if not protocol.installed():
        st.caption(f"Many machines: after `{protocol.INSTALL}` a sweep can train on a Ray cluster.")
        return ""
    return st.text_input(
        "Ray cluster address", key="sweep-ray", placeholder="Empty: train on this machine", help=RAY_HELP
    ).strip()


def _file_text() -> str:
    st.file_uploader(
        "Upload", type=["yaml", "yml", "json", "py"], max_upload_size=1, key=UPLOAD, on_change=_use_upload
    )
    return st.text_area(
        "Sweep file, in the format of Weights & Biases",
        height=360,
        max_chars=MAX_TEXT,
        key=TEXT,
        persist_state="session",
        placeholder="Paste a sweep file, upload one, or use the example: three learning rates.",
        help="YAML, JSON, or the dict of a script. One key is our own: `replicates: 3` runs each configuration with "
        "three random seeds.",
    )


def _use_upload() -> None:
    file = st.session_state[UPLOAD]
    if file is not None:
        st.session_state[TEXT] = file.getvalue()[: MAX_TEXT + 1].decode(errors="replace")


def _use_example() -> None:
    st.session_state[TEXT] = sweeps.EXAMPLE.read_text()
    st.session_state[WAY] = WRITE


def _form_text() -> str:
    """The form, as the text of a sweep file."""
    method = st.segmented_control(
        "Search",
        list(METHODS),
        format_func=METHODS.__getitem__,
        default="grid",
        key="sweep-method",
        help=METHOD_HELP,
        persist_state="session",
    )
    fields = st.multiselect(
        "Hyperparameters",
        [field for field in TrainConfig.model_fields if field != "dataset"],
        default=["learning_rate"],
        format_func=label,
        key="sweep-fields",
        persist_state="session",
        help="Several values vary a hyperparameter; one value fixes it. All others are as in the settings above.",
    )
    if not fields:
        return ""
    document: dict[str, Any] = {"method": method or "grid", "metric": _metric()}
    document["parameters"] = {field: _parameter(field, method or "grid") for field in fields}
    document |= _counts(method or "grid")
    if st.toggle("Stop weak runs early", key="sweep-early", help=EARLY_HELP):
        document["early_terminate"] = {"type": "hyperband", "min_iter": 3, "eta": 3}
    return yaml.safe_dump(document, sort_keys=False)


def _metric() -> dict[str, str]:
    names = {"val_loss": "Lowest validation loss", "val_pearsonr": "Highest Pearson r"}
    name = st.selectbox(
        "The best run has the",
        list(names),
        format_func=names.__getitem__,
        key="sweep-metric",
        persist_state="session",
    )
    return {"name": name, "goal": METRICS[name]}


def _parameter(field: str, method: str) -> dict[str, Any]:
    """The widgets of one hyperparameter: values, or in a search also a range."""
    schema = TrainConfig.model_json_schema()["properties"][field]
    if "enum" in schema:
        return {
            "values": st.multiselect(label(field), schema["enum"], default=schema["enum"], key=f"sweep-of-{field}")
        }
    if method != "grid" and st.toggle(f"{label(field)}: a range", key=f"sweep-range-{field}"):
        return _range(field, schema.get("type") == "number")
    text = st.text_input(
        label(field),
        FIRST_VALUES.get(field, str(schema["default"] if schema["default"] is not None else "")),
        key=f"sweep-of-{field}",
        help=f"Values, with commas between them. {schema['description']}",
        persist_state="session",
    )
    values = [_number(word.strip()) for word in text.split(",") if word.strip()]
    return {"value": values[0]} if len(values) == 1 else {"values": values}


def _range(field: str, fractions: bool) -> dict[str, Any]:
    low, high, scale = st.columns(3)
    parameter: dict[str, Any] = {
        "min": _number(
            low.text_input(f"{label(field)} from", "0.0001" if fractions else "1", key=f"sweep-min-{field}")
        ),
        "max": _number(high.text_input("to", "0.1" if fractions else "5", key=f"sweep-max-{field}")),
    }
    if fractions:
        order = sorted(SCALES, reverse=field not in LOG_FIELDS)
        distribution = scale.selectbox("drawn", order, format_func=SCALES.__getitem__, key=f"sweep-scale-{field}")
        parameter["distribution"] = distribution
    return parameter


def _number(word: str) -> int | float | str:
    """A word as YAML would best hold it; what is no number stays as it is, and is refused by name later."""
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def _counts(method: str) -> dict[str, int]:
    left, right = st.columns(2)
    replicates = left.number_input(
        "Replicates",
        min_value=1,
        max_value=MAX_REPLICATES,
        key="sweep-replicates",
        persist_state="session",
        help="Each configuration runs with so many random seeds. With one, a difference between two configurations "
        "cannot be told from chance; three show how much a result varies.",
    )
    settings = {"replicates": replicates} if replicates > 1 else {}
    if method == "grid":
        return settings
    options: dict[str, Any] = {"value": 20, "key": "sweep-cap", "help": "The search ends after so many."}
    return settings | {"run_cap": right.number_input("Runs in all", min_value=1, max_value=MAX_RUNS, **options)}


def _plan_and_start(
    text: str, dataset: str, preset: str, options: dict[str, Any], sizes: dict[str, tuple[int, int]]
) -> None:
    base = PRESETS[preset].model_copy(update={"dataset": dataset})
    spec = parse_spec(text, base)
    if options["ray"]:
        protocol.resolve(options["ray"])
    planned = plan_sweep(
        spec, sizes, recent_samples(runs.list_runs(home())), options["parallel"], local=not options["ray"]
    )
    id = next_sweep_id()
    command = sweeps.command(home(), id, dataset, preset, **options)
    if st.button("Start", type="primary", width="stretch", icon=":material/play_arrow:", key=start_key(id)):
        with st.spinner("Starting"):
            run_action(
                lambda: _submit(id, spec, options, command),
                lambda: show_sweep(id),
                lambda: sweeps.is_sweep(home(), id),
            )
    with panel("plan"):
        _show_plan(spec, planned, sizes)
    st.caption("What Start executes; the same line works in a terminal")
    st.code(shlex.join(command), language=None, wrap_lines=True)
    with st.expander("The sweep file"):
        st.code(text, language="yaml")


def _submit(id: str, spec: Spec, options: dict[str, Any], command: list[str]) -> None:
    details = {**options, "wandb": options["wandb"] or "off"}
    sweep = sweeps.create(home(), spec, id=id, **details)
    sweep.spawn(command, secrets())


def _show_plan(spec: Spec, plan: Plan, sizes: dict[str, tuple[int, int]]) -> None:
    left, right = st.columns(2)
    left.metric("Runs", f"{plan.runs:,}", help="Each one a model of its own, with its own page.")
    if plan.time:
        right.metric("Takes about", plan.time.text, help=f"All runs together: {plan.time.basis}.")
        st.caption(f"{plan.at_once} at once · time: {plan.time.basis}")
    else:
        st.caption("As many at once as the cluster has room for. How long that takes shows once they run.")
    room_warning(plan.disk)
    for line in sweep_plan.describe_plan(spec, sizes, label):
        st.caption(plain(f"{line}."))
    for note in spec.notes:
        st.caption(plain(f"Note: {note}."))
    if not plan.configs:
        st.caption("The search draws the configurations as it goes.")
        return
    table = (
        pd.DataFrame([{label(field): getattr(config, field) for field in spec.varied} for config in plan.configs])
        if spec.varied
        else pd.DataFrame({"Configuration": [runs.default_name(config) for config in plan.configs]})
    )
    st.dataframe(
        table,
        column_config=number_columns(table),
        height=min(280, 38 + 35 * len(plan.configs)),
        hide_index=True,
        alt="The runs that this sweep will make",
    )
    if plan.runs > len(plan.configs):
        st.caption(f"The first {LISTED} of them.")


def _list_sweeps() -> None:
    all_sweeps = sweeps.list_sweeps(home())
    st.subheader("Sweeps so far", anchor=False)
    if not all_sweeps:
        st.caption("None yet. Press Start: the first one works as it stands.")
        return
    newest, sizes = newest_first(all_sweeps, "all-sweeps"), sweeps.sweep_sizes(home())
    st.dataframe(
        pd.DataFrame(cells([_row(sweep, sizes[sweep.id]) for sweep in newest])),
        hide_index=True,
        on_select=lambda: _open_selected([sweep.id for sweep in newest]),
        selection_mode="single-cell",
        key="sweeps",
        alt="Sweeps, newest first: name, state and number of runs",
    )
    st.caption("Click a row to open that sweep.")


def _row(sweep: sweeps.Sweep, size: int) -> dict[str, object]:
    try:
        name = sweeps.read_settings(sweep)["name"]
    except ValueError as error:
        return {"Name": f"damaged: {error}", "Sweep": sweep.id}
    state = runs.state_word(sweep.state)
    return {"Name": name, "State": state, "Runs": size, "Sweep": sweep.id}


def _open_selected(ids: list[str]) -> None:
    for row, _ in st.session_state["sweeps"]["selection"]["cells"]:
        show_sweep(ids[row])
