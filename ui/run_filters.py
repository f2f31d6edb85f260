"""What the filters of a run's first layer look for: their motifs, and the known ones these resemble."""

import pandas as pd
import streamlit as st

from tfbind import filters
from tfbind.filters import Filter, Learnt
from tfbind.logos import motif_logo
from tfbind.runs import Run
from ui.child import command
from ui.session import plain

SHOWN = 6
SECONDS = 600


def run_filters(run: Run) -> None:
    """Draw the section for a run that has weights."""
    st.subheader("What the first filters look for", anchor=False)
    try:
        found = filters.stored(run)
        if found is None:
            st.caption("Each filter of the first layer looks for a word of DNA. Which, and is it a known motif?")
            if st.button("Find out", icon=":material/search:", key="filters"):
                with st.spinner("Comparing with the motifs of JASPAR; the first time takes a minute or two"):
                    command("filters", run.id, seconds=SECONDS)
                st.rerun()
            return
    except ValueError as error:
        st.error(plain(str(error)))
        return
    _draw(found)


def _draw(found: Learnt) -> None:
    telling = sorted((one for one in found.filters if one.motif), key=lambda one: one.matches[0].e_value)
    matched = [one for one in telling if one.match]
    said = (
        f"{len(telling)} of {len(found.filters)} filters look for something in particular, {len(matched)} of them "
        "for something like a known motif"
    )
    behind = (
        f", {len(found.for_the_labels)} for the motif behind the labels, {found.behind}." if found.behind else "."
    )
    said += behind
    st.markdown(said)
    for row in (telling[:3], telling[3:SHOWN]):
        for column, one in zip(st.columns(3), row, strict=False):
            _logo(column, one)
    with st.expander(f"All {len(found.filters)} filters"):
        st.dataframe(
            pd.DataFrame([_row(one) for one in found.filters]), hide_index=True, alt="The filters and their matches"
        )
    st.caption(
        "The thousand words that excite a filter most, and at least half as much as the best one does, in "
        f"{found.windows:,} held-out windows. E-value: how many of the motifs compared would come as close by chance "
        "(TOMTOM). Later layers combine filters, so that a filter alone may look for a part of a motif, or for what "
        "is none."
    )


def _logo(column: "st.delta_generator.DeltaGenerator", one: Filter) -> None:
    assert one.motif is not None
    match = f"like {one.match.name} {one.match.matrix_id}, E-value {one.match.e_value:.1g}" if one.match else ""
    column.caption(plain(f"Filter {one.number}: {one.words:,} words {match}"))
    column.plotly_chart(
        motif_logo(one.motif, height=110), key=f"filter-{one.number}", alt=f"Logo of {one.motif.consensus}"
    )


def _row(one: Filter) -> dict[str, object]:
    nearest = one.matches[0] if one.matches else None
    return {
        "Filter": one.number,
        "Words": one.words,
        "Consensus": one.motif.consensus if one.motif else None,
        "Nearest motif": f"{nearest.name} {nearest.matrix_id}".strip() if nearest else None,
        "E-value": f"{nearest.e_value:.1g}" if nearest else None,
        "Like the labels' motif (p)": None if one.behind is None else f"{one.behind:.1g}",
    }
