"""What many variants do: a table by the size of the effect, and the profiles with and without the one chosen."""

from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from tfbind.effects_table import table_lines, unused_lines
from tfbind.files import words
from tfbind.letters import short
from tfbind.numbers import fixed
from tfbind.scoring import call_sites
from tfbind.sequence_plots import Line, profile_figure
from tfbind.sites import motif_hits
from tfbind.variant_list import MAX_CALLS, VariantList
from tfbind.vcf import Call
from tfbind.vcf_effects import Effect, Scored, Scorer
from ui import scored
from ui.background import offer_variants
from ui.model_choice import Settings
from ui.results import chart_buttons
from ui.scored import Effects
from ui.session import cells, plain
from ui.variant_input import Variants

TABLE = "variant-effects"
AROUND = 60  # bases on either side of a variant that are drawn
LONGEST_ALLELE = 12  # letters of an allele in the table


def variant_view(variants: Variants, how: Settings) -> None:
    """Draw the effects of variants."""
    st.subheader("What the variants do", anchor=False)
    try:
        found = scored.effects(
            how.model, how.threshold, how.both, variants.identity, variants.listed.calls, variants.reference
        )
    except (ValueError, OSError) as error:
        st.error(plain(words(error)))
        return
    if variants.listed.more:
        st.info(f"The list goes on: the first {MAX_CALLS:,} lines are here.")
        if variants.genome:
            offer_variants(variants.names[0], variants.content, variants.genome, how)
    st.fragment(_draw)(variants, found, how)


def _draw(variants: Variants, found: Effects, how: Settings) -> None:
    listed = variants.listed
    if not found.scored:
        _draw_unscored(found.unscored, listed)
        return
    words = [f"{len(found.scored):,} variant{'s' * (len(found.scored) != 1)} scored, the largest effect first"]
    words += [f"bases from {variants.names[1]}", *(found.notes if variants.genome else [])]
    st.caption(f"{plain(' · '.join(words))}. Select a row to see its profiles.")
    st.dataframe(
        _table(found.scored),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": [0]}},
        key=TABLE,
        height=min(35 * (len(found.scored) + 1) + 3, 280),
        alt="Variants with their effect, where it acts, and sites gained and lost",
        column_config=COLUMNS | {"Effect": _effect_column(how.model.meaning.scale)},
    )
    _draw_downloads(variants, found, how)
    _draw_unscored(found.unscored, listed, folded=True)
    state = st.session_state.get(TABLE)
    chosen = state["selection"]["rows"] if state else []
    place = chosen[0] if chosen and chosen[0] < len(found.scored) else 0
    _draw_profiles(*found.scored[place], variants, how)


def _effect_column(scale: str) -> Any:
    words = (
        f"The largest change of a score, with the variant minus without, in {plain(scale)}. The repeat that an "
        "insertion or deletion lies in counts by its highest score, so that every spelling has the same effect."
    )
    return st.column_config.NumberColumn("Effect", format="%+.2f", help=words)


def _draw_unscored(unscored: list[Scored], listed: VariantList, folded: bool = False) -> None:
    """The lines without a score, each with its reason."""
    rows = [(bad.line, bad.text, bad.why) for bad in listed.bad]
    rows += [(call.line, _name(call), call.skipped) for call, _ in unscored]
    if not rows:
        return
    label = f"{len(rows):,} without a score, and why"
    with st.expander(label, icon=":material/warning:", expanded=not folded):
        named = [{"Line": line, "Variant": variant, "Why": why} for line, variant, why in sorted(rows)]
        st.dataframe(
            pd.DataFrame(cells(named)),
            hide_index=True,
            height=min(35 * (len(rows) + 1) + 3, 180),
            column_config={"Line": st.column_config.NumberColumn(width="small")},
            alt="Lines without a score and why",
        )


def _name(call: Call) -> str:
    alleles = (
        allele if len(allele) <= LONGEST_ALLELE else f"{allele[: LONGEST_ALLELE - 1]}…"
        for allele in (call.reference, call.alternative)
    )
    return f"{short(call.chromosome)}:{call.position} {'>'.join(alleles)}"


def _table(found: list[Scored]) -> pd.DataFrame:
    return pd.DataFrame([_row(call, effect) for call, effect in found if effect])


def _row(call: Call, effect: Effect) -> dict[str, Any]:
    return {
        "Variant": _name(call),
        "ID": "" if call.id == "." else short(call.id),
        "Effect": effect.change,
        "Does": effect.words,
        "At": effect.position,
        "Before": effect.reference,
        "After": effect.alternative,
        "Lost": effect.lost,
        "Gained": effect.gained,
    }


def _draw_downloads(variants: Variants, found: Effects, how: Settings) -> None:
    with st.container(horizontal=True):
        for suffix in (".tsv", ".csv"):
            st.download_button(
                f"Table ({suffix[1:].upper()})",
                data=partial(_file, suffix, variants, found, how),
                file_name=f"variant_effects{suffix}",
                icon=":material/download:",
                on_click="ignore",
                key=f"effects{suffix}",
            )


def _file(suffix: str, variants: Variants, found: Effects, how: Settings) -> bytes:
    lines = table_lines(how.model, [*found.scored, *found.unscored], variants.names, how.threshold, suffix, how.both)
    return "".join([*lines, *unused_lines(variants.listed.bad)]).encode()


def _draw_profiles(call: Call, effect: Effect | None, variants: Variants, how: Settings) -> None:
    """The profiles with and without a variant, one over the other."""
    model = how.model
    try:
        task = Scorer(model, variants.reference).surroundings(call, AROUND + 2 * model.reach)
    except (ValueError, OSError) as error:
        st.error(plain(words(error)))
        return
    before, after = (
        scored.profile(model, codes.tobytes(), how.both, False).scores[:bases]
        for codes, bases in zip(task[1:3], task.lengths(), strict=True)
    )
    if task.reverse:
        task, before, after = task.forward(), before[::-1], after[::-1]
    edited = task.edited()
    st.markdown(f"**{plain(_name(call))}**: {_said(effect, model.meaning.unit)}")
    figure = profile_figure(
        edited.codes,
        after,
        name="with the variant",
        lines=[Line("reference", edited.aligned(before))],
        sites=call_sites(after, how.threshold),
        hits=motif_hits(model.meaning.scan, edited.codes),
        shaded=model.reach if model.length is None else 0,
        first=task.start + 1,
        meaning=model.meaning,
    )
    start = task.start + task.variant.start + 0.5
    figure.add_vline(x=start + max(len(task.variant.alternative), 1) / 2, line={"dash": "dot", "width": 1})
    st.plotly_chart(
        figure,
        key="variant-profiles",
        config=chart_buttons("variant"),
        alt="Predicted binding score at each base around the variant, with it and without it",
    )
    st.caption(_under(call))


def _said(effect: Effect | None, unit: str) -> str:
    if effect is None:
        return "no score"
    score = f"the highest score near it goes from {fixed(effect.reference, 2)} to {fixed(effect.alternative, 2)}"
    change = f"largest change {fixed(effect.change, 2, '+')}{unit} at position {effect.position:,}"
    return f"{effect.words}; {change}; {score}."


def _under(call: Call) -> str:
    words = f"Positions on {plain(short(call.chromosome))}, forward strand; the dotted line marks the variant."
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
