from . import build as build, dataset as dataset, manage as manage, pairs as pairs, plots as plots, splits as splits
from .build import P_VALUE as P_VALUE, RULE as RULE, WINDOW_LENGTH as WINDOW_LENGTH, remarks as remarks
from .dataset import (
    BUILTIN as BUILTIN,
    Windows as Windows,
    check_content as check_content,
    check_learnable as check_learnable,
    contents as contents,
    import_pair as import_pair,
    list_datasets as list_datasets,
    make_builtin as make_builtin,
    name_now as name_now,
    open_checked as open_checked,
    open_dataset as open_dataset,
    open_learnt as open_learnt,
    simulate_dataset as simulate_dataset,
)
from .leaks import Leaks as Leaks, find_leaks as find_leaks
from .manage import SOURCES as SOURCES
from .pairs import nothing_to_learn as nothing_to_learn, one_score as one_score
from .simulate import (
    LENGTH as LENGTH,
    simulate_chromosome as simulate_chromosome,
    simulate_windows as simulate_windows,
)
from .splits import Places as Places, Split as Split, held_groups as held_groups, split as split
