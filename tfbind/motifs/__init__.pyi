from . import discovery as discovery
from .discovery import (
    EQUAL as EQUAL,
    FEWEST_WINDOWS as FEWEST_WINDOWS,
    Behind as Behind,
    motif_behind as motif_behind,
)
from .formats import Found as Found, get_motif as get_motif
from .jaspar import Match as Match, nearest as nearest, resemblance as resemblance
from .logo import Letter as Letter, draw_letters as draw_letters, motif_logo as motif_logo
from .pwm import (
    CROWDED as CROWDED,
    Motif as Motif,
    Scores as Scores,
    from_counts as from_counts,
    hits as hits,
    information as information,
    jaspar_motif as jaspar_motif,
    paint as paint,
    scan as scan,
    threshold_of as threshold_of,
    trimmed as trimmed,
)
from .scan_models import (
    Examples as Examples,
    Scan as Scan,
    all_but_overhang as all_but_overhang,
    fitted as fitted,
    known_motif as known_motif,
    rule_behind as rule_behind,
    rule_of_origin as rule_of_origin,
)
