from . import edits as edits
from .design import (
    MOST_CHANGES as MOST_CHANGES,
    Design as Design,
    Goal as Goal,
    design as design,
    oligos as oligos,
)
from .edits import EditedSequence as EditedSequence, VariantEffect as VariantEffect
from .effects import (
    AlleleEffect as AlleleEffect,
    Scored as Scored,
    Scorer as Scorer,
    effect_in_window as effect_in_window,
    effects_frame as effects_frame,
    score_variants as score_variants,
    table_lines as table_lines,
)
from .parse import (
    MAX_CALLS as MAX_CALLS,
    Call as Call,
    VariantList as VariantList,
    looks_like_vcf as looks_like_vcf,
    parse_changes as parse_changes,
    read_list as read_list,
    read_with_variants as read_with_variants,
)
from .reference import FromGenome as FromGenome, FromRecords as FromRecords, Reference as Reference
from .shapes import FORMS as FORMS
