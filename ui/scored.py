"""Scores for pages: models and profiles, loaded and computed once and then remembered."""

from functools import partial
from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from tfbind import runs
from tfbind.interpret import Mutagenesis, mutagenesis
from tfbind.motifs import Motif, jaspar, threshold_of
from tfbind.scoring import BUILTIN, Model, Profile, load_model, score
from tfbind.simulate import P_VALUE
from tfbind.sites import Background, background


@st.cache_resource(max_entries=8, show_spinner="Loading the model")
def open_model(home: Path, name: str) -> Model:
    """The model of a name. The weights of a finished run do not change, so they are read once."""
    return load_model(home, name)


def _identity(model: Model) -> str:
    return model.hash


remembered = partial(st.cache_data, hash_funcs={Model: _identity})


def choices(home: Path) -> dict[str, str]:
    """The models to choose from: name for `load_model` -> what a person calls it."""
    named = {BUILTIN: "Built-in model: FOXA1"}
    for run in reversed(runs.list_runs(home)):
        if (run.folder / runs.BEST).exists() and runs.read_status(run).state == "finished":
            best = runs.best_row(runs.read_rows(run)) or {}
            figure = best.get("val_pearsonr")
            named[run.id] = runs.read_labels(run)["name"] + (f" (Pearson {figure:.3f})" if figure else "")
    return named


@remembered(max_entries=64, show_spinner="Scoring")
def profile(model: Model, codes: bytes, both: bool, pad: bool) -> Profile:
    """The profile of one sequence, given as the bytes of its codes."""
    return score(model, as_codes(codes), both=both, pad=pad)


@remembered(max_entries=16, show_spinner="Scoring all records")
def highest(model: Model, sequences: tuple[bytes, ...], both: bool) -> list[float | None]:
    """The highest score of each sequence; None where it is too short for the model."""
    found: list[float | None] = []
    for codes in map(as_codes, sequences):
        short = model.length is not None and len(codes) < model.length
        found.append(None if short else float(score(model, codes, both=both).scores.max()))
    return found


@remembered(max_entries=32, show_spinner="Trying every base change")
def changes(model: Model, codes: bytes, start: int, stop: int) -> Mutagenesis:
    """Every base change between two places."""
    return mutagenesis(model, as_codes(codes), start, stop)


@remembered(max_entries=16, show_spinner="Scoring the background")
def chance(model: Model, threshold: float) -> Background:
    """What the model calls in simulated DNA at this threshold."""
    return background(model, threshold)


@st.cache_resource
def known_motif() -> tuple[Motif, float]:
    """FOXA1 of JASPAR and the score from which a match counts, that of the built-in data."""
    motif = jaspar()
    return motif, threshold_of(motif, P_VALUE)


def as_codes(codes: bytes) -> NDArray[np.uint8]:
    """The codes (L,) in some bytes."""
    return np.frombuffer(codes, dtype=np.uint8)
