from . import build as build, dataset as dataset, manage as manage, pairs as pairs, plots as plots, splits as splits
from .build import P_VALUE as P_VALUE, RULE as RULE, WINDOW_LENGTH as WINDOW_LENGTH, remarks as remarks
from .dataset import (
    BUILTIN as BUILTIN,
    Windows as Windows,
    check_content as check_content,
    check_learnable as check_learnable,
    content_hashes as content_hashes,
    import_pair as import_pair,
    list_datasets as list_datasets,
    make_builtin as make_builtin,
    open_dataset as open_dataset,
    open_validated as open_validated,
    simulate_dataset as simulate_dataset,
)
from .leaks import Leaks as Leaks, find_leaks as find_leaks
from .manage import SOURCES as SOURCES, open_training_data as open_training_data, resolve_name as resolve_name
from .pairs import constant_score as constant_score, constant_score_message as constant_score_message
from .simulate import (
    LENGTH as LENGTH,
    Shares as Shares,
    human_words as human_words,
    simulate_chromosome as simulate_chromosome,
    simulate_dna as simulate_dna,
    simulate_windows as simulate_windows,
    word_shares as word_shares,
)
from .splits import Places as Places, Split as Split, split as split, validation_groups as validation_groups
