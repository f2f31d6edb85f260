"""Design at the chosen site: the fewest changes that destroy, weaken or strengthen it, and the oligos for them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import pandas as pd
import streamlit as st

from tfbind.dna import Codes, Record
from tfbind.scoring import Variant, safe_cell
from tfbind.variants import MOST_CHANGES, Design, Goal, design, edits, oligos
from ui.predict.changes import changes_of, key
from ui.predict.model import Settings
from ui.widgets.session import plain

GOALS = {"destroy": "destroy it", "weaken": "weaken it to below", "strengthen": "strengthen it to at least"}
AROUND = 2  # bases beside a site in which changes may lie, too
PLACES = re.compile(r"(\d+)(?:\s*-\s*(\d+))?")
DESIGNS = "designs"


@dataclass(frozen=True)
class Request:
    """What is asked for: the goal, its score, the bases that stay (as text), and how many changes at most."""

    goal: Goal
    level: float
    protected: str
    most: int


def draw_design(record: Record, codes: Codes, site: tuple[int, int] | None, settings: Settings) -> None:
    """Draw the search for changes at the chosen site.

    Args:
        record: as it was read.
        codes: (L,) with the changes made to it.
        site: the first and last base, 1-based, of the site that is chosen.
        settings: how the page scores.
    """
    with st.expander("Design changes", icon=":material/design_services:"):
        if site is None:
            st.caption("Choose a site: click its letters, or its row in the table.")
            return
        start, end = max(0, site[0] - 1 - AROUND), min(len(codes), site[1] + AROUND)
        unit = settings.model.target.unit
        st.markdown(f"Changes in bases {start + 1} to {end}, for the site at {site[0]} to {site[1]}:")
        request, pressed = _draw_request(settings, unit)
        question = (
            key(record),
            codes.tobytes(),
            site,
            request,
            settings.main.name,
            settings.both,
            settings.threshold,
        )
        if pressed:
            with st.spinner("Trying changes"):
                st.session_state[DESIGNS] = question, _search(codes, start, end, request, settings)
        answered, designs = st.session_state.get(DESIGNS, (None, None))
        if answered == question and designs is not None:
            _draw_designs(record, codes, designs, unit)


def _draw_request(settings: Settings, unit: str) -> tuple[Request, bool]:
    """The form, and whether its button was pressed."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        goal = st.selectbox("What to do", get_args(Goal), format_func=GOALS.__getitem__, key="design-goal", width=240)
        level = settings.threshold
        if goal != "destroy":
            level = st.number_input(f"Score{f' ({unit.strip()})' if unit else ''}", value=level, width=150)
        protected = st.text_input("Leave as they are", placeholder="31-33, 40", key="design-protected", width=200)
        most = st.number_input("Changes at most", 1, MOST_CHANGES, MOST_CHANGES, key="design-most", width=130)
        pressed = st.button("Find changes", icon=":material/search:", type="primary")
    return Request(goal, level, protected, most), pressed


def _search(codes: Codes, start: int, end: int, request: Request, settings: Settings) -> list[Design] | None:
    """The designs; None, and the reason on the page, where none can be looked for."""
    try:
        return design(
            settings.model,
            codes,
            start,
            end,
            request.goal,
            request.level,
            threshold=settings.threshold,
            protected=protected_places(request.protected),
            both=settings.both,
            most=request.most,
        )
    except ValueError as error:
        st.error(plain(str(error)))
        return None


def protected_places(text: str) -> set[int]:
    """The 0-based places that a text names, such as `31-33, 40`, counted from 1.

    Raises:
        ValueError: it holds something else.
    """
    places: set[int] = set()
    for part in filter(None, map(str.strip, text.split(","))):
        match = PLACES.fullmatch(part)
        if not match:
            raise ValueError(f"'{part}' under Leave as they are; expected bases such as 31-33, 40")
        first, last = int(match[1]), int(match[2] or match[1])
        places |= set(range(first - 1, last))
    return places


def _draw_designs(record: Record, codes: Codes, designs: Sequence[Design], unit: str) -> None:
    if not designs:
        st.markdown(
            "**No such changes** without a new site beside it. Allow more changes, or leave fewer as they are."
        )
        return
    names = [", ".join(edits.describe(codes, each.changes)) for each in designs]
    table = pd.DataFrame(
        {
            "Changes": names,
            f"Score, now {designs[0].before:.2f}{unit}": [f"{each.after:.2f}" for each in designs],
            "Other sites lost": [", ".join(f"{site.start + 1}-{site.end}" for site in each.lost) for each in designs],
        }
    )
    st.dataframe(table, hide_index=True, alt="Designs, best first: changes, the site's score after them, sites lost")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        place = st.selectbox("Design", range(len(designs)), format_func=names.__getitem__, width=300)
        changes = list(designs[place].changes)
        st.button("Make these changes", icon=":material/edit:", on_click=_apply, args=(record, changes))
    rows = pd.DataFrame(oligos(record.name, codes, changes))
    st.markdown("**Oligos**, 5' to 3', with 15 bases on either side of the changes")
    columns = {"name": "Name", "sequence": "Sequence", "length": "Bases", "gc": "G and C (%)"}
    st.dataframe(
        rows.rename(columns=columns), hide_index=True, alt="Oligos: name, sequence, length and share of G and C"
    )
    st.download_button(
        "Oligos (.tsv)",
        data=rows.assign(name=rows["name"].map(safe_cell)).to_csv(sep="\t", index=False),
        file_name="oligos.tsv",
        icon=":material/download:",
        on_click="ignore",
    )


def _apply(record: Record, changes: Sequence[Variant]) -> None:
    changes_of(record).extend(changes)
