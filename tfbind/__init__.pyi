from .api import (
    call_sites as call_sites,
    compare_runs as compare_runs,
    discover_motif as discover_motif,
    list_datasets as list_datasets,
    list_runs as list_runs,
    load_model as load_model,
    mutagenesis as mutagenesis,
    open_dataset as open_dataset,
    plot_profile as plot_profile,
    predict_file as predict_file,
    score as score,
    score_variants as score_variants,
    simulate_dataset as simulate_dataset,
    submit as submit,
    train as train,
)
from .compare import Verdict as Verdict
from .config import PRESETS as PRESETS, TrainConfig as TrainConfig
from .data import Windows as Windows
from .runs import Run as Run
from .scoring import Model as Model
from .sweeps import Sweep as Sweep

__version__: str
