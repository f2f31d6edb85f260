from . import baselines as baselines, filters as filters, test_set as test_set
from .baselines import (
    SPLIT as SPLIT,
    Appraisal as Appraisal,
    Beside as Beside,
    as_good_as_the_rule as as_good_as_the_rule,
    beside_each as beside_each,
    make as make,
    remark_beside as remark_beside,
)
from .filters import Filter as Filter, Learnt as Learnt, learnt as learnt
