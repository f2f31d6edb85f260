"""Where DNA comes in: a box to paste into, examples, a file; and what was said of it in reading."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from tfbind.datasets import list_datasets, open_dataset
from tfbind.files import words
from tfbind.jobs import MAX_MB
from tfbind.letters import RefusedLetter, short
from tfbind.observed import draw_window, index_of
from tfbind.records import Record, TooLarge, read_records
from tfbind.scoring import Model
from tfbind.sequences import UNKNOWN, decode
from tfbind.simulate import simulate
from tfbind.tables import counted
from tfbind.variant_list import looks_like_vcf
from tfbind.variants import read_with_variants
from ui.kept_file import KEPT_MB, KeptFile
from ui.kept_text import KeptText
from ui.sequence_changes import BOX, OPEN_FILE, changes_to, restore_changes, start_with
from ui.session import home, plain
from ui.uploads import NewText, Uploader

DNA, VARIANTS = KeptText("dna", "q"), KeptText("variants", "v")
MENDED = KeptText("mended", "m")  # the text of the box in which signs that cannot be used are not refused
WINDOW_REFUSED = "window-refused"
MAX_RECORDS = 10_000
MAX_BASES = 2_000_000
PAGE_MB = 20
NOTES, NAMED = 5, 3  # kinds of changes that are said, names of records in each
FILE = KeptFile(Uploader("file"), "f")
OVER_FILE = NewText(DNA.box)
HELP = (
    "Bare letters, FASTA, a numbered block from GenBank, names with their sequences (name, ACGT), an oligo "
    "(5'-ACGT-3'), or the course's table of sequences. Lower case is fine, U is read as T, other IUPAC letters as N. "
    "A variant may stand in brackets: ACGT[A/G]TTT."
)
LIMITS = (
    f"Up to {MAX_RECORDS:,} sequences with {MAX_BASES / 1e6:.0f} million bases in all. Files up to {PAGE_MB} MB are "
    f"shown here, up to {MAX_MB} MB scored in the background; larger ones by the command python -m tfbind predict. "
    "What you paste stays on the computer that runs this app."
)
SILENT = "GCATCCGTAGCGCTCAGCTCGGATCCGATTGCACGGATCTCAGGCTATCGCAGGCTCCATGCGCTACCGGATCCAGCGACCTGAGGCATCCGG"


@st.cache_data(show_spinner=False)
def example() -> str:
    """Two records: a window of the built-in kind with its strongest site, and DNA without one."""
    made = simulate(windows=40, seed=5)
    strongest = int(made.scores.max(axis=1).argmax())
    silent = (SILENT * 4)[: made.codes.shape[1]]
    return f">strong_site\n{decode(made.codes[strongest])}\n>no_site\n{silent}\n"


def sequence_input() -> list[Record] | None:
    """Draw the box and the buttons; the records in it, [] when it is empty or too large, None when it is refused."""
    DNA.restore()
    MENDED.restore()
    FILE.restore()
    restore_changes()
    if OVER_FILE.settle(FILE.name, FILE.close):
        FILE.restore()  # lets the address name it no longer
    st.text_area(
        "DNA sequence",
        key=DNA.box,
        height=150,
        help=HELP,
        placeholder="Paste DNA here: letters or FASTA",
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Score", type="primary", icon=":material/insights:")
        st.button("Try an example", on_click=_fill, args=(example(),), icon=":material/science:")
        st.button("Clear", on_click=_fill, args=("",))
        with st.popover("Open a file", icon=":material/upload_file:"):
            st.file_uploader(
                "FASTA or text, plain or gzip",
                max_upload_size=MAX_MB,
                key=FILE.uploader.key,
                on_change=FILE.keep,
            )
        with st.popover("Try a window of a data set", icon=":material/database:"):
            _draw_windows()
    st.caption(LIMITS)
    OVER_FILE.tell()
    return _read_file() if FILE.name else _read(st.session_state[DNA.box])


def _fill(text: str) -> None:
    """Put a text into the box, and have it read instead of a file."""
    FILE.close()
    DNA.fill(text)


def _read_file() -> list[Record] | None:
    """The records of the file that is open; [] when it is too large for the page, or has to be chosen again."""
    file = FILE.file()
    if file is None:
        why = f"is not kept: it has more than {KEPT_MB} MB, or its copy was removed"
        st.warning(plain(f"The file {FILE.name} was open here and {why}. Choose it again, or take it out."))
    else:
        st.caption(plain(f"From the file {file.name}; take it out to go back to the box. New text there closes it."))
    st.button("Take the file out", on_click=FILE.close, icon=":material/close:")
    if file is None:
        return []
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
        st.session_state[WINDOW_REFUSED] = words(error)
        return
    _fill(f">{data.names[index].decode(errors='replace')}\n{decode(data.codes[index])}\n")


def _read(data: str | bytes) -> list[Record] | None:
    changes_to(OPEN_FILE if isinstance(data, bytes) else BOX, data)
    if isinstance(data, str) and not data.strip():
        st.caption("Nothing to score yet: paste a sequence, or try the example.")
        return []
    try:
        return read_records(data, MAX_RECORDS, MAX_BASES) if isinstance(data, bytes) else _read_text(data)
    except TooLarge as error:
        st.error(plain(str(error)))
        return []
    except RefusedLetter as error:
        st.error(plain(str(error)))
        st.code(f"{error.before}[{error.letter}]{error.after}", language=None)
        if isinstance(data, str):
            _offer_repair(data)
    except ValueError as error:
        st.error(plain(str(error)))
        if isinstance(data, str) and looks_like_vcf(data):
            st.button("Read it as variants", on_click=_take_as_variants, args=(data,), icon=":material/difference:")
    return None


def _read_text(text: str) -> list[Record]:
    """The records of a text; those with a variant in brackets are shown with it."""
    found = read_with_variants(text, MAX_RECORDS, MAX_BASES, repair=text == st.session_state[MENDED.box])
    for record, variant in found:
        if variant:
            start_with(record, variant)
    return [record for record, _ in found]


def _offer_repair(text: str) -> None:
    """A button that says how the text can be read all the same, if it can."""
    try:
        found = read_with_variants(text, MAX_RECORDS, MAX_BASES, repair=True)
    except ValueError:  # what was refused is said already
        return
    repairs = {record.name: record.repairs for record, _ in found if record.repairs}
    first, *others = repairs.values()
    label = f"Go on with {first[0]}{' and so on' if first[1:] or others else ''}"
    st.button(plain(label), on_click=MENDED.fill, args=(text,), icon=":material/healing:")
    _draw_notes(repairs)


def _take_as_variants(text: str) -> None:
    VARIANTS.fill(text)
    DNA.fill("")


def show_notes(records: Sequence[Record]) -> None:
    """What was changed in reading, record by record."""
    _draw_notes({record.name: record.notes + record.repairs for record in records})


def _draw_notes(said: dict[str, list[str]]) -> None:
    """One line for each kind of change, with the records that it was made to."""
    changed: dict[str, list[str]] = {}
    for name, notes in said.items():
        if notes:
            changed.setdefault("; ".join(notes), []).append(name)
    for change, names in list(changed.items())[:NOTES]:
        st.caption(f":material/info: {plain(f'{_listed(names)}: {change}')}")
    if rest := sum(map(len, list(changed.values())[NOTES:])):
        st.caption(f"and {counted(rest, 'more record')} changed in reading")


def _listed(names: Sequence[str]) -> str:
    first = ", ".join(map(short, names[:NAMED]))
    return f"{first} and {counted(len(names) - NAMED, 'more record')}" if names[NAMED:] else first


def show_cautions(record: Record, model: Model) -> None:
    """Why the scores of a sequence mean little, where they do."""
    bases, unknown = len(record.codes), int(np.count_nonzero(record.codes == UNKNOWN))
    little = "so the scores mean little."
    if 2 * unknown > bases:
        st.warning(f"{unknown:,} of {counted(bases, 'base')} are N, of which a model knows nothing, {little}")
    if model.length is None and bases < model.receptive_field:
        st.warning(f"The model looks at {model.receptive_field} bases for each score and has {bases} here, {little}")
