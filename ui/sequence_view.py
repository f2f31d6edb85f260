"""One scored sequence on the page: its profile, its sites, what a base change does, and an edited copy."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from tfbind import edits
from tfbind.edits import Edited
from tfbind.records import Record
from tfbind.scoring import Model, Profile, call_sites
from tfbind.sequence_plots import REVERSED, Line, mutagenesis_figure, profile_figure
from tfbind.sequences import Codes, reverse_complement
from tfbind.sites import Hit, describe_sites, motif_hits
from ui import scored
from ui.results import CHART
from ui.sequence_changes import POSITION, changes_of, draw_changes, key, show_effect

MAP_BASES = 60
LARGEST_PICTURE = 100_000


def sequence_view(
    record: Record,
    records: Sequence[Record],
    model: Model,
    *,
    both: bool,
    threshold: float,
    open_record: Callable[[Record], None],
) -> None:
    """Draw a record scored by a model; with changes, the changed sequence lies over the original."""
    made = changes_of(record)
    edited = edits.edit(record.codes, made)
    try:
        found = _score(model, edited.codes, both)
        original = _score(model, record.codes, both) if made else None
    except ValueError as error:
        st.error(str(error))
        draw_changes(record, edited, records, open_record)
        return
    motif, motif_threshold = scored.known_motif()
    hits = motif_hits(motif, edited.codes, motif_threshold)
    if original:
        show_effect(original, found, edited, threshold)
    _draw_profile(record, model, edited, found, original, hits, threshold)
    _draw_sites(model, edited.codes, found, hits, threshold)
    draw_changes(record, edited, records, open_record)
    _draw_map(model, edited.codes, found)


def _score(model: Model, codes: Codes, both: bool) -> Profile:
    pad = bool(st.session_state.get("pad"))
    if model.length is not None and len(codes) < model.length:
        st.checkbox(f"Fill up with N to the {model.length} bases that this model needs", key="pad")
    return scored.profile(model, codes.tobytes(), both, pad)


def _draw_profile(
    record: Record,
    model: Model,
    edited: Edited,
    found: Profile,
    original: Profile | None,
    hits: list[Hit],
    threshold: float,
) -> None:
    codes = edited.codes
    lines = [Line("original", edited.aligned(original.scores))] if original else []
    if st.session_state.get("show-reverse"):
        backward = scored.profile(
            model, reverse_complement(codes).tobytes(), False, bool(st.session_state.get("pad"))
        )
        lines.append(Line("other strand", backward.scores[::-1], REVERSED))
    if len(codes) > LARGEST_PICTURE:
        st.info(f"A picture is drawn up to {LARGEST_PICTURE:,} bases; this record has {len(codes):,}. Its sites:")
        return
    figure = profile_figure(
        codes,
        found.scores,
        name="changed" if original else "predicted",
        spread=found.spread,
        lines=lines,
        sites=call_sites(found.scores, threshold),
        hits=hits,
        shaded=model.reach if model.length is None else 0,
    )
    chart = f"profile-{key(record)}"
    st.plotly_chart(
        figure,
        key=chart,
        config=CHART,
        on_select=lambda: _take_click(chart),
        selection_mode="points",
        alt="Predicted binding score at each base of the sequence, with called sites and known motif matches",
    )
    words = [found.rule]
    if model.length is None:
        words.append(f"shaded: the {model.reach} bases at each end, which the model sees only half of")
    elif found.change is not None and np.isfinite(found.change).any():
        words.append(f"between its two tiles a base's score changes by up to {np.nanmax(found.change):.2f}")
    st.caption(" · ".join(words))


def _take_click(chart: str) -> None:
    for point in st.session_state[chart]["selection"]["points"][:1]:
        st.session_state[POSITION] = round(point["x"])


def _draw_sites(model: Model, codes: Codes, found: Profile, hits: list[Hit], threshold: float) -> None:
    rows = describe_sites(codes, found.scores, threshold, hits, scored.chance(model, threshold))
    if not rows:
        st.markdown(f"**No site** scores {threshold:g} nats or more in this sequence.")
        return
    table = pd.DataFrame(rows).sort_values("score", ascending=False)
    table["bases_per_site"] = [
        "never seen" if math.isinf(bases) else f"1 in {bases:,.0f} bases" for bases in table["bases_per_site"]
    ]
    st.markdown(f"**{len(rows)} site{'s' * (len(rows) != 1)}** of at least {threshold:g} nats, strongest first")
    st.dataframe(
        table,
        hide_index=True,
        key="sites",
        height=min(35 * (len(rows) + 1) + 3, 280),
        alt="Called sites: place, strand, score, sequence, percentile and how often chance makes one",
        column_config={
            "start": st.column_config.NumberColumn("From", help="First base, counted from 1."),
            "end": st.column_config.NumberColumn("To", help="Last base, counted from 1."),
            "strand": st.column_config.TextColumn(
                "Strand", help="Of the best FOXA1 motif match in it; . means none."
            ),
            "score": st.column_config.NumberColumn("Score (nats)", format="%.2f"),
            "sequence": st.column_config.TextColumn("Sequence", width="medium"),
            "percentile": st.column_config.NumberColumn(
                "Percentile", help="Share of the sites in random DNA that score lower.", format="%.1f"
            ),
            "bases_per_site": st.column_config.TextColumn(
                "By chance", help="How often simulated DNA of human composition has a site that strong."
            ),
        },
    )


def _draw_map(model: Model, codes: Codes, found: Profile) -> None:
    st.subheader("What every base change would do", anchor=False)
    if model.length is not None and len(codes) < model.length:
        st.caption("Not for a sequence that was filled up with N.")
        return
    middle = int(found.scores.argmax())
    first = max(0, min(middle - MAP_BASES // 2, len(codes) - MAP_BASES))
    if len(codes) > MAP_BASES:
        first = st.slider("From base", 1, len(codes) - MAP_BASES + 1, first + 1, key=f"map-{len(codes)}-{middle}") - 1
    changed = scored.changes(model, codes.tobytes(), first, min(first + MAP_BASES, len(codes)))
    st.plotly_chart(
        mutagenesis_figure(changed),
        config=CHART,
        key="map",
        alt="Contribution of each base as letters, and the effect of every base change as a heat map",
    )
    st.caption(
        "Letters: what the base that is there adds to the score of its surroundings. Below: what changing it to "
        "another would do, red up, blue down, summed over the bases within reach; dots mark the base that is there."
    )
