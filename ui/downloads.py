"""Take the predictions away: one file for all records, made when it is asked for."""

import streamlit as st

from tfbind.export import About, as_bytes, track
from tfbind.provenance import SUFFIX, as_json, provenance
from tfbind.records import Record
from ui import scored
from ui.model_choice import Settings, padded
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
    "exclusive, as these formats have it. The camera button of a picture saves it as SVG."
)


def downloads(records: list[Record], how: Settings) -> None:
    """Draw the choice of a format and the button."""
    model = how.model
    st.subheader("Take it away", anchor=False)
    usable = [record for record in records if padded() or len(record.codes) >= (model.length or 1)]
    if not usable:
        st.caption("Nothing to take away: every record is too short for this model.")
        return
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    suffix = left.selectbox("Format", list(FORMATS), format_func=FORMATS.__getitem__, help=CONVENTIONS)
    if suffix == ".csv" and len({len(record.codes) for record in usable}) > 1:
        st.caption(
            "This table needs records of one length; these differ. Take the table with one row a base instead."
        )
        return
    right.download_button(
        "Download",
        data=lambda: _file(suffix, usable, how),
        file_name=f"predictions{suffix}",
        icon=":material/download:",
        on_click="ignore",
        width="stretch",
    )
    st.download_button(
        "Where it comes from",
        data=lambda: as_json(provenance(home(), model, {"both": how.both, "threshold": how.threshold})),
        file_name=f"predictions{suffix}{SUFFIX}",
        mime="application/json",
        type="tertiary",
        on_click="ignore",
        help="A file that says by which model: its data, split, settings, versions, device and seed.",
    )
    left_out = len(records) - len(usable)
    if left_out:
        st.caption(plain(f"{left_out:,} records are left out: they are too short for this model."))


def _file(suffix: str, records: list[Record], how: Settings) -> bytes:
    profiles = [scored.profile(how.model, record.codes.tobytes(), how.both, padded()) for record in records]
    tracks = [track(record.name, record.codes, found.scores) for record, found in zip(records, profiles, strict=True)]
    return as_bytes(suffix, tracks, About(f"{how.model.name} {how.model.hash}", profiles[0].rule, how.threshold))
