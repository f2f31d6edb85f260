from . import baselines as baselines, filters as filters, test_set as test_set
from .baselines import (
    SPLIT as SPLIT,
    BaselineComparison as BaselineComparison,
    SplitBaselines as SplitBaselines,
    as_good_as_the_rule as as_good_as_the_rule,
    compare_baselines_by_data as compare_baselines_by_data,
    ensure_baselines as ensure_baselines,
    remark_on_best as remark_on_best,
)
from .filters import Filter as Filter, FilterReport as FilterReport, describe_filters as describe_filters
