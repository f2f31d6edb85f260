"""One scored sequence on the page: its profile, its sites, what a base change does, and a changed copy."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from tfbind import edits
from tfbind.edits import Edited
from tfbind.interpret import Mutagenesis
from tfbind.meaning import Meaning
from tfbind.metrics import pearson
from tfbind.numbers import fixed
from tfbind.observed import find_window
from tfbind.records import Record
from tfbind.scoring import Model, Profile, Scores, call_sites
from tfbind.sequence_plots import COMPARED, REVERSED, Line, mutagenesis_figure, profile_figure
from tfbind.sequences import Codes, reverse_complement
from tfbind.sites import Hit, motif_hits
from tfbind.vcf_effects import effect_in_window
from ui import scored
from ui.model_choice import PAD, Choice, Settings, padded, read_tick
from ui.results import chart_buttons
from ui.sequence_changes import POSITION, changes_of, draw_changes, key, show_effect
from ui.session import home, plain
from ui.sites_table import Rows, draw_sites, find_sites, select_site, selected_site

MAP_BASES = 60
LARGEST_PICTURE = 100_000
BAND = "band: ± 1 sd, the spread (standard deviation) of the {} networks that are averaged"


def sequence_view(
    record: Record, records: Sequence[Record], how: Settings, open_record: Callable[[Record], None]
) -> None:
    """Draw a scored record; with changes, the changed sequence lies over the original.

    Args:
        records: all that were read; a typed variant may be meant for another than the one that is open.
        open_record: shows another record.
    """
    made = changes_of(record)
    edited = edits.edit(record.codes, made)
    _draw_padding(how, min(len(edited.codes), *(len(one.codes) for one in (record, *records))))
    try:
        found = _score(how.model, edited.codes, how.both)
        original = _score(how.model, record.codes, how.both) if made else None
    except ValueError as error:
        st.error(str(error))
        draw_changes(record, edited, records, open_record)
        return
    hits = motif_hits(how.model.meaning.scan, edited.codes)
    rows = find_sites(edited.codes, found, hits, how.threshold)
    if original:
        _draw_effect(record, edited, original, found, how)
    _draw_profile(record, edited, found, original, hits, rows, how)
    draw_sites(rows, how.threshold, how.model, how.both)
    draw_changes(record, edited, records, open_record)
    _draw_map(how.model, edited.codes, found, how.both)


def _draw_padding(how: Settings, bases: int) -> None:
    lengths = {choice.model.length for choice in (how.main, how.other) if choice}
    needed = [length for length in lengths if length is not None and length > bases]
    if needed:
        label = f"Fill up with N to the {max(needed)} bases that a model here needs"
        st.checkbox(label, PAD.restore(read_tick), key=PAD.key)
        PAD.keep()


def _score(model: Model, codes: Codes, both: bool) -> Profile:
    return scored.profile(model, codes.tobytes(), both, padded())


def _draw_effect(record: Record, edited: Edited, original: Profile, found: Profile, how: Settings) -> None:
    """What the changes do: the same number, sites and words as in a list of variants."""
    seen = effect_in_window(how.model, record.codes, edited, how.threshold, how.both)
    show_effect(seen or edits.effect(original.scores, found.scores, edited, how.threshold), how.model.meaning.unit)
    if seen and how.model.length and len(record.codes) > how.model.length:
        st.caption(f"Of the change in the middle of one window of {how.model.length} bases.")


def _draw_profile(
    record: Record,
    edited: Edited,
    found: Profile,
    original: Profile | None,
    hits: list[Hit],
    rows: Rows,
    how: Settings,
) -> None:
    if len(edited.codes) > LARGEST_PICTURE:
        st.info(
            f"A picture is drawn up to {LARGEST_PICTURE:,} bases; this record has {len(edited.codes):,}. Its sites:"
        )
        return
    words = _rule(how.model, found)
    lines = [Line("original", edited.aligned(original.scores))] if original else []
    if not original:
        lines += _observed(record, found, words)
    if how.reverse:
        lines.append(Line("other strand", _reverse(how.model, edited.codes), REVERSED))
    if how.other:
        lines += _other(how.other, edited.codes, found, how.both, words)
    site = selected_site(rows)
    name = "changed" if original else "predicted"
    chart = f"profile-{key(record)}"
    st.plotly_chart(
        _profile_figure(
            edited.codes,
            found.scores,
            name=f"{name}: {how.main.label}" if how.other else name,
            spread=found.spread,
            lines=lines,
            sites=call_sites(found.scores, how.threshold),
            hits=hits,
            shaded=how.model.reach if how.model.length is None else 0,
            focus=site and (site[0] - 1, site[1]),
            meaning=how.model.meaning,
        ),
        key=chart,
        config=chart_buttons("profile"),
        on_select=lambda: _take_click(chart, rows),
        selection_mode="points",
        alt="Predicted binding score at each base of the sequence, with called sites and known motif matches",
    )
    st.caption(plain(" · ".join(words)))


@scored.drawn_once
def _profile_figure(codes: Codes, scores: Scores, **how: Any) -> go.Figure:
    return profile_figure(codes, scores, **how)


def _rule(model: Model, found: Profile) -> list[str]:
    """How the sequence was scored, and what the band is, in words."""
    return [*_scored(model, found), *([] if found.spread is None else [BAND.format(len(model.members))])]


def _scored(model: Model, found: Profile) -> list[str]:
    if model.length is None:
        shaded = f"shaded: the {model.reach} bases at each end, which the model sees only half of"
        return [found.rule, *([shaded] if len(found.scores) > 2 * model.reach else [])]
    if found.change is not None:
        change = f"between its two tiles a base's score changes by up to {fixed(float(np.nanmax(found.change)), 2)}"
        return [found.rule, change]
    return [found.rule]


def _observed(record: Record, found: Profile, words: list[str]) -> list[Line]:
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
    words.append(f"observed: data set {window.dataset}, {_agreement(found.scores, window.scores)}")
    return [Line("observed", window.scores)]


def _agreement(left: np.ndarray, right: np.ndarray) -> str:
    r = pearson(left, right)
    return "Pearson undefined, since one of the two is constant" if r is None else f"Pearson {r:.3f} in this sequence"


def _reverse(model: Model, codes: Codes) -> np.ndarray:
    return _score(model, reverse_complement(codes), False).scores[::-1]


def _other(other: Choice, codes: Codes, found: Profile, both: bool, words: list[str]) -> list[Line]:
    """The profile of the model that is compared with."""
    try:
        scores = _score(other.model, codes, both).scores
    except ValueError as error:
        words.append(f"{other.label} is not drawn: {error}")
        return []
    words.append(f"the two models: {_agreement(found.scores, scores)}")
    return [Line(other.label, scores, COMPARED)]


def _take_click(chart: str, rows: Rows) -> None:
    for point in st.session_state[chart]["selection"]["points"][:1]:
        position = round(point["x"])
        st.session_state[POSITION] = position
        select_site(rows, position)


@scored.drawn_once
def _map_figure(changed: Mutagenesis, meaning: Meaning) -> go.Figure:
    return mutagenesis_figure(changed, meaning)


def _draw_map(model: Model, codes: Codes, found: Profile, both: bool) -> None:
    st.subheader("What every base change would do", anchor=False)
    if model.length is not None and len(codes) < model.length:
        st.caption("Not for a sequence that was filled up with N.")
        return
    middle = int(found.scores.argmax())
    first = max(0, min(middle - MAP_BASES // 2, len(codes) - MAP_BASES))
    if len(codes) > MAP_BASES:
        first = st.slider("From base", 1, len(codes) - MAP_BASES + 1, first + 1, key=f"map-{len(codes)}-{middle}") - 1
    changed = scored.changes(model, codes.tobytes(), first, min(first + MAP_BASES, len(codes)), both)
    st.plotly_chart(
        _map_figure(changed, model.meaning),
        config=chart_buttons("base-changes"),
        key="map",
        alt="Contribution of each base as letters, and the effect of every base change as a heat map",
    )
    st.caption(
        "Letters: what the base that is there adds to the score of its surroundings. Below: what changing it to "
        "another would do, red up, blue down, summed over the bases within reach; dots mark the base that is there."
    )
