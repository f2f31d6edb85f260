from . import discovery as discovery
from .discovery import (
    EQUAL as EQUAL,
    FEWEST_WINDOWS as FEWEST_WINDOWS,
    DiscoveredMotif as DiscoveredMotif,
    discover_motif as discover_motif,
)
from .formats import FileMotif as FileMotif, get_motif as get_motif
from .jaspar import MotifMatch as MotifMatch, nearest_motifs as nearest_motifs, resemblance as resemblance
from .pwm import (
    CROWDED as CROWDED,
    Motif as Motif,
    Scores as Scores,
    find_hits as find_hits,
    from_counts as from_counts,
    information as information,
    jaspar_motif as jaspar_motif,
    motif_logo as motif_logo,
    paint as paint,
    scan as scan,
    threshold_of as threshold_of,
    trimmed as trimmed,
)
from .scan_models import (
    Scan as Scan,
    TrainingExamples as TrainingExamples,
    all_but_overhang as all_but_overhang,
    fit_scan as fit_scan,
    known_motif as known_motif,
    label_scan as label_scan,
    scan_of_origin as scan_of_origin,
)
