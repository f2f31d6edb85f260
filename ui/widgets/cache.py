"""What pages compute once and remember while its files stay the same: splits, baselines, models, scores."""

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import streamlit as st

from tfbind import runs
from tfbind.config import TrainConfig
from tfbind.data import Shares, Windows
from tfbind.dna import Codes
from tfbind.evaluation import SPLIT
from tfbind.nn import weight_files
from tfbind.runs import Run
from tfbind.scoring import (
    BUILTIN,
    Background,
    Model,
    Mutagenesis,
    Profile,
    ScoreTarget,
    background,
    load_model,
    mutagenesis,
    read_score_target,
    score,
)
from tfbind.store import mtime_ns
from tfbind.variants import Call, Reference, Scored, Scorer
from ui.widgets.sidebar import active_runs


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


def open_model(home: Path, names: str) -> Model:
    """The model that `load_model` makes of some names, read once as long as its weights stay the same, and what is
    known of the data behind them.

    Raises:
        ValueError: as `load_model`.
    """
    target = read_score_target(home, names)
    return _open_model(
        home, names, tuple(_stamp(home, name) for name in names.split(",")), target.words + target.why_threshold
    )


def _stamp(home: Path, name: str) -> int:
    """When the weights of an imported model were written: another of the same name may have taken its place."""
    weights = weight_files.weights_of(home, name)
    return mtime_ns(weights) if weights else 0


@st.cache_resource(max_entries=8, show_spinner="Loading the model")
def _open_model(home: Path, names: str, stamps: tuple[int, ...], target: str) -> Model:  # noqa: ARG001
    return load_model(home, names)


def _identity(model: Model) -> str:
    return model.hash


# Of large arrays Streamlit looks at some places only.
remembered_model = partial(st.cache_data, hash_funcs={Model: _identity, np.ndarray: np.ndarray.tobytes})
# Figures are handed out without a copy, which would take as long as to draw them: nobody may change them.
drawn_once = partial(
    st.cache_resource, max_entries=16, show_spinner=False, hash_funcs={ScoreTarget: lambda target: target.words}
)


def choices(home: Path) -> dict[str, str]:
    """The models to choose from: name for `load_model` -> what a person calls it. Damaged ones are left out."""
    labels = {BUILTIN: "Built-in model: FOXA1"}
    active = {run.id for run, _ in active_runs(home)}
    for run in reversed(runs.list_runs(home)):
        if run.id in active:
            continue
        stamps = tuple(mtime_ns(run.folder / name) for name in (runs.STATE, runs.LABELS, runs.BEST))
        if label := _label_of_run(run, stamps):
            labels[run.id] = label
    with suppress(ValueError):
        labels |= {card.name: f"{card.name} (imported)" for card in weight_files.list_models(home)}
    return labels


@st.cache_data(max_entries=10_000, show_spinner=False, hash_funcs={Run: lambda run: str(run.folder)})
def _label_of_run(run: Run, stamps: tuple[int, ...]) -> str | None:  # noqa: ARG001
    """What a run that has ended is called; None when it has no weights, or is damaged."""
    if not (run.folder / runs.BEST).exists():
        return None
    state = runs.state_word(run.state)
    with suppress(ValueError):
        figure = (runs.best_row(runs.read_rows(run)) or {}).get("val_pearsonr")
        facts = [f"Pearson {figure:.3f}"] if figure else []
        facts += [] if state == "finished" else [state]
        return str(runs.read_labels(run)["name"]) + (f" ({', '.join(facts)})" if facts else "")
    return None


@remembered_model(max_entries=64, show_spinner="Scoring")
def profile(model: Model, codes: Codes, both: bool, pad: bool) -> Profile:
    """The profile of one sequence."""
    return score(model, codes, both=both, pad=pad)


@remembered_model(max_entries=16, show_spinner="Scoring all records")
def highest(model: Model, sequences: tuple[Codes, ...], both: bool, pad: bool) -> list[float | None]:
    """The highest score of each sequence; None where it is too short for the model and not to be filled up."""
    highest_scores: list[float | None] = []
    for codes in sequences:
        short = not pad and model.length is not None and len(codes) < model.length
        highest_scores.append(None if short else float(score(model, codes, both=both, pad=pad).scores.max()))
    return highest_scores


@remembered_model(max_entries=32, show_spinner="Trying every base change")
def changes(model: Model, codes: Codes, start: int, stop: int, both: bool) -> Mutagenesis:
    """Every base change between two places."""
    return mutagenesis(model, codes, start, stop, both)


@remembered_model(max_entries=16, show_spinner="Scoring the background")
def chance(model: Model, both: bool, shares: Shares | None) -> Background:
    """The sites that the model finds in simulated DNA with these shares of words; None: those of human DNA."""
    return background(model, both, shares)


@dataclass(frozen=True)
class ScoredVariants:
    """Variants with what they do: those with a score, the largest change first, then the others; notes on reading.

    `doubt` says that most do not fit the reference, "" where they do.
    """

    scored: list[Scored]
    unscored: list[Scored]
    notes: list[str]
    doubt: str


@remembered_model(max_entries=8, show_spinner="Scoring the variants")
def effects(
    model: Model,
    threshold: float,
    both: bool,
    identity: tuple[str, str],  # noqa: ARG001
    _calls: list[Call],
    _reference: Reference,
) -> ScoredVariants:
    """What variants do, by `identity` of the list and of the reference.

    Raises:
        ValueError: the reference has none of their chromosomes, or is damaged.
    """
    scorer = Scorer(model, _reference, threshold, both)
    results = list(scorer.effects(_calls))
    scorer.check_contigs()
    scored = [(call, effect) for call, effect in results if effect]
    scored.sort(key=lambda entry: -abs(entry[1].change))
    return ScoredVariants(list(scored), [entry for entry in results if not entry[1]], scorer.notes(), scorer.doubt)
