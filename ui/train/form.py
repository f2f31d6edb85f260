"""The form made from TrainConfig: one widget per field with its bounds and help, and what the split holds out."""

from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from tfbind.config import PRESETS, TrainConfig, flag, parse_config
from tfbind.data import Windows, check_learnable, find_leaks, list_datasets, open_dataset, split
from tfbind.errors import Setting, SettingsError
from ui.widgets.cache import remembered, split_of
from ui.widgets.session import home, plain

PRESET_NAMES = {"seed": "Seed experiment", "recommended": "Recommended", "quick": "Quick look"}
PRESET_HELP = {
    "seed": "the published model, whose scores see only 15 bases",
    "recommended": "a smaller model that sees more and learns better in less time",
    "quick": "the smallest model, for a first try",
}
LABELS = {
    "dataset": "Data set",
    "num_epochs": "Epochs",
    "norm": "Normalisation",
    "first_kernel_size": "First kernel size",
    "num_res_blocks": "Residual blocks",
    "num_channels": "Channels",
    "optimizer_type": "Optimizer",
    "lr_schedule": "Learning rate schedule",
    "early_stopping_patience": "Patience (epochs)",
    "seed": "Random seed",
    "threads": "CPU threads",
}
KEPT_BY_PRESETS = ("dataset", "seed", "device", "threads")
START_PRESET = "recommended"

# Where Streamlit stacks columns, below 640 pixels, the plan comes before the form, whose end is screens away.
PLAN_FIRST = """<style>@media (max-width: 640px) {
[data-testid="stColumn"]:has(.st-key-plan) { order: -1; }
}</style>"""
_ENDS = {"": "", "values": "", "min": " from", "max": " to"}

_schema: dict[str, dict[str, Any]] = TrainConfig.model_json_schema()["properties"]
CHECKED = "leaks-checked"
HELP = (
    "Held-out windows that are the same, nearly the same, or beside windows that train make a model look better than "
    "it is. Nearly the same: nine of ten bases, or most words of 12."
)


def label(field: str) -> str:
    """What a form calls a field."""
    return LABELS.get(field, field.replace("_", " ").capitalize())


def in_labels(error: ValueError) -> str:
    """What is wrong with settings, or with the sweep file made of a form, said by the labels that the form shows."""
    return error.named(_label_of) if isinstance(error, SettingsError) else str(error)


def _label_of(setting: Setting) -> str:
    return label(setting.field) + _ENDS[setting.key] if setting.key in _ENDS else str(setting)


def parse_form(values: dict[str, Any], base: TrainConfig | None = None) -> TrainConfig:
    """As `parse_config`, with errors by label."""
    try:
        return parse_config(values, base)
    except ValueError as error:
        raise ValueError(in_labels(error)) from None


def fill(config: TrainConfig) -> None:
    """Put `config` into the form. Only in a callback, or before the form is drawn."""
    for field in TrainConfig.model_fields:
        st.session_state[_key(field)] = _widget_value(field, getattr(config, field))


def choose_dataset(name: str) -> None:
    """Have the form stand on this data set when it is drawn next."""
    if _key("dataset") not in st.session_state:
        fill(PRESETS[START_PRESET])
    st.session_state[_key("dataset")] = name


def form_and_plan() -> tuple[DeltaGenerator, DeltaGenerator]:
    """Draw the places of a form and, with a border, of the plan with its Start button."""
    st.html(PLAN_FIRST)
    form, side = st.columns([6, 5], gap="large")
    return form, side.container(border=True, key="plan")


def config_form(datasets: list[str]) -> TrainConfig:
    """Draw the form; the configuration it holds.

    Raises:
        ValueError: one line that says which field cannot be used, by its label, and why.
    """
    _initialise(datasets)
    _preset_buttons()
    common = [field for field in _schema if _schema[field]["common"]]
    values = _fields(common, datasets)
    with st.expander("More settings"):
        values |= _fields([field for field in _schema if field not in common], datasets)
    return parse_form(values)


def _key(field: str) -> str:
    return f"config-{field}"


def _widget_value(field: str, value: Any) -> Any:
    """A value as the widget of its field holds it: numbers without steps are text."""
    if _is_text(field):
        return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return value


