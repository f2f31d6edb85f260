"""One data set: what it holds, the motif behind its scores, and what can be done with it."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import streamlit as st

from tfbind import runs
from tfbind.data import BUILTIN, Windows, constant_score, constant_score_message, manage, plots, remarks
from tfbind.motifs import FEWEST_WINDOWS, DiscoveredMotif, discover_motif, motif_logo
from ui.train.form import choose_dataset
from ui.widgets.cache import remembered
from ui.widgets.command import command
from ui.widgets.disk import TO_TRASH
from ui.widgets.panels import panel
from ui.widgets.session import TRAIN_PAGE, home, plain, run_action

ORIGINS = {
    "simulation": "simulated, with a real motif",
    "pair": "imported from two files",
    "motif": "built from a genome and a motif",
    "signal": "built from a genome, a signal and regions",
}
SEARCH_SECONDS = 600
MADE = 0.9  # the share of the variance that a motif scan has to explain to be said to have made the scores
TABS = "data-tabs"


def origin(data: Windows) -> str:
    """Where a data set came from, in words."""
    kind = str(data.meta["origin"]["kind"])
    return ORIGINS.get(kind, kind)


def detail(data: Windows) -> None:
    """Draw everything about a data set."""
    st.subheader(plain(data.name), anchor=False)
    if (constant := constant_score(data.scores)) is not None:
        st.warning(plain(f"In these windows {constant_score_message(constant)}."))
    with panel("figures"):
        _figures(data)
    with panel("buttons"):
        _actions(data)
    tabs = {"Scores": _scores, "Windows": _windows, "Motif behind the scores": _motif, "Report": _report}
    # Only what is looked at is computed: a motif takes seconds to read off, and any press of a button runs the page.
    for tab, (name, draw) in zip(st.tabs(list(tabs), key=TABS, on_change="rerun"), tabs.items(), strict=True):
        if tab.open:
            with tab, panel(name):
                draw(data)


def _scores(data: Windows) -> None:
    st.caption("Scores other than 0.")
    st.plotly_chart(plots.score_histogram(data), key="score-histogram", alt="How often which score occurs")
    st.plotly_chart(plots.gc_histogram(data), key="gc-histogram", alt="Windows by their share of G and C")


def _figures(data: Windows) -> None:
    facts = data.meta
    size = sum(path.stat().st_size for path in data.path.iterdir())
    figures = {
        "Windows": (f"{len(data):,}", None),
        "Bases per window": (f"{data.length:,}", None),
        "Scored bases": (f"{facts['scored']:.1%}", "Bases whose score is not 0."),
        "G and C": (f"{_gc(data):.1%}", "Of all known bases."),
        "On disk": (f"{size / 1e6:,.1f} MB", None),
    }
    with st.container(horizontal=True, gap="medium"):
        for label, (value, help_text) in figures.items():
            st.metric(label, value, help=help_text, width="content")
    st.caption(f"{origin(data).capitalize()} · {plain(str(facts['created'])[:10])} · hash {data.hash[:16]}")


@remembered
def _gc(data: Windows) -> float:
    letters = data.meta["letters"]
    total = sum(letters[base] for base in "ACGT")
    return (letters["G"] + letters["C"]) / total if total else 0.0


def _actions(data: Windows) -> None:
    with st.container(horizontal=True):
        if st.button("Train on it", type="primary", icon=":material/model_training:", key="train-on"):
            choose_dataset(data.name)
            st.switch_page(TRAIN_PAGE)
        with st.popover("Export", icon=":material/download:"):
            st.caption("The course's pair of files. Importing them gives the same data.")
            _download(data, "Sequences", manage.SEQUENCES, manage.sequence_lines)
            _download(data, "Scores", manage.SCORES, manage.score_lines)
        if data.name != BUILTIN:
            with st.popover("Rename", icon=":material/edit:"):
                new_name = st.text_input("New name", data.name, max_chars=80, key=f"rename-{data.name}").strip()
                st.caption("Runs know their data by content, and find them under the new name, too.")
                if st.button("Rename", key="rename") and new_name != data.name:
                    run_action(
                        lambda: manage.rename(home(), data.name, new_name, runs.active_on), lambda: _open(new_name)
                    )
        with st.popover("Delete", icon=":material/delete:"):
            st.caption(TO_TRASH)
            if st.button("Move to trash", key="delete-data"):
                run_action(lambda: manage.delete(home(), data.name, runs.active_on), lambda: _open(None))


def _download(data: Windows, label: str, name: str, lines: Callable[[Windows], Any]) -> None:
    st.download_button(
        label,
        data=lambda: b"".join(manage.gzip_lines(lines(data))),
        file_name=name.format(data.name),
        on_click="ignore",
        key=f"export-{label}",
    )


def _open(name: str | None) -> None:
    """Put a data set into the address, None for none."""
    st.query_params.pop("data", None)
    if name:
        st.query_params["data"] = name


def _windows(data: Windows) -> None:
    coverage = plots.coverage_figure(data)
    if coverage:
        st.caption("Where the windows lie. Empty stretches are gaps.")
        st.plotly_chart(coverage, key="coverage", alt="Windows along each chromosome")
    for kind, place in _examples(data).items():
        name = data.names[place].decode(errors="replace")
        st.caption(f"{kind}: {plain(name)}")
        st.plotly_chart(plots.window_figure(data.scores[place]), key=f"window-{kind}", alt=f"Scores along {name}")


@remembered
def _examples(data: Windows) -> dict[str, int]:
    order = np.argsort(data.scores.mean(axis=1), kind="stable")
    return {"Highest scores": int(order[-1]), "Typical": int(order[len(order) // 2]), "Lowest": int(order[0])}


@remembered
def _discovered(data: Windows) -> DiscoveredMotif | None:
    return discover_motif(data)


def _motif(data: Windows) -> None:
    with st.spinner("Reading the motif off the scores"):
        discovered = _discovered(data)
    if discovered is None:
        reason = f" A search needs at least {FEWEST_WINDOWS} windows." if len(data) < FEWEST_WINDOWS else ""
        st.caption(f"No motif was found behind these scores: none explains more than shuffled scores do.{reason}")
        return
    st.plotly_chart(
        motif_logo(discovered.motif), key="motif-logo", alt=f"Sequence logo of {discovered.motif.consensus}"
    )
    st.markdown(_describe(discovered))
    st.caption("The reverse complement says the same: scores do not tell the strand of a motif.")
    _nearest(data)


def _describe(discovered: DiscoveredMotif) -> str:
    """What a motif has to do with the scores, in Markdown."""
    explains = f"explains **{discovered.explained:.1%}**"
    if discovered.how == "enriched":
        return (
            f"**Enriched under high scores**, in {discovered.hits:,} windows. Its best match {explains} of how the "
            "windows' mean scores differ."
        )
    if discovered.how == "marked":
        return (
            f"**The scored stretches share one motif**, counted from the letters of {discovered.hits:,} of them. "
            f"Where it occurs {explains} of the variance of the scores. The exact weights of a scan cannot be read "
            "off."
        )
    hits = f"{discovered.hits:,} hits of at least {discovered.threshold:.2f} nats"
    read_off = f"This matrix, read off {hits}, {explains} of"
    if discovered.explained < MADE or discovered.agreement is None:
        return f"**A motif scan made a part of these scores.** {read_off} their variance; the rest is not its work."
    return (
        f"**A motif scan made these scores.** {read_off} their variance. Without the last "
        f"{discovered.motif.width - 1} bases, where hits across the edge show a part only, "
        f"{_share(discovered.agreement.exact)} of the windows are exactly what it gives.{_unit(discovered)} A model "
        "that learns them has learnt this matrix, not what happens in a cell."
    )


def _share(share: float) -> str:
    """A share in percent, rounded to 100 where it is 1 only."""
    return f"{math.floor(1000 * share) / 10:.1f}%"


def _unit(discovered: DiscoveredMotif) -> str:
    """In which unit scores are, unless it is nats."""
    if discovered.base == 0 and discovered.scale == 1:
        return ""
    offset = f", {'plus' if discovered.base > 0 else 'minus'} {abs(discovered.base):.4g}" if discovered.base else ""
    return f" A score is {discovered.scale:.4g} times nats{offset}."


def _nearest(data: Windows) -> None:
    key = f"nearest-{data.hash}"
    if not st.session_state.get(key):
        st.button(
            "Find it in JASPAR", icon=":material/search:", on_click=st.session_state.update, args=({key: True},)
        )
        return
    with st.spinner("Comparing with 1,019 motifs; the first time on a machine takes a minute or two"):
        matches = _search_jaspar(data)
    rows = [
        {"Motif": match["name"], "JASPAR": match["matrix_id"], "E-value": f"{match['e_value']:.1g}"}
        for match in matches
    ]
    st.dataframe(rows, hide_index=True, width="content", alt="The nearest motifs of JASPAR")
    st.caption("E-value: how many motifs of JASPAR would come as close by chance (TOMTOM).")


@remembered
def _search_jaspar(data: Windows) -> list[dict[str, Any]]:
    """Ask a process of its own, since what compares motifs takes seconds to import."""
    answer = command("data", "motif", str(data.path), "--json", seconds=SEARCH_SECONDS)
    matches: list[dict[str, Any]] = json.loads(answer)["nearest"]
    return matches


def _report(data: Windows) -> None:
    facts = data.meta
    letters = ", ".join(f"{count:,} {letter}" for letter, count in facts["letters"].items() if count)
    lines = [
        "Every window has a sequence and a score for each base, all letters are A, C, G, T or N, all scores finite.",
        f"Letters: {letters}.",
        f"Coordinates in the names: {facts['coordinates'] or 'none'}.",
        *facts["notes"],
        *remarks(facts["origin"]),
    ]
    st.markdown("\n".join(f"- {plain(line)}" for line in lines))
    st.caption("Where it came from")
    st.json({key: value for key, value in facts["origin"].items() if key != "matrix"})
    st.caption("SHA-256 of names, codes and scores")
    st.code(data.hash, language=None)
