"""The table of called sites, linked to the profile: a row chosen here is shown there, a site clicked there here."""

import math
from typing import Any

import pandas as pd
import streamlit as st

from tfbind.meaning import Meaning
from tfbind.scoring import Model, Profile
from tfbind.sequences import Codes
from tfbind.sites import BACKGROUND_BASES, Hit, describe_sites, with_chance
from tfbind.tables import counted
from ui import scored
from ui.session import plain

Rows = list[dict[str, Any]]


def find_sites(codes: Codes, found: Profile, hits: list[Hit], threshold: float) -> Rows:
    """The called sites as rows of the table, strongest first."""
    return sorted(describe_sites(codes, found.scores, threshold, hits), key=lambda row: -row["score"])


def selected_site(rows: Rows) -> tuple[int, int] | None:
    """First and last base, 1-based, of the site whose row is selected."""
    state = st.session_state.get(_key(rows))
    chosen = state["selection"]["rows"] if state else []
    return (rows[chosen[0]]["start"], rows[chosen[0]]["end"]) if chosen and chosen[0] < len(rows) else None


def select_site(rows: Rows, position: int) -> None:
    """Select the row of the site that a 1-based position lies in; leave the selection if it lies in none."""
    for place, row in enumerate(rows):
        if row["start"] <= position <= row["end"]:
            _select(rows, [place])


def _select(rows: Rows, places: list[int]) -> None:
    st.session_state[_key(rows)] = {"selection": {"rows": places, "columns": [], "cells": []}}


def _key(rows: Rows) -> str:
    return f"sites-{hash(tuple((row['start'], row['end'], row['score']) for row in rows))}"


def draw_sites(rows: Rows, threshold: float, model: Model, both: bool) -> None:
    """Draw the table, or say that there is no site."""
    meaning = model.meaning
    if not rows:
        st.markdown(f"**No site** scores {threshold:g}{meaning.unit} or more in this sequence.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"**{counted(len(rows), 'site')}** of at least {threshold:g}{meaning.unit}, strongest first. "
            "Select a row to see it close."
        )
        if selected_site(rows):
            st.button("Show all", icon=":material/zoom_out_map:", on_click=_select, args=(rows, []))
    table = pd.DataFrame(with_chance(rows, scored.chance(model, threshold, both)))
    table["bases_per_site"] = [
        "never seen" if math.isinf(bases) else f"1 in {bases:,.0f} bases" for bases in table["bases_per_site"]
    ]
    st.dataframe(
        table,
        hide_index=True,
        key=_key(rows),
        on_select="rerun",
        selection_mode="single-row",
        height=min(35 * (len(rows) + 1) + 3, 280),
        alt="Called sites: place, strand, score, sequence, percentile and how often chance makes one",
        column_config=COLUMNS | _columns(meaning),
    )


def _columns(meaning: Meaning) -> dict[str, Any]:
    strand = f"Of the best match of the motif of {plain(meaning.factor)} in it; . means none."
    if meaning.scan is None:
        strand = "Not known: which motif is behind the data that the model was trained on is not known."
    score = st.column_config.NumberColumn("Score", help=f"In {plain(meaning.scale)}.", format="%.2f")
    return {"strand": st.column_config.TextColumn("Strand", help=strand), "score": score}


_BACKGROUND = f"{BACKGROUND_BASES:,} bases of simulated DNA of human composition, scored by the same model"
COLUMNS = {
    "start": st.column_config.NumberColumn("From", help="First base, counted from 1."),
    "end": st.column_config.NumberColumn("To", help="Last base, counted from 1."),
    "sequence": st.column_config.TextColumn("Sequence", width="medium"),
    "percentile": st.column_config.NumberColumn(
        "Percentile",
        help=f"Share of the sites in random DNA that score lower. Random DNA: {_BACKGROUND}.",
        format="%.1f",
    ),
    "bases_per_site": st.column_config.TextColumn(
        "By chance", help=f"How often random DNA has a site that strong. Random DNA: {_BACKGROUND}."
    ),
}
