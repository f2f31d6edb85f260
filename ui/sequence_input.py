"""Where DNA comes in: a box to paste into, examples, a file; and what was said of it in reading."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import streamlit as st

from tfbind.datasets import list_datasets, open_dataset
from tfbind.jobs import MAX_MB
from tfbind.letters import RefusedLetter
from tfbind.observed import draw_window, index_of
from tfbind.records import Record, read_records, repaired
from tfbind.sequences import decode
from tfbind.simulate import simulate
from tfbind.variant_list import looks_like_vcf
from tfbind.variants import parse_change
from ui.kept_text import KeptText
from ui.sequence_changes import start_with
from ui.session import home, plain

DNA, VARIANTS = KeptText("dna", "q"), KeptText("variants", "v")
WINDOW_REFUSED = "window-refused"
MAX_RECORDS = 10_000
MAX_BASES = 2_000_000
PAGE_MB = 20
FILE = "file"
HELP = (
    "Bare letters, FASTA, a numbered block from GenBank, or the course's table of sequences. Lower case is fine, "
    "U is read as T, other IUPAC letters as N. A variant may stand in brackets: ACGT[A/G]TTT. "
    f"Up to {MAX_RECORDS:,} sequences with {MAX_BASES / 1e6:.0f} million bases in all. What you paste stays on this "
    "computer."
)
SILENT = "GCATCCGTAGCGCTCAGCTCGGATCCGATTGCACGGATCTCAGGCTATCGCAGGCTCCATGCGCTACCGGATCCAGCGACCTGAGGCATCCGG"


@st.cache_data
def example() -> str:
    """Two records: a window of the built-in kind with its strongest site, and DNA without one."""
    made = simulate(windows=40, seed=5)
    strongest = int(made.scores.max(axis=1).argmax())
    return f">strong_site\n{decode(made.codes[strongest])}\n>no_site\n{SILENT * 3}\n"


def sequence_input() -> list[Record]:
    """Draw the box and the buttons; the records in it, [] when it is empty or cannot be read."""
    DNA.restore()
    st.text_area(
        "DNA sequence",
        key=DNA.box,
        height=150,
        help=HELP,
        placeholder="Paste DNA here: letters or FASTA",
        on_change=DNA.keep,
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Score", type="primary", icon=":material/insights:")
        st.button("Try an example", on_click=DNA.fill, args=(example(),), icon=":material/science:")
        st.button("Clear", on_click=DNA.fill, args=("",))
        with st.popover("Open a file", icon=":material/upload_file:"):
            file = st.file_uploader(
                "FASTA or text, plain or gzip",
                max_upload_size=MAX_MB,
                key=FILE,
                help=f"Up to {PAGE_MB} MB are shown here. Up to {MAX_MB} MB are scored in the background, on this "
                "computer. For more there is the command: python -m tfbind predict.",
            )
        with st.popover("Try a window of a data set", icon=":material/database:"):
            _draw_windows()
    if file is None:
        return _read(st.session_state[DNA.box])
    st.caption(plain(f"From the file {file.name}; take it out to go back to the box."))
    if file.size > PAGE_MB << 20:
        st.info(f"{file.size / 2**20:,.0f} MB are more than this page shows ({PAGE_MB} MB).")
        return []
    return _read(file.getvalue())


def _draw_windows() -> None:
    """Choose a window whose scores are known, to see them beside the predicted ones."""
    names = [str(entry["name"]) for entry in list_datasets(home())]
    if not names:
        st.caption("No data set on disk yet: the Data page has one to build and takes your own.")
        return
    st.caption("Its observed scores are drawn beside the predicted ones.")
    dataset = st.selectbox("Data set", names, key="window-dataset")
    st.text_input("Window", key="window-name", placeholder="any", help="Its name; empty: one with a site, at random.")
    st.button("Take this window", on_click=_take_window, args=(dataset,), icon=":material/download:")
    if refused := st.session_state.pop(WINDOW_REFUSED, None):
        st.error(plain(refused))


def _take_window(dataset: str) -> None:
    name = st.session_state["window-name"].strip()
    try:
        data = open_dataset(home(), dataset)
        index = index_of(data, name) if name else draw_window(data, np.random.default_rng())
    except (ValueError, OSError) as error:
        st.session_state[WINDOW_REFUSED] = str(error)
        return
    DNA.fill(f">{data.names[index].decode(errors='replace')}\n{decode(data.codes[index])}\n")


def _read(data: str | bytes) -> list[Record]:
    if not (data.strip() if isinstance(data, str) else data):
        st.caption("Nothing to score yet: paste a sequence, or try the example.")
        return []
    try:
        if isinstance(data, str) and _has_variant(data):
            return [_read_variant(data)]
        return read_records(data, MAX_RECORDS, MAX_BASES)
    except RefusedLetter as error:
        st.error(plain(str(error)))
        st.code(f"{error.before}[{error.letter}]{error.after}", language=None)
        if isinstance(data, str):
            st.button("Read such letters as N", on_click=_repair, args=(data,), icon=":material/healing:")
    except ValueError as error:
        st.error(plain(str(error)))
        if isinstance(data, str) and looks_like_vcf(data):
            st.button("Read it as variants", on_click=_take_as_variants, args=(data,), icon=":material/difference:")
    return []


def _take_as_variants(text: str) -> None:
    VARIANTS.fill(text)
    DNA.fill("")


def _has_variant(text: str) -> bool:
    """Whether brackets stand in a sequence, not in its header."""
    lines = text.strip().splitlines()
    headers = [line for line in lines if line.startswith(">")]
    return len(headers) <= 1 and any("[" in line for line in lines if line not in headers)


def _read_variant(text: str) -> Record:
    """A sequence with a variant in brackets, with or without a FASTA header."""
    header, _, letters = text.strip().partition("\n") if text.lstrip().startswith(">") else ("", "", text)
    record, variant = parse_change(letters, [])
    record = replace(record, name=header.removeprefix(">").strip() or record.name)
    start_with(record, variant)
    return record


def _repair(text: str) -> None:
    DNA.fill(repaired(text))


def show_notes(records: Sequence[Record]) -> None:
    """What was changed in reading, record by record."""
    changed = [f"{record.name}: {'; '.join(record.notes)}" for record in records if record.notes]
    for line in changed[:5]:
        st.caption(f":material/info: {plain(line)}")
    if len(changed) > 5:
        st.caption(f"and {len(changed) - 5:,} more records were changed in reading")
