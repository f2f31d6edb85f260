"""What a configuration holds out, before anything trains: how many windows, and what they share with the others."""

import streamlit as st

from tfbind.config import TrainConfig
from tfbind.datasets import Windows, check_learnable, list_datasets, open_dataset
from tfbind.leaks import find_leaks
from tfbind.splits import split
from ui.remembered import remembered, split_of
from ui.session import home, plain

CHECKED = "leaks-checked"
HELP = (
    "Held-out windows that are the same, nearly the same, or beside windows that train make a model look better than "
    "it is. Nearly the same: nine of ten bases, or most words of 12."
)


@remembered
def _parts(data: Windows, config: TrainConfig) -> dict[str, int]:
    found = split(data, config)
    check_learnable(data, found.train)
    return {part: len(getattr(found, part)) for part in ("train", "validation", "test")}


@remembered
def _leaks(data: Windows, config: TrainConfig) -> str:
    return find_leaks(data, split(data, config)).words


def data_of(config: TrainConfig) -> Windows | None:
    """The data set, unless it is the built-in one and not made yet."""
    made = config.dataset in [data["name"] for data in list_datasets(home())]
    return open_dataset(home(), config.dataset) if made else None


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
    asked = (data.hash, split_of(config))
    if st.session_state.get(CHECKED) == asked:
        with st.spinner("Comparing windows"):
            st.caption(f"Leaks: {plain(_leaks(data, config))}")
    else:
        change = {CHECKED: asked}
        st.button(
            "Check for leaks",
            icon=":material/water_drop:",
            help=HELP,
            on_click=st.session_state.update,
            args=(change,),
        )
