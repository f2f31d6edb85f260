"""Where DNA comes in, what was said of it in reading, and which of its records to look at."""

import re
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from tfbind.data import list_datasets, open_dataset, simulate_windows
from tfbind.dna import UNKNOWN, InvalidLetter, Record, TooLarge, decode, read_records, shorten
from tfbind.scoring import MAX_MB, Model, Scores, draw_window, index_of, stacked_figure
from tfbind.store import format_error, plural
from tfbind.variants import looks_like_vcf, read_with_variants
from ui.predict.changes import BOX, OPEN_FILE, changes_to, forget_changes, key, restore_changes, start_with
from ui.predict.model import Settings, padded
from ui.train.science import chart_buttons
from ui.widgets import cache
from ui.widgets.panels import panel
from ui.widgets.session import cells, home, plain
from ui.widgets.url_state import KEPT_MB, KeptFile, KeptSetting, KeptText, NewText, Uploader

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
    f"Shown here: up to {MAX_RECORDS:,} sequences, {MAX_BASES / 1e6:.0f} million bases and {PAGE_MB} MB in all. "
    f"More, up to {MAX_MB} MB, is scored in the background; larger files by the command python -m tfbind predict. "
    "What you paste stays on the computer that runs this app."
)
SILENT = "GCATCCGTAGCGCTCAGCTCGGATCCGATTGCACGGATCTCAGGCTATCGCAGGCTCCATGCGCTACCGGATCCAGCGACCTGAGGCATCCGG"
TABLE = "records"
LIST, SHOWN = "records-list", "records-shown"  # what tells the last list from others, and its row that was open
RECORD = KeptSetting[int | None]("record", "record", None, lambda place: str((place or 0) + 1))
CHART_KEY = "stack"
TABLE_RECORDS = 1_000
STACKED = 20
STACKED_BASES = 100_000


@st.cache_data(show_spinner=False)
def example() -> str:
    """Two records: a window of the built-in kind with its strongest site, and DNA without one."""
    windows = simulate_windows(windows=40, seed=5)
    strongest = int(windows.scores.max(axis=1).argmax())
    silent = (SILENT * 4)[: windows.codes.shape[1]]
    return f">strong_site\n{decode(windows.codes[strongest])}\n>no_site\n{silent}\n"


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
        st.button("Clear", on_click=_clear, help="Deletes what a refresh would bring back, too")
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


def _clear() -> None:
    """Empty the box, close the file, and delete all that this session has kept of either."""
    _fill("")
    MENDED.fill("")
    forget_changes()


def _read_file() -> list[Record] | None:
    """The records of the file that is open; [] when it is too large for the page, or has to be chosen again."""
    file = FILE.file()
    if file is None:
        reason = f"is not kept: it has more than {KEPT_MB} MB, or its copy was removed"
        st.warning(plain(f"The file {FILE.name} was open here and {reason}. Choose it again, or take it out."))
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
    st.button("Take this window", on_click=_open_window, args=(dataset,), icon=":material/download:")
    if refusal := st.session_state.pop(WINDOW_REFUSED, None):
        st.error(plain(refusal))


def _open_window(dataset: str) -> None:
    name = st.session_state["window-name"].strip()
    try:
        data = open_dataset(home(), dataset)
        index = index_of(data, name) if name else draw_window(data, np.random.default_rng())
    except (ValueError, OSError) as error:
        st.session_state[WINDOW_REFUSED] = format_error(error)
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
    except InvalidLetter as error:
        st.error(plain(str(error)))
        st.code(f"{error.before}[{error.letter}]{error.after}", language=None)
        if isinstance(data, str):
            _offer_repair(data)
    except ValueError as error:
        st.error(plain(str(error)))
        if isinstance(data, str) and looks_like_vcf(data):
            st.button("Read it as variants", on_click=_move_to_variants, args=(data,), icon=":material/difference:")
    return None


