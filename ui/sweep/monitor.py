"""A sweep on the page: its runs race on one pair of charts, live; stop, resume, retry, extend, add a run."""

from collections import Counter
from typing import Any

import pandas as pd
import streamlit as st

from tfbind import runs, sweeps
from tfbind.compare import metric_label
from tfbind.figures import GREY, Curve, curve
from tfbind.runs import ACTIVE, RunRecord, Status, duration, round_seconds
from tfbind.sweeps import MAX_TEXT, RETRIED, RecordCache, Spec, Sweep, progress, room_for, search
from tfbind.text import figure, visible
from ui.compare.select import show_comparison
from ui.train.form import label, parse_form
from ui.train.run import state_badge
from ui.train.wandb import secrets
from ui.widgets.chart import Chart, live_charts, loss_chart
from ui.widgets.panels import number_column, number_columns, panel, poll
from ui.widgets.session import TRAIN_PAGE, cells, close_sweep, home, plain, run_action

OWN_COLOURS = 8  # more runs than that and only the best have a colour and a name in the legend
LEADERS = 3


def actions(sweep: Sweep, status: Status, records: list[RunRecord]) -> None:
    """Draw the buttons that the state of the sweep allows."""
    with st.container(horizontal=True, key="actions"):
        if status.active or any(run.state in ACTIVE for run in records):
            _stop(sweep, status)
        elif status.state != "finished" and st.button("Resume", type="primary", icon=":material/resume:"):
            run_action(lambda: sweeps.resume(sweep, secrets()))
        if any(run.state in RETRIED for run in records):
            _retry(sweep, sum(run.state in RETRIED for run in records))
        _extend(sweep)
        _add_run(sweep)
        if records and st.button("Compare", icon=":material/compare_arrows:"):
            show_comparison(sweep.id)


def _stop(sweep: Sweep, status: Status) -> None:
    requested = sweep.stop_requested()
    if st.button("Stop all", icon=":material/stop_circle:", disabled=requested, key="stop-all"):
        run_action(lambda: sweeps.cancel(sweep))
    if status.active and st.button(
        "Start no more",
        disabled=requested,
        key="stop-new",
        help="The runs that are under way go on to their end.",
    ):
        run_action(lambda: sweeps.cancel(sweep, leave_runs=True))


def _retry(sweep: Sweep, count: int) -> None:
    if st.button(f"Retry {count} failed", icon=":material/replay:", help="Each goes on after its last good epoch."):
        run_action(lambda: sweeps.retry(sweep, secrets()))


def _extend(sweep: Sweep) -> None:
    with st.popover("Extend", icon=":material/edit_note:"):
        st.caption("Change the sweep file. What has run stays; what is new in it will run.")
        text = st.text_area(
            "Sweep file", sweeps.read_text(sweep), height=320, max_chars=MAX_TEXT, key=f"extend-{sweep.id}"
        )
        if st.button("Save and run", type="primary", key="extend"):
            run_action(lambda: _save_and_resume(sweep, text))


def _save_and_resume(sweep: Sweep, text: str) -> None:
    sweeps.extend(sweep, text)
    if not sweep.status().active:
        sweeps.resume(sweep, secrets())


def _add_run(sweep: Sweep) -> None:
    with st.popover("Add a run", icon=":material/add_circle:"):
        spec = sweeps.read_spec(sweep)
        st.caption("A run of your own choice beside those that the sweep makes.")
        values = {
            field: st.text_input(label(field), str(getattr(spec.base, field)), key=f"add-{field}")
            for field in spec.varied or ["learning_rate"]
        }
        if st.button("Start", type="primary", key="add"):
            run_action(lambda: sweeps.add_run(sweep, parse_form(values, spec.base), secrets()))


def run_actions(records: list[RunRecord]) -> None:
    """Choose one run and open or stop it."""
    active = {run.id: run for run in records if run.state in ACTIVE}
    if not active:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        id = st.selectbox(
            "One of its runs", list(active), format_func=lambda id: visible(active[id].name), key="one-run"
        )
        st.page_link(TRAIN_PAGE, label="Open", icon=":material/open_in_new:", query_params={"run": id})
        if st.button("Stop this run", key="stop-one"):
            run_action(runs.find(home(), id).cancel)


@st.cache_resource(show_spinner=False)
def _record_cache() -> RecordCache:
    """Runs that were seen to have ended, for all sweeps."""
    return {}


def race(sweep: Sweep) -> None:
    """Draw a sweep: heading, buttons, state, curves, table. Polls once a second while anything is active."""
    status = sweep.status()
    title, new = st.columns([5, 1], vertical_alignment="center")
    title.header(plain(sweeps.read_settings(sweep)["name"]), anchor=False)
    new.button("New sweep", icon=":material/add:", on_click=close_sweep, width="stretch")
    records = sweeps.run_records(sweep, _record_cache())
    with panel("buttons"):
        actions(sweep, status, records)
    busy = status.active or any(run.state in ACTIVE for run in records)
    poll(lambda: live(sweep, busy), busy)
    with panel("buttons of a run"):
        run_actions(records)


