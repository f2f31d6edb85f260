from . import jobs as jobs
from .bundle import (
    as_json as as_json,
    export_bundle as export_bundle,
    provenance as provenance,
    write_beside as write_beside,
)
from .checkpoint import Batch as Batch, ScoringOptions as ScoringOptions, score_batch as score_batch
from .formats import (
    BESIDE as BESIDE,
    About as About,
    Track as Track,
    about_line as about_line,
    as_bytes as as_bytes,
    beside as beside,
    check as check,
    coordinates as coordinates,
    facts as facts,
    quoted as quoted,
    replaced as replaced,
    safe_cell as safe_cell,
    track as track,
)
from .gpu import TorchNetwork as TorchNetwork
from .ism import (
    Mutagenesis as Mutagenesis,
    Variant as Variant,
    apply_variant as apply_variant,
    mutagenesis as mutagenesis,
)
from .jobs import (
    MAX_MB as MAX_MB,
    JobRequest as JobRequest,
    JobStatus as JobStatus,
    PredictionJob as PredictionJob,
    keep_failure as keep_failure,
)
from .model import (
    THREADS as THREADS,
    Model as Model,
    OnnxNetwork as OnnxNetwork,
    Profile as Profile,
    Scores as Scores,
    Site as Site,
    UnusableModel as UnusableModel,
    call_sites as call_sites,
    load_model as load_model,
    make_model as make_model,
    read_members as read_members,
    rule as rule,
    score as score,
    score_windows as score_windows,
)
from .plots import (
    COMPARED as COMPARED,
    REVERSED as REVERSED,
    Line as Line,
    mutagenesis_figure as mutagenesis_figure,
    profile_figure as profile_figure,
    stacked_figure as stacked_figure,
)
from .predict import PredictionReport as PredictionReport, ScoreBatches as ScoreBatches, predict_file as predict_file
from .sites import (
    BACKGROUND_BASES as BACKGROUND_BASES,
    Background as Background,
    Hit as Hit,
    background as background,
    describe_sites as describe_sites,
    draw_window as draw_window,
    find_sites as find_sites,
    find_window as find_window,
    index_of as index_of,
    motif_hits as motif_hits,
    with_chance as with_chance,
)
from .target import (
    BUILTIN as BUILTIN,
    SHIPPED as SHIPPED,
    THRESHOLD as THRESHOLD,
    UNKNOWN as UNKNOWN,
    ScoreTarget as ScoreTarget,
    read_score_target as read_score_target,
)
from .web_page import (
    SEQUENCE_SCRIPT as SEQUENCE_SCRIPT,
    SEQUENCE_STYLE as SEQUENCE_STYLE,
    export_web_page as export_web_page,
    web_page as web_page,
)
