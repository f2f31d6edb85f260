"""The seven steps of the lesson: each is a short text, something to do, and something to see."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from tfbind import runs, sweeps
from tfbind.compare import choose, headline, judge, verdict_lines
from tfbind.data import LENGTH, Windows, make_builtin
from tfbind.dna import Codes, decode, read_records, reverse_complement
from tfbind.motifs import jaspar_motif
from tfbind.runs import ACTIVE, RunRecord
from tfbind.scoring import SHIPPED, motif_hits, profile_figure
from tfbind.text import fixed
from ui import lesson
from ui.compare.select import show_comparison
from ui.predict.input import show_notes
from ui.sweep.monitor import live
from ui.train.science import chart_buttons
from ui.widgets import cache
from ui.widgets.cache import remembered
from ui.widgets.panels import poll
from ui.widgets.session import PREDICT_PAGE, TRAIN_PAGE, home, plain, run_action

NO_DIFFERENCE = "no difference"
GUESS = "guess"
LONGEST = 2_000  # bases of DNA to score


@dataclass(frozen=True)
class Step:
    """`draw` puts a step on the page and says whether it is done."""

    title: str
    draw: Callable[[], bool]


def _look_at_data() -> bool:
    st.markdown(
        "A **transcription factor** is a protein that binds DNA where it finds a certain short word, its *motif*. "
        "The built-in data are 12,000 windows of simulated DNA, 300 bases each, with a score at every base: high "
        "where a word like the motif of FOXA1 stands, 0 elsewhere. A model is to learn these scores from the "
        "letters alone, without being told the motif."
    )
    data = make_builtin(home())
    order = _strongest(data)
    number = int(st.number_input("Example", 1, len(order), 1, help="Windows of the data, the strongest first."))
    window = int(order[number - 1])
    st.plotly_chart(
        profile_figure(
            np.asarray(data.codes[window]),
            np.asarray(data.scores[window]),
            name="score to be learnt",
            target=SHIPPED,
        ),
        config=chart_buttons("window"),
        key="lesson-window",
        alt="The scores along one window of the data",
    )
    st.markdown(f"Under each raised stretch stands such a word. These are those of examples {number} and after:")
    words = [word for place in order[number - 1 : number + 7] for word in _words(np.asarray(data.codes[place]))]
    st.dataframe(pd.DataFrame(words), hide_index=True, height=248, alt="The words under the raised stretches")
    st.caption(
        "Read down the letters, of the strand on which the word stands: the words are alike, and the closer to "
        f"{jaspar_motif().consensus}, the higher the score."
    )
    return True


@remembered
def _strongest(data: Windows) -> NDArray[np.intp]:
    """The windows of a data set in order of their highest score."""
    return np.argsort(-np.asarray(data.scores).max(axis=1), kind="stable")


def _words(codes: Codes) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for hit in motif_hits(SHIPPED.scan, codes):
        word = codes[hit.start : hit.end]
        forward = word if hit.strand == "+" else reverse_complement(word)
        rows.append(
            {
                "Letters": decode(forward),
                "Strand": hit.strand,
                "From base": hit.start + 1,
                "Score": round(hit.score, 2),
            }
        )
    return rows


def _guess() -> bool:
    st.markdown(
        "Training shows the model some windows, compares its answer with the scores, and moves its "
        f"{lesson.parameters(LENGTH):,} numbers a little, again and again. How far it moves them each time is the "
        "**learning rate**. Soon you will train one small model with three of them, twice through the data. "
        "Held-out windows, which it never learns from, say how good it has become: Pearson r between predicted and "
        "true scores, where 1 is perfect."
    )
    options = [*(f"{rate:g}" for rate in lesson.RATES), NO_DIFFERENCE]
    saved = st.query_params.get(GUESS)
    guess = st.radio(
        "Which learning rate will be best?",
        options,
        index=options.index(saved) if saved in options else None,
        key="lesson-guess",
    )
    if guess:
        st.query_params[GUESS] = guess
    return guess is not None


def _race_rates() -> bool:
    st.markdown(
        f"Each rate is run {lesson.SEEDS} times, with other random starts: only so can you see how much of a "
        "difference is luck. The runs share the cores of this machine; a minute or two for all nine."
    )
    return _sweep(lesson.RATES_NAME, lesson.rates_sweep())


def _sweep(name: str, text: str) -> bool:
    """Start a sweep of the lesson and watch it; whether all its runs have ended."""
    sweep = lesson.newest(home(), name)
    if sweep is None:
        if st.button("Start the runs", type="primary", icon=":material/play_arrow:"):
            run_action(lambda: _submit(text))
        return False
    status = sweep.status()
    busy = status.active or any(run.state in ACTIVE for run in sweeps.run_records(sweep))
    poll(lambda: live(sweep, busy), busy)
    if busy:
        return False
    if status.state != "finished":
        if st.button("Go on with these runs", type="primary"):
            run_action(lambda: sweeps.resume(sweep))
        return False
    return True


def _submit(text: str) -> None:
    sweep = sweeps.create(home(), sweeps.parse_spec(text, lesson.BASE))
    sweep.spawn(sweeps.command(home(), sweep.id, lesson.BASE.dataset, lesson.PRESET))


def _all_records(name: str) -> list[RunRecord]:
    sweep = lesson.newest(home(), name)
    return sweeps.run_records(sweep) if sweep else []


def _finished_records(name: str) -> list[RunRecord]:
    return [run for run in _all_records(name) if run.state == "finished"]


def _verdict() -> bool:
    records = _finished_records(lesson.RATES_NAME)
    if not records:
        st.info("First run the race of the step before.")
        return False
    verdict = judge(_all_records(lesson.RATES_NAME), choose("val_pearsonr"))
    st.success(plain(_in_words(headline(verdict))), icon=":material/gavel:")
    _judge_guess(records)
    st.markdown(
        "A verdict is more than the highest number. It asks how far the same setting varies from seed to seed, and "
        "only calls a rate better when the difference is larger than that:"
    )
    for line in verdict_lines(verdict):
        st.markdown(f"- {plain(_in_words(line))}")
    sweep = lesson.newest(home(), lesson.RATES_NAME)
    assert sweep is not None
    if st.button("See all of it on the Compare page", icon=":material/compare_arrows:"):
        show_comparison(sweep.id)
    return True


def _in_words(verdict: str) -> str:
    """A verdict with names that the lesson has explained, and with capitals where its sentences begin."""
    text = verdict.replace("learning_rate", "learning rate")
    return re.sub(r"(^|\. )learning", r"\1Learning", text)


def _judge_guess(records: list[RunRecord]) -> None:
    guess = st.query_params.get(GUESS)
    figures = {run.config["learning_rate"]: _pearson(run) for run in records}
    best = max(figures, key=lambda rate: figures[rate])
    if guess:
        outcome = "and that is the one with the best run." if guess == f"{best:g}" else f"the best run had {best:g}."
        st.markdown(plain(f"Your guess was {guess}: {outcome}"))


def _pearson(run: RunRecord) -> float:
    best = runs.best_row(run.rows) or {}
    return float(best.get("val_pearsonr") or 0.0)


def _widen_kernel() -> bool:
    motif = jaspar_motif()
    narrow = lesson.reach(lesson.FIRST_KERNELS[0])
    st.markdown(
        f"Even the best of them stays far from 1, and no learning rate will change that. This model sees only "
        f"**{narrow} bases** around each position, its *receptive field*. The motif is {motif.width} bases wide, and "
        f"a base is scored when a match covers it, wherever in the match it lies: to know, a model has to see "
        f"{lesson.needed(motif.width)} bases. So widen its first kernel, and leave everything else as it is:"
    )
    st.dataframe(
        pd.DataFrame(
            {
                "First kernel": list(lesson.FIRST_KERNELS),
                "Receptive field (bases)": [lesson.reach(width) for width in lesson.FIRST_KERNELS],
            }
        ),
        hide_index=True,
        alt="The receptive field that goes with each first kernel",
    )
    return _sweep(lesson.KERNELS_NAME, lesson.kernels_sweep())


def _ceiling() -> bool:
    records = _finished_records(lesson.KERNELS_NAME)
    if not records:
        st.info("First run the models of the step before.")
        return False
    by_width = sorted(records, key=lambda run: run.config["first_kernel_size"])
    st.dataframe(
        pd.DataFrame(
            {
                "First kernel": [run.config["first_kernel_size"] for run in by_width],
                "Sees (bases)": [lesson.reach(run.config["first_kernel_size"]) for run in by_width],
                "Pearson r": [_pearson(run) for run in by_width],
            }
        ),
        hide_index=True,
        alt="Pearson r for each receptive field",
        column_config={
            "Pearson r": st.column_config.ProgressColumn(format="%.3f", min_value=0, max_value=1),
        },
    )
    first, last = by_width[0], by_width[-1]
    rates = [_pearson(run) for run in _finished_records(lesson.RATES_NAME)]
    best_rate = f"The best of all learning rates reached {max(rates):.3f}. " if rates else ""
    st.markdown(
        f"{best_rate}A wider view took the same training from {_pearson(first):.3f} to **{_pearson(last):.3f}**. The "
        "learning rate says how fast a model comes to its ceiling; what it can see decides where the ceiling is. "
        "Look for the ceiling before you tune."
    )
    return True


def _score() -> bool:
    finished = _finished_records(lesson.KERNELS_NAME)
    if not finished:
        st.info("First run the models of the step before the last.")
        return False
    best = max(finished, key=_pearson)
    st.markdown(
        f"Your best model, with a first kernel of {best.config['first_kernel_size']} bases, can now score any DNA. "
        f"Change a letter in the middle of the word {jaspar_motif().consensus}, and see the score fall."
    )
    # No `max_chars`: on a narrow screen its counter would lie on the letters. The reader says what is too long.
    text = st.text_input("DNA", _example(), key="lesson-dna")
    try:
        records = read_records(text, max_records=1, max_bases=LONGEST)
        codes = records[0].codes
        model = cache.open_model(home(), best.id)
        profile = cache.profile(model, codes, False, False)
    except ValueError as error:
        st.error(plain(str(error)))
        return True
    show_notes(records)
    st.plotly_chart(
        profile_figure(codes, profile.scores, name="predicted", target=SHIPPED),
        config=chart_buttons("profile"),
        key="lesson-profile",
        alt="The predicted scores along the DNA",
    )
    st.markdown(f"Highest score: **{fixed(float(profile.scores.max()), 1)}** nats above background.")
    st.success(
        "That was all of it: data, a guess, a race, a verdict that allows for luck, a ceiling and what moves it, and "
        "a model of your own that scores DNA."
    )
    with st.container(horizontal=True):
        st.page_link(PREDICT_PAGE, label="Score sequences of your own", icon=":material/genetics:")
        st.page_link(TRAIN_PAGE, label="Train a bigger model", icon=":material/model_training:")
    return True


def _example() -> str:
    return f"GCATCCGTAGCGCTCAGCTC{jaspar_motif().consensus}CTAGATCGCTGACCGGATCTCAGGC"


STEPS = (
    Step("Look at the data", _look_at_data),
    Step("Guess", _guess),
    Step("Run three learning rates", _race_rates),
    Step("Read the verdict", _verdict),
    Step("Widen the first kernel", _widen_kernel),
    Step("See the ceiling move", _ceiling),
    Step("Score a sequence", _score),
)