def _is_text(field: str) -> bool:
    return "anyOf" in _schema[field] or _schema[field]["type"] == "number"


def _initialise(datasets: list[str]) -> None:
    if _key("dataset") not in st.session_state:
        fill(PRESETS[START_PRESET])
    dataset = st.session_state[_key("dataset")]
    if dataset not in datasets:
        st.warning(plain(f"The data set {dataset!r} is not on this disk; {datasets[0]!r} is chosen instead."))
        st.session_state[_key("dataset")] = datasets[0]


def _preset_buttons() -> None:
    """One press, one application: a control that holds a choice may send it again after a field was changed."""
    values = {field: st.session_state[_key(field)] for field in _schema}
    with st.container(horizontal=True, gap="small"):
        for name, title in PRESET_NAMES.items():
            st.button(
                title,
                key=f"preset-{name}",
                icon=":material/check:" if _matches(values, PRESETS[name]) else None,
                help=f"Fills the form with {PRESET_HELP[name]}.",
                on_click=_apply_preset,
                args=(name,),
                width="stretch",
            )


def _matches(values: dict[str, Any], preset: TrainConfig) -> bool:
    fields = [field for field in values if field not in KEPT_BY_PRESETS]
    return all(values[field] == _widget_value(field, getattr(preset, field)) for field in fields)


def _apply_preset(name: str) -> None:
    unchanged = {field: st.session_state[_key(field)] for field in KEPT_BY_PRESETS}
    fill(PRESETS[name])
    for field, value in unchanged.items():
        st.session_state[_key(field)] = value


def _fields(fields: list[str], datasets: list[str]) -> dict[str, Any]:
    values, columns = {}, st.columns(2)
    for place, field in enumerate(fields):
        with columns[place % 2]:
            values[field] = _widget(field, datasets)
    return values


def _widget(field: str, datasets: list[str]) -> Any:
    schema = _schema[field]
    options: dict[str, Any] = {
        "key": _key(field),
        "help": f"{schema['description']}\n\nOn the command line: `{flag(field)}`",
        "persist_state": "session",
    }
    if field == "dataset":
        return st.selectbox(label(field), datasets, **options)
    if "enum" in schema:
        return st.selectbox(label(field), schema["enum"], **options)
    if _is_text(field):
        placeholder = "automatic" if "anyOf" in schema else None
        return st.text_input(label(field), placeholder=placeholder, **options)
    step = 2 if field == "kernel_size" else 1
    return st.number_input(
        label(field), min_value=schema["minimum"], max_value=schema["maximum"], step=step, **options
    )


@remembered
def _parts(data: Windows, config: TrainConfig) -> dict[str, int]:
    parts = split(data, config)
    check_learnable(data, parts.train)
    return {part: len(getattr(parts, part)) for part in ("train", "validation", "test")}


@remembered
def _leaks(data: Windows, config: TrainConfig) -> str:
    return find_leaks(data, split(data, config)).words


def data_of(config: TrainConfig) -> Windows | None:
    """The data set, unless it is the built-in one and not made yet."""
    exists = config.dataset in [data["name"] for data in list_datasets(home())]
    return open_dataset(home(), config.dataset) if exists else None


def counts(data: Windows | None, config: TrainConfig, windows: int) -> dict[str, int]:
    """Windows that train, that measure (validation), and that stay sealed (test).

    Raises:
        ValueError: the data cannot be divided so, or there is nothing to learn from them.
    """
    if data is not None:
        return _parts(data, config)
    held_out, test = int(windows * config.validation_split), int(windows * config.test_split)
    return {"train": windows - held_out - test, "validation": held_out, "test": test}


def leak_check(data: Windows, config: TrainConfig) -> None:
    """Offer to look for leaks; say what was found as long as the split stays the same."""
    key = (data.hash, split_of(config))
    if st.session_state.get(CHECKED) == key:
        with st.spinner("Comparing windows"):
            st.caption(f"Leaks: {plain(_leaks(data, config))}")
    else:
        change = {CHECKED: key}
        st.button(
            "Check for leaks",
            icon=":material/water_drop:",
            help=HELP,
            on_click=st.session_state.update,
            args=(change,),
        )