def live(sweep: Sweep, was_busy: bool) -> None:
    """Draw how a sweep stands; the whole page again when it has come to its end."""
    status = sweep.status()
    records = sweeps.run_records(sweep, _record_cache())
    if was_busy and not status.active and not any(run.state in ACTIVE for run in records):
        st.rerun()
    with panel("sweep"):
        _draw(sweep, status, sweeps.read_spec(sweep), records)


def _draw(sweep: Sweep, status: Status, spec: Spec, records: list[RunRecord]) -> None:
    settings = sweeps.read_settings(sweep)
    running = sum(run.state == "running" for run in records)
    at_once = settings["parallel"] or (running if settings.get("ray") else room_for(spec.base))
    state = progress(spec, records, at_once)
    place = f" · on the Ray cluster at {plain(settings['ray'])}" if settings.get("ray") else ""
    st.markdown(f"{state_badge(status.state)} " + " · ".join(_facts(spec, records)) + place)
    if other := search.disagreement(spec, records):
        st.caption(plain(f"The metrics disagree: by {metric_label(other[0])} the best run is {other[1].name}."))
    if status.error:
        st.error(plain(status.error))
    if status.active:
        left = "" if state.seconds_left is None else f" · about {duration(round_seconds(state.seconds_left))} left"
        st.progress(min(1.0, state.share), f"{state.ended} of {state.total} runs ended{left}")
    with panel("curves"):
        live_charts(_charts(spec, records), key=f"race-{sweep.id}", height=360)
    with panel("table"):
        _table(spec, records)


def _facts(spec: Spec, records: list[RunRecord]) -> list[str]:
    counts = {
        state: sum(run.state == state for run in records) for state in dict.fromkeys(run.state for run in records)
    }
    facts = [f"{count} {runs.state_word(state)}" for state, count in counts.items()] or ["no run yet"]
    best = search.best_run(spec, records)
    if best:
        figures = f"{metric_label(spec.metric)} {figure(search.metric_value(spec, best))}"
        facts.append(f"best so far: **{plain(best.name)}**{_ended_early(best)} with {figures}")
    return facts


def _charts(spec: Spec, records: list[RunRecord]) -> list[Chart]:
    ranked = sorted(records, key=lambda run: _rank(spec, run))
    leaders = [run.key for run in ranked[:LEADERS]]
    few = len(records) <= OWN_COLOURS
    names = _names(records)
    colours = {
        run.key: place if few else leaders.index(run.key) if run.key in leaders else GREY
        for place, run in enumerate(records)
    }
    order = sorted(records, key=lambda run: colours[run.key]) if not few else records

    def curves(field: str) -> list[Curve]:
        return [curve(names[run.key], run.rows, field, colour=colours[run.key]) for run in order]

    loss, pearson = "Validation loss: lower is better", "Pearson r on held-out windows: 1 is perfect"
    against = f"against epoch, one curve for each of {len(records)} runs"
    return [
        loss_chart(loss, f"{loss}, {against}", curves("val_loss")),
        Chart(pearson, "Pearson r", f"{pearson}, {against}", curves("val_pearsonr")),
    ]


def _rank(spec: Spec, run: RunRecord) -> float:
    value = search.metric_value(spec, run)
    if value is None:
        return float("inf")
    return value if spec.goal == "minimize" else -value


def _names(records: list[RunRecord]) -> dict[str, str]:
    """What each curve is called: the run's name, with its id where two have the same, and how it ended if early."""
    count = Counter(run.name for run in records)
    return {
        run.key: run.name + (f" ({run.id})" if count[run.name] > 1 else "") + _ended_early(run) for run in records
    }


def _ended_early(run: RunRecord) -> str:
    """` (pruned)` of a run that is neither under way nor at its end."""
    return "" if run.state in (*ACTIVE, "finished") else f" ({runs.state_word(run.state)})"


def _table(spec: Spec, records: list[RunRecord]) -> None:
    if not records:
        return
    ranked = sorted(records, key=lambda run: _rank(spec, run))
    table = pd.DataFrame(cells([_row(spec, run) for run in ranked]))
    event: Any = st.dataframe(
        table if table["Why"].any() else table.drop(columns="Why"),
        hide_index=True,
        placeholder="–",
        on_select="rerun",
        selection_mode="single-cell",
        key="race-table",
        alt="The runs of this sweep with their state and the figures of their best epoch",
        column_config={
            **number_columns(table),
            "val_loss": number_column(table["val_loss"], "Validation loss"),
            "val_pearsonr": number_column(table["val_pearsonr"], "Pearson r"),
        },
    )
    st.caption("The best run comes first; figures are those of each run's best epoch. Click a row to open that run.")
    for row, _ in event["selection"]["cells"]:
        st.switch_page(TRAIN_PAGE, query_params={"run": ranked[row].id})


def _row(spec: Spec, run: RunRecord) -> dict[str, object]:
    best = runs.best_row(run.rows) or {}
    return {
        "State": runs.state_word(run.state),
        **{label(field): run.config.get(field) for field in spec.varied},
        "val_loss": best.get("val_loss"),
        "val_pearsonr": best.get("val_pearsonr"),
        "Epochs": f"{len(run.rows)} of {run.config['num_epochs']}",
        "Why": run.error or "",
        "Run": run.id,
    }
