"""Where many variants come in, and the genome that they are called on."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from tfbind.files import typed_path, words
from tfbind.genome import Genome, keep_fasta
from tfbind.jobs import MAX_MB
from tfbind.records import Record
from tfbind.reference import FromGenome, FromRecords, Reference
from tfbind.variant_list import VariantList, read_list
from ui.sequence_input import VARIANTS
from ui.session import home, on_loopback, plain
from ui.uploads import NewText, Uploader

FILE = Uploader("variants-file")
OVER_FILE = NewText(VARIANTS.box)
GENOME, GENOME_PATH = "variants-genome", "variants-genome-path"
HELP = (
    "A VCF, or some lines of one, or one change on each line: chr22:10510600 A>G. Positions count from 1. The bases "
    "around come from the sequences above, where their names say their place (chr22:10510501-10510800), or from a "
    "genome."
)


@dataclass(frozen=True)
class Variants:
    """Variants to score and the bases around them; what they are called, and what tells them from others.

    `genome` is the file of the reference, None where it is the sequences on the page.
    """

    listed: VariantList
    reference: Reference
    names: tuple[str, str]
    identity: tuple[str, str]
    content: BinaryIO
    genome: Path | None


def variant_input(records: Sequence[Record]) -> Variants | None:
    """Draw the box, the upload and the genome; None when there is nothing to score, or it cannot be read."""
    VARIANTS.restore()
    OVER_FILE.settle(FILE.file.name if FILE.file else "", FILE.empty)
    given = bool(st.session_state[VARIANTS.box] or FILE.file)
    with st.expander("Many variants: a VCF or a list", icon=":material/difference:", expanded=given):
        st.text_area(
            "Variants",
            key=VARIANTS.box,
            height=120,
            help=HELP,
            placeholder="chr22:10510600 A>G\nor a VCF",
        )
        with st.container(horizontal=True):
            st.button("Score variants", icon=":material/insights:")
            with st.popover("Open a VCF", icon=":material/upload_file:"):
                file = st.file_uploader("VCF or text, plain or gzip", max_upload_size=MAX_MB, key=FILE.key)
            with st.popover("Genome", icon=":material/genetics:"):
                upload, path = _draw_genome()
            st.button("Clear variants", on_click=_clear, disabled=not given)
        OVER_FILE.tell()
        if file:
            st.caption(
                plain(f"From the file {file.name}; Clear variants takes it out. New text in the box closes it.")
            )
        text = st.session_state[VARIANTS.box]
        if not (file or text.strip()):
            return None
        try:
            return _read(file, text, records, _genome(upload, path))
        except (ValueError, OSError) as error:
            st.error(plain(words(error)))
            return None


def _clear() -> None:
    FILE.empty()
    VARIANTS.fill("")


def _draw_genome() -> tuple[UploadedFile | None, str]:
    st.caption("Only for variants outside the sequences above: the genome that they were called on.")
    typed = ""
    if on_loopback():
        typed = st.text_input(
            "FASTA: path on this computer", key=GENOME_PATH, placeholder="/data/hg38.fa, or upload it below"
        ).strip()
    if typed:  # no upload beside it: it would not be read
        return None, typed
    return st.file_uploader("FASTA, plain or gzip", max_upload_size=MAX_MB, key=GENOME), typed


def _genome(upload: UploadedFile | None, typed: str) -> Path | None:
    if typed:
        return typed_path(typed)
    return _kept(upload.file_id, upload) if upload else None


@st.cache_data(max_entries=4, show_spinner="Reading the genome")
def _kept(id: str, _upload: UploadedFile) -> Path:  # noqa: ARG001
    return keep_fasta(cast(BinaryIO, _upload), home() / "cache" / "genomes")


def _read(file: UploadedFile | None, text: str, records: Sequence[Record], genome: Path | None) -> Variants | None:
    """What was given, read.

    Raises:
        ValueError: one line: it cannot be read.
    """
    if not records and genome is None:
        st.info(
            "The bases around the variants are missing: paste the sequence that they lie in above, named by its "
            "place (>chr22:10510501-10510800), or open the genome."
        )
        return None
    sequences = tuple(record.name for record in records) if genome is None else ()
    listed = _listed(file.file_id if file else text, sequences, file or text)
    reference, told, identity = _reference(records, genome)
    name = file.name if file else "pasted variants"
    content = cast(BinaryIO, file or io.BytesIO(text.encode()))
    key = f"{file.file_id if file else hashlib.sha256(text.encode()).hexdigest()} {sequences}"
    return Variants(listed, reference, (name, told), (key, identity), content, genome)


@st.cache_data(max_entries=4, show_spinner="Reading the variants")
def _listed(id: str, sequences: tuple[str, ...], _data: UploadedFile | str) -> VariantList:  # noqa: ARG001
    return read_list(_data if isinstance(_data, str) else _data.getvalue(), sequences)


def _reference(records: Sequence[Record], genome: Path | None) -> tuple[Reference, str, str]:
    """Where the bases come from, what it is called, and what tells it from others."""
    if genome is None:
        content = hashlib.sha256()
        for record in records:
            content.update(f"{record.name}\n{len(record.codes)}\n".encode() + record.codes.tobytes())
        return FromRecords(records), "the sequences on the page", content.hexdigest()
    reference = FromGenome(Genome(genome, home() / "cache" / "fasta"))
    facts = genome.stat()
    return reference, genome.name, f"{genome} {facts.st_size} {facts.st_mtime_ns}"