def _read_text(text: str) -> list[Record]:
    """The records of a text; those with a variant in brackets are shown with it."""
    records = read_with_variants(text, MAX_RECORDS, MAX_BASES, repair=text == st.session_state[MENDED.box])
    for record in records:
        if record.variant:
            start_with(record, record.variant)
    return [*records]


def _offer_repair(text: str) -> None:
    """A button that says how the text can be read all the same, if it can."""
    try:
        records = read_with_variants(text, MAX_RECORDS, MAX_BASES, repair=True)
    except ValueError:  # what was refused is said already
        return
    repairs = {record.name: record.repairs for record in records if record.repairs}
    first, *others = repairs.values()
    label = f"Go on with {first[0]}{' and so on' if first[1:] or others else ''}"
    st.button(plain(label), on_click=MENDED.fill, args=(text,), icon=":material/healing:")
    _draw_notes(repairs)


def _move_to_variants(text: str) -> None:
    VARIANTS.fill(text)
    DNA.fill("")


def show_notes(records: Sequence[Record]) -> None:
    """What was changed in reading, record by record."""
    _draw_notes({record.name: record.notes + record.repairs for record in records})


def _draw_notes(notes_of: dict[str, list[str]]) -> None:
    """One line for each kind of change, with the records that it was made to."""
    changed: dict[str, list[str]] = {}
    for name, notes in notes_of.items():
        if notes:
            changed.setdefault("; ".join(notes), []).append(name)
    for change, names in list(changed.items())[:NOTES]:
        st.caption(f":material/info: {plain(f'{_listed(names)}: {change}')}")
    if rest := sum(map(len, list(changed.values())[NOTES:])):
        st.caption(f"and {plural(rest, 'more record')} changed in reading")


def _listed(names: Sequence[str]) -> str:
    first = ", ".join(map(shorten, names[:NAMED]))
    return f"{first} and {plural(len(names) - NAMED, 'more record')}" if names[NAMED:] else first


def show_cautions(record: Record, model: Model) -> None:
    """What the scores of a sequence lack, if anything."""
    bases, unknown = len(record.codes), int(np.count_nonzero(record.codes == UNKNOWN))
    if 2 * unknown > bases:
        st.warning(
            f"{unknown:,} of {plural(bases, 'base')} are N, of which a model knows nothing, so the scores mean "
            "little."
        )
    if model.length is None and bases < model.receptive_field:
        st.warning(
            f"The model looks at {model.receptive_field} bases for each score and has {bases} here: in longer DNA "
            "the scores of the same bases differ, most of all near the ends."
        )


def choose_record(records: Sequence[Record], settings: Settings) -> Record:
    """The record to look at: until one is chosen, the first that the model can score."""
    if len(records) == 1:
        return records[0]
    listed = records[:TABLE_RECORDS]
    highest = cache.highest(settings.model, tuple(record.codes for record in listed), settings.both, padded())
    place = _settled_place(len(listed), next((place for place, score in enumerate(highest) if score is not None), 0))
    with panel("table of records"):
        _draw_table(listed, highest, place, len(records))
    with panel("profiles of records"):
        _draw_stack(listed, highest, place, settings)
    return listed[place]


def open_record(record: Record, records: Sequence[Record]) -> None:
    """Show another record of the table."""
    _select(next(place for place, other in enumerate(records) if other is record))


def forget_other_list(records: Sequence[Record]) -> None:
    """Forget which record was chosen, unless it was among these, in this session or the one before.

    To be called in every run, also where nothing could be read: what the address says is meant for what was open.
    """
    identity = hash(tuple(map(key, records)))
    if st.session_state.setdefault(LIST, identity) != identity:
        st.session_state[LIST] = identity
        st.session_state.pop(SHOWN, None)
        RECORD.remember(None)


