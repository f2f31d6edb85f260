"""One scored sequence on the page: its profile and its table of sites, linked, and what a base change does."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from tfbind.data import word_shares
from tfbind.dna import Codes, Record, reverse_complement
from tfbind.metrics import pearson
from tfbind.scoring import (
    BACKGROUND_BASES,
    COMPARED,
    REVERSED,
    Hit,
    Line,
    Model,
    Mutagenesis,
    Profile,
    Scores,
    ScoreTarget,
    describe_sites,
    find_sites,
    find_window,
    motif_hits,
    mutagenesis_figure,
    profile_figure,
    with_chance,
)
from tfbind.store import plural
from tfbind.text import fixed
from tfbind.variants import EditedSequence, edits, effect_in_window
from ui.predict.changes import POSITION, changes_of, draw_changes, key, show_effect
from ui.predict.design import draw_design
from ui.predict.model import PAD, ModelChoice, Settings, padded, read_tick
from ui.predict.sequence import draw_sequence
from ui.train.science import chart_buttons
from ui.widgets import cache
from ui.widgets.panels import panel
from ui.widgets.session import home, plain

Rows = list[dict[str, Any]]
MAP_BASES = 60
LARGEST_PICTURE = 100_000
CALIBRATED = "band: holds the true score of nine bases in ten, measured on windows that the model had not learnt from"
BAND = "band: ± 1 sd, the spread (standard deviation) of the {} networks that are averaged"


def site_rows(codes: Codes, profile: Profile, hits: list[Hit], threshold: float) -> Rows:
    """The called sites as rows of the table, strongest first."""
    return sorted(describe_sites(codes, profile.scores, threshold, hits), key=lambda row: -row["score"])


def selected_site(rows: Rows) -> tuple[int, int] | None:
    """First and last base, 1-based, of the site whose row is selected."""
    state = st.session_state.get(_key(rows))
    selection = state["selection"]["rows"] if state else []
    if not selection or selection[0] >= len(rows):
        return None
    site = rows[selection[0]]
    return site["start"], site["end"]


def select_site(rows: Rows, position: int) -> None:
    """Select the row of the site that a 1-based position lies in; leave the selection if it lies in none."""
    for place, row in enumerate(rows):
        if row["start"] <= position <= row["end"]:
            _select(rows, [place])


def _select(rows: Rows, places: list[int]) -> None:
    st.session_state[_key(rows)] = {"selection": {"rows": places, "columns": [], "cells": []}}


def _key(rows: Rows) -> str:
    return f"sites-{hash(tuple((row['start'], row['end'], row['score']) for row in rows))}"


def draw_sites(rows: Rows, sequences: Sequence[Codes], pictured: bool, settings: Settings) -> None:
    """Draw the table, or say that there is no site.

    Args:
        rows: the sites.
        sequences: all that were read, whose composition a background may have.
        pictured: whether there is a picture of the sequence, which a selected row shows close.
        settings: the model, and how it scores.
    """
    model, threshold, target = settings.model, settings.threshold, settings.model.target
    if not rows:
        st.markdown(f"**No site** scores {threshold:g}{target.unit} or more in this sequence.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"**{plural(len(rows), 'site')}** of at least {threshold:g}{target.unit}, strongest first."
            + (" Select a row to see it close." if pictured else "")
        )
        if selected_site(rows):
            st.button("Show all", icon=":material/zoom_out_map:", on_click=_select, args=(rows, []))
    dna = st.selectbox("By chance: sites in", DNA, key="chance-dna", width=320)
    shares = word_shares(sequences) if dna == OWN_DNA else None
    st.dataframe(
        pd.DataFrame(with_chance(rows, cache.chance(model, settings.both, shares))),
        hide_index=True,
        key=_key(rows),
        on_select="rerun",
        selection_mode="single-row",
        height=min(35 * (len(rows) + 1) + 3, 280),
        alt="Called sites: place, strand, score, sequence, percentile and how often chance makes one",
        column_config=COLUMNS | _columns(target),
    )


def _columns(target: ScoreTarget) -> dict[str, Any]:
    strand = f"Of the match of the motif of {plain(target.factor)}; . where the score rises without one."
    if target.scan is None:
        strand = "Not known: which motif is behind the data that the model was trained on is not known."
    score = st.column_config.NumberColumn("Score", help=f"In {plain(target.scale)}.", format="%.2f")
    return {"strand": st.column_config.TextColumn("Strand", help=strand), "score": score}


OWN_DNA = "simulated DNA of your composition"
DNA = ["simulated human DNA", OWN_DNA]
_BACKGROUND = f"{BACKGROUND_BASES:,} bases that have words of 6 as often as human DNA, or as yours where it is long"
COLUMNS = {
    "start": st.column_config.NumberColumn("From", help="First base, counted from 1."),
    "end": st.column_config.NumberColumn("To", help="Last base, counted from 1."),
    "sequence": st.column_config.TextColumn("Sequence", width="medium"),
    "percentile": st.column_config.NumberColumn(
        "Percentile",
        help="Share that scores lower of the sites in simulated DNA that reach the model's own threshold, whatever "
        f"threshold is set here. Simulated: {_BACKGROUND}.",
        format="%.1f",
    ),
    "by_chance": st.column_config.TextColumn(
        "By chance", help=f"How often simulated DNA has a site that strong. Simulated: {_BACKGROUND}."
    ),
}


def sequence_view(
    record: Record, records: Sequence[Record], settings: Settings, open_record: Callable[[Record], None]
) -> None:
    """Draw a scored record; with changes, the changed sequence lies over the original.

    Args:
        records: all that were read; a typed variant may be meant for another than the one that is open.
        open_record: shows another record.
    """
    changes = changes_of(record)
    edited = edits.edit(record.codes, changes)
    _draw_padding(settings, min(len(edited.codes), *(len(other.codes) for other in (record, *records))))
    try:
        profile = _score(settings.model, edited.codes, settings.both)
        original = _score(settings.model, record.codes, settings.both) if changes else None
    except ValueError as error:
        st.error(str(error))
        draw_changes(record, edited, records, open_record)
        return
    hits = motif_hits(settings.model.target.scan, edited.codes)
    rows = site_rows(edited.codes, profile, hits, settings.threshold)
    if original:
        with panel("effect"):
            _draw_effect(record, edited, original, profile, settings)
    with panel("profile"):
        _draw_profile(record, edited, profile, original, hits, rows, settings)
    with panel("letters"):
        draw_sequence(
            record,
            edited,
            rows,
            selected_site(rows),
            changes,
            settings.model.target.unit,
            lambda place: _go_to(rows, place),
        )
    with panel("sites"):
        pictured = len(edited.codes) <= LARGEST_PICTURE
        draw_sites(rows, [other.codes for other in (records or [record])], pictured, settings)
    with panel("changes"):
        draw_changes(record, edited, records, open_record)
    with panel("design"):
        draw_design(record, edited.codes, selected_site(rows), settings)
    with panel("map of base changes"):
        _draw_map(settings.model, edited.codes, profile, selected_site(rows), settings.both)


def _draw_padding(settings: Settings, bases: int) -> None:
    lengths = {choice.model.length for choice in (settings.main, settings.other) if choice}
    needed = [length for length in lengths if length is not None and length > bases]
    if needed:
        label = f"Fill up with N to the {max(needed)} bases that a model here needs"
        st.checkbox(label, PAD.restore(read_tick), key=PAD.key)
        PAD.keep()


def _score(model: Model, codes: Codes, both: bool) -> Profile:
    return cache.profile(model, codes, both, padded())


def _draw_effect(
    record: Record, edited: EditedSequence, original: Profile, profile: Profile, settings: Settings
) -> None:
    """What the changes do: the same number, sites and words as in a list of variants."""
    window_effect = effect_in_window(settings.model, record.codes, edited, settings.threshold, settings.both)
    show_effect(
        window_effect or edits.effect(original.scores, profile.scores, edited, settings.threshold),
        settings.model.target.unit,
    )
    if window_effect and settings.model.length and len(record.codes) > settings.model.length:
        st.caption(f"Of the change in the middle of one window of {settings.model.length} bases.")


def _draw_profile(
    record: Record,
    edited: EditedSequence,
    profile: Profile,
    original: Profile | None,
    hits: list[Hit],
    rows: Rows,
    settings: Settings,
) -> None:
    if len(edited.codes) > LARGEST_PICTURE:
        st.info(
            f"A picture is drawn up to {LARGEST_PICTURE:,} bases; this record has {len(edited.codes):,}. Its sites:"
        )
        return
    bands = None if settings.both else settings.model.target.bands
    words = _profile_notes(settings.model, profile, bands is not None)
    lines = [Line("original", edited.aligned(original.scores))] if original else []
    if not original:
        lines += _observed_line(record, profile, words)
    if settings.reverse:
        lines.append(Line("other strand", _reverse(settings.model, edited.codes), REVERSED))
    if settings.other:
        lines += _comparison_line(settings.other, edited.codes, profile, settings.both, words)
    site = selected_site(rows)
    name = "changed" if original else "predicted"
    chart = f"profile-{key(record)}"
    st.plotly_chart(
        _profile_figure(
            edited.codes,
            profile.scores,
            name=f"{name}: {settings.main.label}" if settings.other else name,
            spread=profile.spread,
            band=bands.around(profile.scores, 0, len(profile.scores)) if bands else None,
            lines=lines,
            sites=find_sites(profile.scores, settings.threshold, hits),
            hits=hits,
            shaded=settings.model.reach if settings.model.length is None else 0,
            focus=site and (site[0] - 1, site[1]),
            target=settings.model.target,
        ),
        key=chart,
        config=chart_buttons("profile"),
        on_select=lambda: _select_clicked(chart, rows),
        selection_mode="points",
        alt="Predicted binding score at each base of the sequence, with called sites and known motif matches",
    )
    st.caption(plain(" · ".join(words)))


@cache.drawn_once
def _profile_figure(codes: Codes, scores: Scores, **options: Any) -> go.Figure:
    return profile_figure(codes, scores, **options)


def _profile_notes(model: Model, profile: Profile, calibrated: bool) -> list[str]:
    """How the sequence was scored, and what the band is, in words."""
    if calibrated:
        return [*_scoring_notes(model, profile), CALIBRATED]
    return [*_scoring_notes(model, profile), *([] if profile.spread is None else [BAND.format(len(model.members))])]


def _scoring_notes(model: Model, profile: Profile) -> list[str]:
    if model.length is None:
        shaded = f"shaded: the {model.reach} bases at each end, which the model sees only half of"
        return [profile.rule, *([shaded] if len(profile.scores) > 2 * model.reach else [])]
    if profile.change is not None:
        change = f"between its two tiles a base's score changes by up to {fixed(float(np.nanmax(profile.change)), 2)}"
        return [profile.rule, change]
    return [profile.rule]


def _observed_line(record: Record, profile: Profile, words: list[str]) -> list[Line]:
    """The scores that a data set on disk has for this record."""
    try:
        window = find_window(home(), record.name, record.codes)
    except (ValueError, OSError) as error:
        words.append(f"no observed scores: {error}")
        return []
    if window is None:
        return []
    if not window.same:
        words.append(f"data set {window.dataset} has a window of this name, but with other letters")
        return []
    words.append(f"observed: data set {window.dataset}, {_agreement(profile.scores, window.scores)}")
    return [Line("observed", window.scores)]


def _agreement(left: np.ndarray, right: np.ndarray) -> str:
    r = pearson(left, right)
    return "Pearson undefined, since one of the two is constant" if r is None else f"Pearson {r:.3f} in this sequence"


def _reverse(model: Model, codes: Codes) -> np.ndarray:
    return _score(model, reverse_complement(codes), False).scores[::-1]


def _comparison_line(other: ModelChoice, codes: Codes, profile: Profile, both: bool, words: list[str]) -> list[Line]:
    """The profile of the model that is compared with."""
    try:
        scores = _score(other.model, codes, both).scores
    except ValueError as error:
        words.append(f"{other.label} is not drawn: {error}")
        return []
    words.append(f"the two models: {_agreement(profile.scores, scores)}")
    return [Line(other.label, scores, COMPARED)]


def _select_clicked(chart: str, rows: Rows) -> None:
    for point in st.session_state[chart]["selection"]["points"][:1]:
        _go_to(rows, round(point["x"]))


def _go_to(rows: Rows, position: int) -> None:
    st.session_state[POSITION] = position
    select_site(rows, position)


@cache.drawn_once
def _map_figure(changed: Mutagenesis, target: ScoreTarget) -> go.Figure:
    return mutagenesis_figure(changed, target)


def _draw_map(model: Model, codes: Codes, profile: Profile, site: tuple[int, int] | None, both: bool) -> None:
    st.subheader("What every base change would do", anchor=False)
    if model.length is not None and len(codes) < model.length:
        st.caption("Not for a sequence that was filled up with N.")
        return
    middle = sum(site) // 2 - 1 if site else int(profile.scores.argmax())
    first = max(0, min(middle - MAP_BASES // 2, len(codes) - MAP_BASES))
    if len(codes) > MAP_BASES:
        first = st.slider("From base", 1, len(codes) - MAP_BASES + 1, first + 1, key=f"map-{len(codes)}-{middle}") - 1
    changed = cache.changes(model, codes, first, min(first + MAP_BASES, len(codes)), both)
    st.plotly_chart(
        _map_figure(changed, model.target),
        config=chart_buttons("base-changes"),
        key="map",
        alt="Contribution of each base as letters, and the effect of every base change as a heat map",
    )
    st.caption(
        "Letters: what the base that is there adds to the score of its surroundings. Below: what changing it to "
        "another would do, red up, blue down, summed over the bases within reach; dots mark the base that is there."
    )
