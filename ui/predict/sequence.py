"""The letters of a scored sequence with its sites: a click chooses a base or a site, or changes a base."""

from collections.abc import Callable
from typing import Any

import numpy as np
import streamlit as st

from tfbind.dna import LETTERS, Codes, Record, decode
from tfbind.scoring import SEQUENCE_SCRIPT, SEQUENCE_STYLE, Variant
from tfbind.store import plural
from tfbind.variants import EditedSequence
from ui.predict.changes import POSITION, key, set_base

LONGEST = 20_000  # bases whose letters are shown together
CAPTION = (
    "Click a letter to choose its site or to change it; on the keyboard: arrows, Enter, and A, C, G or T. "
    "The stronger the colour, the stronger the site; its arrow points along the strand."
)

_component = st.components.v2.component(
    "sequence",
    html="<div class='sequence' tabindex='0' role='application'></div>\n"
    "<div class='sequence-spoken' aria-live='polite'></div>",
    css=SEQUENCE_STYLE.read_text(),
    js=SEQUENCE_SCRIPT.read_text(),
)


def draw_sequence(
    record: Record,
    edited: EditedSequence,
    rows: list[dict[str, Any]],
    site: tuple[int, int] | None,
    changes: list[Variant],
    unit: str,
    go_to: Callable[[int], None],
) -> None:
    """Draw the letters; of a long sequence those around the chosen base.

    Args:
        record: as it was read.
        edited: with the changes made to it.
        rows: the called sites, as in the table.
        site: the first and last base, 1-based, of the site that is selected.
        changes: made so far; a change of a base is appended.
        unit: behind a score.
        go_to: chooses a base, 1-based, and the site that it lies in.
    """
    bases = len(edited.codes)
    position = min(max(st.session_state.get(POSITION, 1), 1), bases) - 1
    first = max(0, min(position - LONGEST // 2, bases - LONGEST))
    part = edited.codes[first : first + LONGEST]
    component_key = f"sequence-{key(record)}"

    def choose() -> None:
        if (place := st.session_state[component_key]["chosen"]) is not None:
            go_to(first + place + 1)

    def change() -> None:
        if (changed := st.session_state[component_key]["changed"]) is not None:
            place, letter = changed
            go_to(first + place + 1)
            set_base(record, LETTERS.index(letter), changes)

    _component(
        key=component_key,
        data={
            "letters": decode(part),
            "first": first + 1,
            "sites": sites_in(rows, site, first, first + len(part), unit),
            "changed": changed_places(record.codes, edited, first, first + len(part)),
            "position": position - first,
            "label": f"{plural(len(part), 'base')} with {plural(len(rows), 'site')}; arrow keys move",
        },
        on_chosen_change=choose,
        on_changed_change=change,
    )
    if len(part) < bases:
        st.caption(f"Bases {first + 1:,} to {first + len(part):,} of {bases:,}: those around the chosen one.")
    st.caption(CAPTION)


def sites_in(
    rows: list[dict[str, Any]], chosen: tuple[int, int] | None, first: int, end: int, unit: str
) -> list[dict[str, Any]]:
    """The sites in a part of the sequence, weakest first.

    Args:
        rows: the called sites, as in the table.
        chosen: the first and last base, 1-based, of the site that is selected.
        first: the first base of the part, 0-based.
        end: the base behind its last one.
        unit: behind a score.

    Returns:
        For each `start` and `end` from the first base of the part, `strand`, `strength` relative to the strongest of
        all, `text` and whether it is `chosen`.
    """
    strongest = max((row["score"] for row in rows), default=1)
    return [
        {
            "start": max(row["start"] - 1 - first, 0),
            "end": min(row["end"], end) - first,
            "strand": row["strand"],
            "strength": max(row["score"] / strongest, 0) if strongest > 0 else 1,
            "text": f"{row['start']}-{row['end']}: {row['score']:.2f}{unit}",
            "chosen": (row["start"], row["end"]) == chosen,
        }
        for row in sorted(rows, key=lambda row: row["score"])
        if row["start"] <= end and row["end"] > first
    ]


def changed_places(original: Codes, edited: EditedSequence, first: int, end: int) -> list[int]:
    """The bases of a part of the sequence that are not those of the original, counted from its first base.

    Args:
        original: (L,) before the changes.
        edited: after them.
        first: the first base of the part, 0-based.
        end: the base behind its last one.

    Returns:
        Their places, rising.
    """
    origin = edited.origin[first:end]
    same = (origin >= 0) & (original[origin] == edited.codes[first:end])
    return np.flatnonzero(~same).tolist()
