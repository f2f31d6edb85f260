"""Many variants: where they come in with their genome, a table by the size of the effect, the profiles of one."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import pandas as pd
import streamlit as st
from streamlit.typing import UploadedFile

from tfbind.dna import Genome, Record, keep_fasta, shorten
from tfbind.scoring import MAX_MB, Line, call_sites, motif_hits, profile_figure
from tfbind.store import expand_path, format_error
from tfbind.text import fixed
from tfbind.variants import (
    MAX_CALLS,
    AlleleEffect,
    Call,
    FromGenome,
    FromRecords,
    Reference,
    Scored,
    Scorer,
    VariantList,
    read_list,
    table_lines,
)
from ui.predict.input import VARIANTS
from ui.predict.jobs import offer_variants
from ui.predict.model import Settings
from ui.train.science import chart_buttons
from ui.widgets import cache
from ui.widgets.cache import ScoredVariants
from ui.widgets.panels import panel
from ui.widgets.session import cells, home, on_loopback, plain
from ui.widgets.url_state import NewText, Uploader

FILE = Uploader("variants-file")
OVER_FILE = NewText(VARIANTS.box)
GENOME, GENOME_PATH = "variants-genome", "variants-genome-path"
HELP = (
    "A VCF, a table with a header, or one change on each line: chr22:10510600 A>G, 22-10510600-A-G, BED, HGVS. The "
    "bases around come from the sequences above, where their names say their place (chr22:10510501-10510800), or "
    "from a genome."
)
TABLE = "variant-effects"
AROUND = 60  # bases on either side of a variant that are drawn
LONGEST_ALLELE = 12  # letters of an allele in the table


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
    filled = bool(st.session_state[VARIANTS.box] or FILE.file)
    with st.expander("Many variants: a VCF or a list", icon=":material/difference:", expanded=filled):
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
            st.button("Clear variants", on_click=_clear, disabled=not filled)
        OVER_FILE.tell()
        if file:
            st.caption(
                plain(f"From the file {file.name}; Clear variants takes it out. New text in the box closes it.")
            )
        text = st.session_state[VARIANTS.box]
        if not (file or text.strip()):
            return None
        try:
            return _read(file, text, records, _genome(upload, path), upload.name if upload else "")
        except (ValueError, OSError) as error:
            st.error(plain(format_error(error)))
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
        return expand_path(typed)
    return _keep_genome(upload.file_id, upload) if upload else None


@st.cache_data(max_entries=4, show_spinner="Reading the genome")
def _keep_genome(id: str, _upload: UploadedFile) -> Path:  # noqa: ARG001
    return keep_fasta(cast(BinaryIO, _upload), home() / "cache" / "genomes")


def _read(
    file: UploadedFile | None, text: str, records: Sequence[Record], genome: Path | None, genome_name: str
) -> Variants | None:
    """What was given, read.

    Args:
        genome_name: what an uploaded genome was called, "" for its path.

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
    reference, label, identity = _reference(records, genome, genome_name)
    name = file.name if file else "pasted variants"
    content = cast(BinaryIO, file or io.BytesIO(text.encode()))
    key = f"{file.file_id if file else hashlib.sha256(text.encode()).hexdigest()} {sequences}"
    return Variants(listed, reference, (name, label), (key, identity), content, genome)


@st.cache_data(max_entries=4, show_spinner="Reading the variants")
def _listed(id: str, sequences: tuple[str, ...], _data: UploadedFile | str) -> VariantList:  # noqa: ARG001
    return read_list(_data if isinstance(_data, str) else _data.getvalue(), sequences)


def _reference(records: Sequence[Record], genome: Path | None, genome_name: str) -> tuple[Reference, str, str]:
    """Where the bases come from, what it is called, and what tells it from others."""
    if genome is None:
        content = hashlib.sha256()
        for record in records:
            content.update(f"{record.name}\n{len(record.codes)}\n".encode() + record.codes.tobytes())
        return FromRecords(records), "the sequences on the page", content.hexdigest()
    reference = FromGenome(Genome(genome, home() / "cache" / "fasta"))
    facts = genome.stat()
    return reference, genome_name or genome.name, f"{genome} {facts.st_size} {facts.st_mtime_ns}"


