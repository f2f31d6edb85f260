"""Changes to the DNA on the page: typed variants, single bases, their undo, and what they do in words."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import streamlit as st
from pydantic import TypeAdapter

from tfbind.dna import LETTERS, Record, decode, encode
from tfbind.scoring import Variant
from tfbind.variants import FORMS, EditedSequence, VariantEffect, edits, parse_changes
from ui.widgets.session import plain
from ui.widgets.url_state import KeptText

CHANGES = "changes"
CAME = "changes-came"  # the variants that came with their records
READ = "changes-read"  # what tells the text or the file that the records come from: changes are to records of that
BOX, OPEN_FILE = "box", "file"
SLOT = re.compile(f"({BOX}|{OPEN_FILE}) [0-9a-f]{{16}} ")
KEPT = KeptText("changes-kept", "e", "these changes")  # the same as text, which a refresh brings back
KEPT_FORM = TypeAdapter(dict[str, list[tuple[int, str, str]]])  # by `_slot`: start, reference, alternative
UNREADABLE = "The changes that were made to the DNA before the refresh cannot be read."
DROPPED = "The text is another now: changes that were made to it on this page are dropped."
VARIANT = "variant"
REFUSED = "variant-refused"
POSITION = "edit-position"
LONGEST_SHOWN = 2_000


def restore_changes() -> None:
    """Bring back the changes that were made before a refresh; to be called in every run, before records are read."""
    changes: dict[str, list[Variant]] = st.session_state.get(CHANGES, {})
    with_records = st.session_state.setdefault(CAME, {})
    text = _write_changes(changes)
    if st.session_state.get(KEPT.box) or text != _write_changes(
        {slot: with_records.get(slot, []) for slot in changes}
    ):
        st.session_state[KEPT.box] = text
    KEPT.restore()
    if CHANGES not in st.session_state:
        st.session_state[CHANGES] = _read_changes(st.session_state[KEPT.box])


def forget_changes() -> None:
    """Forget all changes, those too that a refresh would bring back; only in a callback."""
    st.session_state.update({CHANGES: {}, CAME: {}})
    KEPT.fill("")


def _read_changes(text: str) -> dict[str, list[Variant]]:
    try:
        stored = KEPT_FORM.validate_json(text or "{}")
        if not all(map(SLOT.match, stored)):
            raise ValueError("changes to no text and no file")
        return {
            slot: [Variant(start, encode(before), encode(after)) for start, before, after in changes]
            for slot, changes in stored.items()
        }
    except ValueError:
        st.warning(UNREADABLE)
        return {}


def _write_changes(by_slot: dict[str, list[Variant]]) -> str:
    stored = {
        slot: [(change.start, decode(change.reference), decode(change.alternative)) for change in changes]
        for slot, changes in by_slot.items()
    }
    return KEPT_FORM.dump_json(stored).decode()


def changes_of(record: Record) -> list[Variant]:
    """The changes made to a record so far, to be appended to."""
    changes: dict[str, list[Variant]] = st.session_state[CHANGES]
    record_changes = changes.setdefault(_slot(record), [])
    try:
        edits.edit(record.codes, record_changes)
    except ValueError:  # what is kept was damaged
        st.warning(UNREADABLE)
        record_changes.clear()
    return record_changes


def key(record: Record) -> str:
    """What tells a record from others, in later sessions too."""
    return f"{record.name} {hashlib.sha256(record.codes.tobytes()).hexdigest()}"


def _slot(record: Record) -> str:
    """What tells the changes to a record of what was read from those to the same record of another text or file."""
    return f"{st.session_state[READ]} {key(record)}"


def changes_to(kind: str, content: str | bytes) -> None:
    """Let changes be those to a text (`BOX`) or a file (`OPEN_FILE`), and forget those to any other of its kind.

    To be called before its records are read. While a file is open, those to the text of the box are kept.
    """
    data = content.encode(errors="replace") if isinstance(content, str) else content
    current = st.session_state[READ] = f"{kind} {hashlib.sha256(data).hexdigest()[:16]}"
    by_slot, with_records = st.session_state[CHANGES], st.session_state[CAME]
    others = [slot for slot in by_slot if slot.startswith(f"{kind} ") and not slot.startswith(f"{current} ")]
    dropped = {slot: by_slot.pop(slot) for slot in others}
    if kind == BOX and _write_changes(dropped) != _write_changes(
        {slot: with_records.get(slot, []) for slot in others}
    ):
        st.toast(DROPPED)
    for slot in others:
        with_records.pop(slot, None)


def start_with(record: Record, variant: Variant) -> None:
    """Show a record with a variant that came with it, unless it has been undone since."""
    st.session_state[CAME][_slot(record)] = [variant]
    st.session_state[CHANGES].setdefault(_slot(record), [variant])


def changed_copy(record: Record) -> Record:
    """The record with the changes made to it, which its name then tells; the record itself where there are none."""
    if not st.session_state[CHANGES].get(_slot(record)) or not (changes := changes_of(record)):
        return record
    name = f"{record.name} {', '.join(edits.describe(record.codes, changes))}"
    return replace(record, name=name, codes=edits.edit(record.codes, changes).codes)


def show_effect(effect: VariantEffect | None, unit: str) -> None:
    """What the changes do, in words and numbers."""
    if effect is None:
        st.markdown("**Nothing of the original is left** to compare with.")
        return
    st.markdown(f"**{edits.headline(effect)}**: {edits.details(effect, unit)}")


def draw_changes(
    record: Record, edited: EditedSequence, records: Sequence[Record], open_record: Callable[[Record], None]
) -> None:
    """Draw the inputs of a variant and of a base, undo, and the changed sequence."""
    st.subheader("Change the DNA", anchor=False)
    changes = changes_of(record)
    with st.container(horizontal=True, vertical_alignment="bottom", key="edit"):
        st.text_input(
            "Variant",
            key=VARIANT,
            placeholder="12 A>G",
            help=f"{FORMS}. Positions count from 1, along the sequence as it was pasted, or along the genome where "
            "the record's name gives its place. Press Enter.",
            on_change=_add_variant,
            args=(record, records, open_record),
            width=240,
        )
        _draw_base(record, edited, changes)
        st.button(
            "Undo",
            disabled=not changes,
            icon=":material/undo:",
            on_click=_replace_changes,
            args=(changes, changes[:-1]),
        )
        st.button("Back to the original", disabled=not changes, on_click=_replace_changes, args=(changes, []))
    if refusal := st.session_state.pop(REFUSED, None):
        st.error(plain(refusal))
    if changes:
        st.caption(f"Changed: {', '.join(edits.describe(record.codes, changes))}. The grey line is the original.")
        if len(edited.codes) <= LONGEST_SHOWN:
            st.code(decode(edited.codes), language=None, wrap_lines=True)


def _draw_base(record: Record, edited: EditedSequence, changes: list[Variant]) -> None:
    if not len(edited.codes):
        return
    if st.session_state.get(POSITION, 1) > len(edited.codes):
        st.session_state[POSITION] = 1
    position = st.number_input(
        "Position",
        min_value=1,
        max_value=len(edited.codes),
        key=POSITION,
        help="Or click a point of the profile.",
        width=150,
    )
    current = int(edited.codes[position - 1])
    # Buttons, since a control that holds a choice may send it again after an undo.
    with st.container(width="content", gap="xsmall"):
        st.caption(f"Base, now {LETTERS[current]}")
        with st.container(horizontal=True, gap="xsmall"):
            for code, letter in enumerate("ACGT"):
                st.button(
                    letter,
                    key=f"base-{letter}",
                    disabled=code == current,
                    on_click=set_base,
                    args=(record, code, changes),
                )


def set_base(record: Record, code: int, changes: list[Variant]) -> None:
    """Set the chosen base; sequence and position as they are now: a click may come before the page is drawn anew."""
    codes, place = edits.edit(record.codes, changes).codes, st.session_state[POSITION] - 1
    if place < len(codes) and codes[place] != code:
        changes.append(edits.substitution(codes, place, code))


def _replace_changes(record_changes: list[Variant], changes: Sequence[Variant]) -> None:
    """Let `changes` be those made to a record; as when the button was drawn, however often it is pressed."""
    record_changes[:] = changes


def _add_variant(record: Record, records: Sequence[Record], open_record: Callable[[Record], None]) -> None:
    text = st.session_state[VARIANT]
    if not text.strip():
        return
    additions: list[tuple[Record, Variant]] = []
    try:
        for target, variant in _parse(text, record, records):
            changes = [*changes_of(target), *(change for other, change in additions if other is target)]
            placed = _in_edited_coordinates(variant, edits.edit(target.codes, changes))
            edits.edit(target.codes, [*changes, placed])
            additions.append((target, placed))
    except ValueError as error:
        st.session_state[REFUSED] = str(error)
        return
    for target, placed in additions:
        changes_of(target).append(placed)
    st.session_state[VARIANT] = ""
    open_record(additions[0][0])


def _parse(text: str, record: Record, records: Sequence[Record]) -> list[tuple[Record, Variant]]:
    """The record that is open goes before the others where a change fits several."""
    try:
        return parse_changes(text, [record])
    except ValueError:
        return parse_changes(text, [record, *(other for other in records if other is not record)])


def _in_edited_coordinates(variant: Variant, current_edit: EditedSequence) -> Variant:
    """A variant of the original in the coordinates that earlier changes have left."""
    return Variant(current_edit.place(variant.start), variant.reference, variant.alternative)
