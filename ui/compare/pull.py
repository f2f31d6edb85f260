"""Runs from elsewhere on the Compare page: pulled from W&B, imported from offline folders, names mapped once."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import streamlit as st
from streamlit.typing import UploadedFile

from tfbind.compare import originals
from tfbind.runs import RunRecord, read_run_records
from tfbind.store import annotate_oserror, format_error
from tfbind.text import visible
from tfbind.tracking import (
    BASE_URL,
    KEY,
    OURS,
    URL,
    Pulled,
    StoredProject,
    cache,
    pull,
    suggest,
    unknown,
)
from ui.compare.select import cached_record, select
from ui.widgets.session import home, plain, run_action

UPLOAD_MB = 50
SAID, FAILED, NAMES = "pulled-said", "curves-failed", "names-project"
MOST_NAMES, LONGEST_NAME = 30, 80


def external_runs() -> None:
    """Draw the ways in, folded away."""
    with st.expander("Runs from Weights & Biases", icon=":material/cloud_download:"):
        pulled, offline = st.columns(2, gap="large")
        with pulled:
            _pull()
        with offline:
            _offline()
        _names()
    message = st.session_state.pop(SAID, None)
    if message:
        st.success(plain(message))


def curves_of(records: list[RunRecord]) -> None:
    """Offer to get the curves of selected runs of which only the last values are here."""
    failed = st.session_state.pop(FAILED, None)
    place = st.container()  # also without an error, so that the button below is the same one
    if failed:
        place.error(plain(failed))
    thin = [record for record in records if record.source == "wandb" and record.sampled and record.last_only]
    if not thin:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"Of {len(thin):,} selected runs only the last values are here, not their curves.")
        if st.button("Get their curves", icon=":material/show_chart:"):
            try:
                with st.spinner("Asking"):
                    pull.fetch_histories(home(), [record.key for record in thin], _url(), _key())
            except (ValueError, OSError) as error:
                st.session_state[FAILED] = format_error(error)
            st.rerun()  # the next run shows the curves that came before an error, and says it


def _key() -> str | None:
    return (st.session_state.get("pull-key") or "").strip() or None


def _url() -> str:
    """The server that the key in the form belongs to."""
    return st.session_state.get("pull-url") or os.environ.get(URL) or BASE_URL


def _pull() -> None:
    # A form, since a password field outside one forgets what was typed when it is left by Tab.
    with st.form("pull", border=False):
        path, url, action = _pull_form()
    if action and not path.strip():
        st.error("Project or sweep: expected entity/project or entity/project/sweeps/id.")
    elif action:
        _pull_and_select(lambda: pull.pull_runs(home(), path, url, _key(), refresh=action == "refresh"))


def _pull_form() -> tuple[str, str, str]:
    """The fields of the form: what to pull, from where, and which button was pressed."""
    path = st.text_input(
        "Project or sweep", key="pull-path", placeholder="entity/project or entity/project/sweeps/id"
    )
    left, right = st.columns(2)
    url = left.text_input("Server", os.environ.get(URL) or BASE_URL, key="pull-url")
    right.text_input(
        "Key",
        type="password",
        autocomplete="off",
        key="pull-key",
        placeholder=f"{KEY} or netrc",
        help="Kept in this browser session only. It is written nowhere.",
    )
    with st.container(horizontal=True):
        pulling = st.form_submit_button("Pull", icon=":material/download:")
        refresh = st.form_submit_button("Refresh", help="Asks the server again; what is kept stays if it fails.")
    return path, url, "pull" if pulling else "refresh" if refresh else ""


def _offline() -> None:
    files = st.file_uploader(
        "Offline runs",
        type=["wandb"],
        accept_multiple_files=True,
        max_upload_size=UPLOAD_MB,
        key="offline-files",
        help="The files run-….wandb from folders named wandb/offline-run-…",
    )
    if st.button("Import", disabled=not files, key="offline-import"):
        _pull_and_select(lambda: _import(files))


def _import(files: list[UploadedFile]) -> Pulled:
    with tempfile.TemporaryDirectory() as name, annotate_oserror(Path(name)):
        for number, file in enumerate(files):
            (Path(name) / f"{number}.wandb").write_bytes(file.getvalue())
        return pull.import_offline(home(), Path(name))


def _pull_and_select(pull_action: Callable[[], Pulled]) -> None:
    try:
        with st.spinner("Asking"):
            pulled = pull_action()
    except (ValueError, OSError) as error:
        st.error(plain(format_error(error)))
        return
    if not pulled.records:
        st.info(plain(f"{pulled.project.place} has no runs yet."))
        return
    when = "just now" if pulled.fresh else f"kept since {pulled.when}; Refresh asks the server"
    records = originals(pulled.records, read_run_records(home(), cached_record)[0])
    local = sum(record.source == "local" for record in records)
    local_note = f" Logged from here, and therefore shown as the runs of this home: {local:,}." if local else ""
    st.session_state[SAID] = f"{len(pulled.records):,} runs of {pulled.project.path}, {when}.{local_note}"
    select([record.key for record in records], anew=True)
    st.session_state[NAMES] = pulled.project.key
    st.rerun()


def _names() -> None:
    """Names that a project's own code uses, and what they are called here."""
    try:
        projects = cache.projects(home())
    except ValueError as error:
        st.error(plain(str(error)))
        return
    if not projects:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            "Kept here: " + plain(", ".join(f"{project.place} ({len(project.runs):,})" for project in projects))
        )
        with st.popover("Forget", icon=":material/delete:"):
            _forget({project.key: project for project in projects})
    unmapped = {project.key: project for project in projects if _unmapped_names(project)}
    if not unmapped:
        return
    if st.session_state.get(NAMES) not in unmapped:
        st.session_state.pop(NAMES, None)
    key = st.selectbox(
        "Names that are not known here, in",
        list(unmapped),
        format_func=lambda key: visible(unmapped[key].place),
        key=NAMES,
    )
    try:
        _map_form(unmapped[key])
    except ValueError as error:
        st.error(plain(str(error)))


