from .importance import FEWEST as FEWEST, setting_importance as setting_importance
from .plots import (
    Axis as Axis,
    Look as Look,
    against as against,
    importance_bars as importance_bars,
    learning_curves as learning_curves,
    parallel as parallel,
    ranking as ranking,
    spans_decades as spans_decades,
)
from .report import (
    MOST_COLUMNS as MOST_COLUMNS,
    Report as Report,
    baseline_table as baseline_table,
    baseline_words as baseline_words,
    csv_table as csv_table,
    facts as facts,
    html_report as html_report,
    markdown_report as markdown_report,
    now as now,
    ranked as ranked,
    setting_columns as setting_columns,
    standings_table as standings_table,
)
from .runs import (
    DEFAULT_METRIC as DEFAULT_METRIC,
    Choice as Choice,
    Goal as Goal,
    Setting as Setting,
    When as When,
    choose as choose,
    choose_at as choose_at,
    columns_of as columns_of,
    differing as differing,
    goal_of as goal_of,
    group as group,
    known_runs as known_runs,
    listed as listed,
    metrics as metrics,
    named as named,
    number as number,
    one_of as one_of,
    originals as originals,
    shown as shown,
    table as table,
    words_of as words_of,
)
from .significance import interval as interval
from .text import RULE as RULE, headline as headline, lines as lines, next_steps as next_steps, words as words
from .verdict import Verdict as Verdict, judge as judge