def variant_view(variants: Variants, settings: Settings) -> None:
    """Draw the effects of variants."""
    st.subheader("What the variants do", anchor=False)
    try:
        scored = cache.effects(
            settings.model,
            settings.threshold,
            settings.both,
            variants.identity,
            variants.listed.calls,
            variants.reference,
        )
    except (ValueError, OSError) as error:
        st.error(plain(format_error(error)))
        return
    if variants.listed.more:
        st.info(f"The list goes on: the first {MAX_CALLS:,} lines are here.")
        if variants.genome:
            offer_variants(variants.names[0], variants.content, variants.genome, settings)
    st.fragment(_draw)(variants, scored, settings)


def _draw(variants: Variants, scored: ScoredVariants, settings: Settings) -> None:
    if scored.doubt:
        st.warning(plain(scored.doubt))
    if not scored.scored:
        _draw_unscored(scored.unscored)
        return
    words = [
        f"{len(scored.scored):,} variant{'' if len(scored.scored) == 1 else 's'} scored, the largest effect first"
    ]
    words += [f"bases from {variants.names[1]}", *scored.notes]
    st.caption(f"{plain(' · '.join(words))}. Select a row to see its profiles.")
    st.dataframe(
        _table(scored.scored),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": [0]}},
        key=TABLE,
        height=min(35 * (len(scored.scored) + 1) + 3, 280),
        alt="Variants with their effect, where it acts, and sites gained and lost",
        column_config=COLUMNS | {"Effect": _effect_column(settings.model.target.scale)},
    )
    with panel("downloads of variants"):
        _draw_downloads(variants, scored, settings)
    with panel("variants without a score"):
        _draw_unscored(scored.unscored, folded=True)
    state = st.session_state.get(TABLE)
    selection = state["selection"]["rows"] if state else []
    row = selection[0] if selection and selection[0] < len(scored.scored) else 0
    with panel("profiles of a variant"):
        _draw_profiles(*scored.scored[row], variants, settings)


def _effect_column(scale: str) -> Any:
    words = (
        f"The largest change of a score, with the variant minus without, in {plain(scale)}. The repeat that an "
        "insertion or deletion lies in counts by its highest score, so that every spelling has the same effect."
    )
    return st.column_config.NumberColumn("Effect", format="%+.2f", help=words)


def _draw_unscored(unscored: list[Scored], folded: bool = False) -> None:
    """The lines without a score, each with its reason."""
    rows = [(call.line, _name(call), call.skipped) for call, _ in unscored]
    if not rows:
        return
    label = f"{len(rows):,} without a score, and why"
    with st.expander(label, icon=":material/warning:", expanded=not folded):
        table = [{"Line": line, "Variant": variant, "Why": why} for line, variant, why in sorted(rows)]
        st.dataframe(
            pd.DataFrame(cells(table)),
            hide_index=True,
            height=min(35 * (len(rows) + 1) + 3, 180),
            column_config={"Line": st.column_config.NumberColumn(width="small")},
            alt="Lines without a score and why",
        )


def _name(call: Call) -> str:
    if call.position is None:
        return call.id
    alleles = (
        allele if len(allele) <= LONGEST_ALLELE else f"{allele[: LONGEST_ALLELE - 1]}…"
        for allele in (call.reference, call.alternative)
    )
    return f"{shorten(call.chromosome)}:{call.position} {'>'.join(alleles)}"


def _table(scored: list[Scored]) -> pd.DataFrame:
    return pd.DataFrame([_row(call, effect) for call, effect in scored if effect])