def _forget(projects: dict[str, StoredProject]) -> None:
    key = st.selectbox(
        "Project", list(projects), format_func=lambda key: visible(projects[key].place), key="forget-project"
    )
    st.caption("Its runs leave the table and go to the trash of this home. The server keeps its own.")
    if st.button("Move to the trash", key="forget"):
        run_action(lambda: cache.discard_project(home(), projects[key]))


def _unmapped_names(project: StoredProject) -> list[str]:
    settings, metrics = cache.names_in(project)
    return unknown([*settings, *metrics])


def _spelled(name: str) -> str:
    """A name such that it looks like no other one: with quotes, and spelled out, where there is more than is seen."""
    plain_name = name.isprintable() and name == " ".join(name.split()) != ""
    text = name if plain_name else repr(name)
    return text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}…"


def _map_form(project: StoredProject) -> None:
    unmapped = _unmapped_names(project)
    suggestions = {**suggest(unmapped), **project.names}
    offered = sorted(unmapped, key=lambda name: name not in suggestions)[:MOST_NAMES]
    others = {name: ours for name, ours in project.names.items() if name in unmapped and name not in offered}
    with st.form(f"names-{project.key}"):
        st.caption("What is it called here? Leave open what has no name here. Remembered for this project.")
        if len(unmapped) > len(offered):
            st.caption(f"{len(offered)} of {len(unmapped):,} names; `python -m tfbind pull --map` takes any of them.")
        columns = st.columns(3)
        choices = {
            name: columns[place % 3].selectbox(
                plain(_spelled(name)),
                ["", *OURS],
                index=(["", *OURS].index(suggestions[name]) if suggestions.get(name) in OURS else 0),
                key=f"name-{project.key}-{name.encode('unicode_escape').decode()}",
            )
            for place, name in enumerate(offered)
        }
        if st.form_submit_button("Save names"):
            run_action(lambda: cache.save_names(project, {**others, **choices}))
