"""What is computed once for a data set, the split of a configuration, or the weights of a run, and kept while they
stay the same."""

import streamlit as st

from tfbind import runs
from tfbind.baselines import SPLIT
from tfbind.config import TrainConfig
from tfbind.datasets import Windows
from tfbind.runs import Run


def _content(data: Windows) -> str:
    return data.hash


def split_of(config: TrainConfig) -> str:
    """What of a configuration divides the data."""
    return repr([getattr(config, field) for field in SPLIT])


def _weights(run: Run) -> str:
    return f"{run.folder} {(run.folder / runs.VALIDATION).stat().st_mtime_ns}"


# Of a configuration only what divides the data counts: a function that needs more of it takes the run beside it.
remembered = st.cache_data(
    hash_funcs={Windows: _content, TrainConfig: split_of, Run: _weights}, max_entries=100, show_spinner=False
)