def _settled_place(count: int, usual: int) -> int:
    """The record to look at, whose row is then selected: the one that was chosen, or else the usual one."""
    selection = RECORD.restore(partial(_read_number, count))
    state, open_place = st.session_state.get(TABLE), st.session_state.get(SHOWN)
    selected = state["selection"]["rows"] if state else []
    if open_place is not None and selected not in ([], [open_place]) and selected[0] < count:
        selection = selected[0]
    RECORD.remember(None if selection is None else RECORD.write(selection))
    place: int = usual if selection is None else selection
    st.session_state[SHOWN] = place
    if selected not in ([], [place]):
        _select(place)
    return place


def _read_number(count: int, text: str) -> int:
    if not (re.fullmatch(r"[1-9]\d{0,3}", text, re.ASCII) and int(text) <= count):
        raise ValueError(f"Record {text} is not among these {count:,}: one that can be scored is opened.")
    return int(text) - 1


def _select(place: int) -> None:
    st.session_state[TABLE] = {"selection": {"rows": [place], "columns": [], "cells": []}}


def _draw_table(listed: Sequence[Record], highest: Sequence[float | None], selection: int, count: int) -> None:
    rows = [
        {"Record": record.name, "Bases": len(record.codes), "Highest score": score}
        for record, score in zip(listed, highest, strict=True)
    ]
    caption = f"{count:,} records. Select a row to see its profile."
    if count > TABLE_RECORDS:
        caption += f" The first {TABLE_RECORDS:,} are shown; downloads hold all."
    if too_short := sum(score is None for score in highest):
        caption += (
            f" {too_short:,} of them, without a score, are too short for this model unless they are filled up with N."
        )
    st.caption(caption)
    st.dataframe(
        pd.DataFrame(cells(rows)),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row-required",
        selection_default={"selection": {"rows": [selection]}},
        key=TABLE,
        height=min(35 * (len(rows) + 1) + 3, 220),
        alt="Records with their length and highest score",
        column_config={"Highest score": st.column_config.NumberColumn(format="%.2f")},
    )


def _draw_stack(
    listed: Sequence[Record], highest: Sequence[float | None], selection: int, settings: Settings
) -> None:
    places = stacked(listed, highest)
    if len(places) < 2:
        return
    profiles = [
        cache.profile(settings.model, listed[place].codes, settings.both, padded()).scores for place in places
    ]
    caption = (
        "Their profiles on one scale" if len(places) == len(listed) else f"The {len(places)} highest on one scale"
    )
    st.caption(f"{caption}. Click a line to open its record.")
    st.plotly_chart(
        _stacked_figure(
            [listed[place].name for place in places],
            profiles,
            selected=_index_in(places, selection),
            unit=settings.model.target.unit,
        ),
        key=CHART_KEY,
        config=chart_buttons("records"),
        on_select=lambda: _select_clicked(places),
        selection_mode="points",
        alt="Predicted scores of several records, one below the other, on one scale",
    )


@cache.drawn_once
def _stacked_figure(names: Sequence[str], profiles: Sequence[Scores], selected: int | None, unit: str) -> go.Figure:
    return stacked_figure(names, profiles, selected=selected, unit=unit)


def stacked(listed: Sequence[Record], highest: Sequence[float | None]) -> list[int]:
    """Which records are drawn small: those with the highest scores, in the order of the input."""
    scored = [(score, place) for place, score in enumerate(highest) if score is not None]
    candidates = [(score, place) for score, place in scored if len(listed[place].codes) <= STACKED_BASES]
    return sorted(place for _, place in sorted(candidates, key=lambda entry: (-entry[0], entry[1]))[:STACKED])


def _index_in(places: Sequence[int], selection: int) -> int | None:
    matches = np.flatnonzero(np.array(places) == selection)
    return int(matches[0]) if len(matches) else None


def _select_clicked(places: Sequence[int]) -> None:
    for point in st.session_state[CHART_KEY]["selection"]["points"][:1]:
        _select(places[point["curve_number"]])