def _row(call: Call, effect: AlleleEffect) -> dict[str, Any]:
    return {
        "Variant": _name(call),
        "ID": "" if call.id == "." else shorten(call.id),
        "Effect": effect.change,
        "Does": effect.words,
        "At": effect.position,
        "Before": effect.reference,
        "After": effect.alternative,
        "Lost": effect.lost,
        "Gained": effect.gained,
    }


def _draw_downloads(variants: Variants, scored: ScoredVariants, settings: Settings) -> None:
    with st.container(horizontal=True):
        for suffix in (".tsv", ".csv"):
            st.download_button(
                f"Table ({suffix[1:].upper()})",
                data=partial(_file, suffix, variants, scored, settings),
                file_name=f"variant_effects{suffix}",
                icon=":material/download:",
                on_click="ignore",
                key=f"effects{suffix}",
            )


def _file(suffix: str, variants: Variants, scored: ScoredVariants, settings: Settings) -> bytes:
    rows = [*scored.scored, *scored.unscored]
    lines = table_lines(settings.model, rows, variants.names, settings.threshold, suffix, settings.both)
    return "".join(lines).encode()


def _draw_profiles(call: Call, effect: AlleleEffect | None, variants: Variants, settings: Settings) -> None:
    """The profiles with and without a variant, one over the other."""
    model = settings.model
    try:
        task = Scorer(model, variants.reference).surroundings(call, AROUND + 2 * model.reach)
    except (ValueError, OSError) as error:
        st.error(plain(format_error(error)))
        return
    before, after = (
        cache.profile(model, codes, settings.both, False).scores[:bases]
        for codes, bases in zip(task[1:3], task.lengths(), strict=True)
    )
    if task.reverse:
        task, before, after = task.forward(), before[::-1], after[::-1]
    edited = task.edited()
    st.markdown(f"**{plain(_name(call))}**: {_describe(effect, model.target.unit)}")
    figure = profile_figure(
        edited.codes,
        after,
        name="with the variant",
        lines=[Line("reference", edited.aligned(before))],
        sites=call_sites(after, settings.threshold),
        hits=motif_hits(model.target.scan, edited.codes),
        shaded=model.reach if model.length is None else 0,
        first=task.start + 1,
        target=model.target,
    )
    start = task.start + task.variant.start + 0.5
    figure.add_vline(x=start + max(len(task.variant.alternative), 1) / 2, line={"dash": "dot", "width": 1})
    st.plotly_chart(
        figure,
        key="variant-profiles",
        config=chart_buttons("variant"),
        alt="Predicted binding score at each base around the variant, with it and without it",
    )
    st.caption(_caption(call))


def _describe(effect: AlleleEffect | None, unit: str) -> str:
    if effect is None:
        return "no score"
    score = f"the highest score near it goes from {fixed(effect.reference, 2)} to {fixed(effect.alternative, 2)}"
    change = f"largest change {fixed(effect.change, 2, '+')}{unit} at position {effect.position:,}"
    return f"{effect.words}; {change}; {score}."


def _caption(call: Call) -> str:
    words = f"Positions on {plain(shorten(call.chromosome))}, forward strand; the dotted line marks the variant."
    moved = len(call.reference) != len(call.alternative)
    return f"{words} Behind it, positions are those of the changed sequence." if moved else words


COLUMNS = {
    "Variant": st.column_config.TextColumn("Variant", width=180),
    "Does": st.column_config.TextColumn("What it does"),
    "At": st.column_config.NumberColumn("Acts at", help="The position of the largest change.", format="%d"),
    "Before": st.column_config.NumberColumn(
        "Before", format="%.2f", help="The highest score near it, without the variant."
    ),
    "After": st.column_config.NumberColumn("After", format="%.2f", help="The same with the variant."),
    "Lost": st.column_config.NumberColumn("Lost", help="Called sites that are gone with the variant."),
    "Gained": st.column_config.NumberColumn("Gained", help="Called sites that are there only with it."),
}
