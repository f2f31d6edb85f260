"""Take the predictions away: one file for all records, made when it is asked for."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from tfbind.export import BESIDE, About, Track, as_bytes, check, coordinates, facts, track
from tfbind.letters import short
from tfbind.provenance import as_json, provenance
from tfbind.records import Record
from tfbind.scoring import rule
from ui import scored
from ui.model_choice import Settings, padded
from ui.sequence_changes import changed_copy
from ui.session import home, plain

FORMATS = {
    ".csv": "Table with one row a record (CSV)",
    ".tsv": "Table with one row a base (TSV)",
    ".bed": "Called sites (BED)",
    ".bedgraph": "Track (bedGraph)",
    ".bw": "Track (bigWig)",
    ".fa": "Sequences of called sites (FASTA)",
}
CONVENTIONS = (
    "CSV: a column for each base, the first is 0. TSV, BED, bedGraph and bigWig: positions count from 0, ends are "
    "exclusive, as these formats have it."
)

PICTURES = "A figure: each picture above has a camera button, seen when the pointer is over it, that saves it as SVG."


def downloads(originals: list[Record], how: Settings) -> None:
    """Draw the choice of a format and the button. Of a record that was changed, the file holds what it is now."""
    pad = padded()
    st.subheader("Take it away", anchor=False)
    records = [changed_copy(record) for record in originals]
    changed = [record.name for record, original in zip(records, originals, strict=True) if record is not original]
    usable = [record for record in records if len(record.codes) >= (1 if pad else how.model.length or 1)]
    if not usable:
        st.caption("Nothing to take away: every record is too short for this model.")
        return
    sizes = [(record.name, len(record.codes)) for record in usable]
    refused, about = _refused(sizes), _about(usable, how, changed)
    suffix = _buttons(usable, how, pad, about, [suffix for suffix in FORMATS if suffix not in refused])
    st.caption(plain(f"Coordinates: {coordinates(suffix, sizes)}."))
    st.caption(PICTURES)
    for why in dict.fromkeys(refused.values()):
        no = ", ".join(suffix for suffix in refused if refused[suffix] == why)
        st.caption(plain(f"Not as {no}: {why}."))
    if changed:
        st.caption(plain(f"The file holds the changed sequence, not the original, of: {about.changed}."))
    left_out = len(records) - len(usable)
    if left_out:
        st.caption(plain(f"{left_out:,} records are left out: they are too short for this model."))


def _buttons(records: Sequence[Record], how: Settings, pad: bool, about: About, formats: list[str]) -> str:
    """The suffix that is chosen. Files are made when they are asked for, outside the session: its state is not there
    to be read any more."""
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    suffix: str = left.selectbox("Format", formats, format_func=FORMATS.__getitem__, help=CONVENTIONS)
    right.download_button(
        f"Download {suffix}",
        data=lambda: as_bytes(suffix, _tracks(records, how, pad), about),
        file_name=f"predictions{suffix}",
        icon=":material/download:",
        on_click="ignore",
        width="stretch",
    )
    st.download_button(
        "Where it comes from",
        data=lambda: _origin(how, pad, facts(suffix, _tracks(records, how, pad), about)),
        file_name=f"predictions{suffix}{BESIDE}",
        mime="application/json",
        icon=":material/history_edu:",
        type="tertiary",
        on_click="ignore",
        help="A file that says by which model: its data, split, settings, versions, device and seed; and how it "
        "scored and counts bases.",
    )
    return suffix


def _refused(sizes: Sequence[tuple[str, int]]) -> dict[str, str]:
    """The formats that cannot hold the records, and why."""
    found = {}
    for suffix in FORMATS:
        try:
            check(suffix, sizes)
        except ValueError as error:
            found[suffix] = str(error)
    return found


def _about(records: Sequence[Record], how: Settings, changed: Sequence[str]) -> About:
    words = rule(how.model, [len(record.codes) for record in records], how.both)
    names = ", ".join(map(short, changed))
    return About(f"{how.model.name} {how.model.hash}", words, how.threshold, names, how.model.meaning)


def _tracks(records: Sequence[Record], how: Settings, pad: bool) -> list[Track]:
    profiles = [scored.profile(how.model, record.codes.tobytes(), how.both, pad) for record in records]
    return [
        track(record.name, record.codes, found.scores, found.change)
        for record, found in zip(records, profiles, strict=True)
    ]


def _origin(how: Settings, pad: bool, about: dict[str, Any]) -> bytes:
    return as_json(provenance(home(), how.model, {"both": how.both, "pad": pad} | about))
