from . import plan as plan, search as search
from .controller import (
    RETRIED as RETRIED,
    Controller as Controller,
    add_run as add_run,
    cancel as cancel,
    command as command,
    mark_failed as mark_failed,
    resume as resume,
    retry as retry,
    room_for as room_for,
    stop as stop,
)
from .plan import (
    LISTED as LISTED,
    Plan as Plan,
    describe_plan as describe_plan,
    plan_sweep as plan_sweep,
    progress as progress,
)
from .search import MAX_RUNS as MAX_RUNS, Spec as Spec
from .spec import MAX_REPLICATES as MAX_REPLICATES, MAX_TEXT as MAX_TEXT, METRICS as METRICS, parse_spec as parse_spec
from .sweep_folder import (
    EXAMPLE as EXAMPLE,
    SETTINGS as SETTINGS,
    RecordCache as RecordCache,
    Sweep as Sweep,
    active_sweeps as active_sweeps,
    create as create,
    extend as extend,
    find as find,
    is_sweep as is_sweep,
    judged_by as judged_by,
    list_sweeps as list_sweeps,
    read_settings as read_settings,
    read_spec as read_spec,
    read_text as read_text,
    run_records as run_records,
    sweep_name as sweep_name,
    sweep_runs as sweep_runs,
    sweep_sizes as sweep_sizes,
)
