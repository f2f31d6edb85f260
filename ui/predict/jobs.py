"""Predictions taken away: one file for all records, and whole files scored in the background."""

import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import streamlit as st

from tfbind.dna import Record, shorten
from tfbind.runs import duration, round_seconds
from tfbind.scoring import (
    BESIDE,
    About,
    JobRequest,
    JobStatus,
    PredictionJob,
    Track,
    as_bytes,
    as_json,
    beside,
    check,
    coordinates,
    facts,
    jobs,
    provenance,
    rule,
    track,
    web_page,
)
from tfbind.store import format_error
from ui.predict.changes import changed_copy
from ui.predict.model import Settings, padded
from ui.widgets import cache
from ui.widgets.disk import TO_TRASH
from ui.widgets.panels import poll
from ui.widgets.session import home, next_job_id, plain, run_action, start_key

NEXT_JOB, NEXT_VARIANTS = "next-job", "next-variants-job"
SHOWN = 10
LONGEST_NAME = 60
FORMATS = {
    ".csv": "Table with one row a record (CSV)",
    ".tsv": "Table with one row a base (TSV)",
    ".bed": "Called sites (BED)",
    ".bedgraph": "Track (bedGraph)",
    ".bw": "Track (bigWig)",
    ".fa": "Sequences of called sites (FASTA)",
}
CONVENTIONS = (
    "CSV: a column for each base, the first is 0. TSV, BED, bedGraph and bigWig: positions count from 0, ends are "
    "exclusive, as these formats have it."
)

PICTURES = "A figure: each picture above has a camera button, seen when the pointer is over it, that saves it as SVG."


class Upload(Protocol):
    """An uploaded file."""

    name: str
    size: int


def offer_job(file: Upload, settings: Settings, too_large: bool) -> None:
    """Offer to score an uploaded file in the background.

    Args:
        too_large: this page cannot show the file, so that the offer is all there is.
    """
    with st.expander("Score the whole file in the background", icon=":material/schedule:", expanded=too_large):
        suffix = st.selectbox("Format", list(FORMATS), list(FORMATS).index(".bw"), format_func=FORMATS.__getitem__)
        pad = bool(settings.model.length) and st.checkbox(
            f"Fill up short records with N to {settings.model.length} bases"
        )
        request = JobRequest(
            file.name[:LONGEST_NAME], settings.main.name, suffix, settings.strand, settings.threshold, pad
        )
        _draw_start(request, cast(BinaryIO, file), NEXT_JOB)


def offer_variants(name: str, content: BinaryIO, genome: Path, settings: Settings) -> None:
    """Offer to score all variants of a list against a genome in the background, to a TSV file."""
    with st.expander("Score all variants in the background", icon=":material/schedule:", expanded=True):
        request = JobRequest(
            name[:LONGEST_NAME], settings.main.name, ".tsv", settings.strand, settings.threshold, False, str(genome)
        )
        _draw_start(request, content, NEXT_VARIANTS)


def _draw_start(request: JobRequest, content: BinaryIO, slot: str) -> None:
    """Draw Start and what it runs."""
    id = next_job_id(slot)
    # Above the command, whose length follows from the choices: a button that moves under a click is not clicked.
    if st.button("Start", type="primary", icon=":material/play_arrow:", key=start_key(id)):
        run_action(lambda: _submit(request, content, id))
    st.caption("What will run. It goes on when you close this page, and the result is kept until you remove it.")
    st.code(shlex.join(jobs.command(jobs.job_of(home(), id), request)), language="bash", wrap_lines=True)


def _submit(request: JobRequest, content: BinaryIO, id: str) -> None:
    if not jobs.job_of(home(), id).folder.exists():  # else this is the second click of a double click
        jobs.submit(home(), request, content, id)


def background_jobs() -> None:
    """Draw the list, if there is any. It polls only while a job runs."""
    all_jobs = jobs.list_jobs(home())
    if not all_jobs:
        return
    running = sum(_state(job) == "running" for job in all_jobs)
    with st.expander("Files in the background", icon=":material/schedule:", expanded=True):
        poll(lambda: _draw_jobs(running), running > 0)


def _state(job: PredictionJob) -> str:
    try:
        return jobs.read_status(job).state
    except (ValueError, OSError):
        return "damaged"


def _draw_jobs(running: int) -> None:
    all_jobs = jobs.list_jobs(home())
    if running != sum(_state(job) == "running" for job in all_jobs):
        st.rerun()
    for job in all_jobs[:SHOWN]:
        with st.container(border=True):
            try:
                _draw_job(job, jobs.read_request(job), jobs.read_status(job))
            except (ValueError, OSError) as error:
                st.error(plain(format_error(error)))
    if len(all_jobs) > SHOWN:
        st.caption(f"The newest {SHOWN} of {len(all_jobs):,}. All lie in {plain(str(home() / jobs.FOLDER))}.")


def _draw_job(job: PredictionJob, request: JobRequest, status: JobStatus) -> None:
    format = FORMATS.get(request.suffix, plain(request.suffix))
    format = f"Effects of variants ({plain(request.suffix[1:].upper())})" if request.genome else format
    st.markdown(f"**{plain(request.file)}** · {format} · model {plain(request.model)} · {status.state}")
    if status.state in ("running", "stopped", "crashed") and status.total:
        st.progress(min(status.done / status.total, 1.0), _progress_words(status, request.unit))
    elif status.state == "running":
        st.caption(_progress_words(status, request.unit))
    if status.message:
        show = st.error if status.state in ("failed", "crashed") else st.caption
        show(plain(status.message))
    with st.container(horizontal=True):
        if status.state == "running":
            _draw_button("Stop", "stop_circle", PredictionJob.stop, job)
            return
        if status.state == "finished":
            _draw_download(job, request)
        else:
            _draw_button("Resume", "resume", jobs.resume, job)
        with st.popover("Remove", icon=":material/delete:", key=f"remove-{job.id}"):
            st.caption(TO_TRASH)
            _draw_button("Move to trash", "delete", jobs.delete, job)


def _draw_download(job: PredictionJob, request: JobRequest) -> None:
    path = jobs.output(job, request)
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(request.file).name.partition(".")[0]) or "predictions"
    st.download_button(
        f"Download ({path.stat().st_size / 2**20:,.1f} MB)",
        data=lambda: path.open("rb"),
        file_name=f"{stem}{request.suffix}",
        type="primary",
        icon=":material/download:",
        on_click="ignore",
        key=f"download-{job.id}",
    )
    provenance_file = beside(path)
    if provenance_file.exists():
        st.download_button(
            "Where it comes from",
            data=provenance_file.read_bytes,
            file_name=f"{stem}{request.suffix}{BESIDE}",
            mime="application/json",
            on_click="ignore",
            key=f"about-{job.id}",
        )


def _progress_words(status: JobStatus, unit: str) -> str:
    if not status.total:
        return f"{status.stage}, {status.done:,} {unit} so far" if status.done else status.stage
    left = "" if status.seconds_left is None else f", about {duration(round_seconds(status.seconds_left))} left"
    return f"{status.stage}: {status.done:,} of {status.total:,} {unit}{left}"


def _draw_button(label: str, icon: str, action: Callable[[PredictionJob], object], job: PredictionJob) -> None:
    st.button(label, key=f"{icon}-{job.id}", icon=f":material/{icon}:", on_click=_run_job_action, args=(action, job))


def _run_job_action(action: Callable[[PredictionJob], object], job: PredictionJob) -> None:
    try:
        action(job)
    except (ValueError, OSError) as error:
        st.toast(plain(format_error(error)))


def downloads(originals: list[Record], settings: Settings) -> None:
    """Draw the choice of a format and the button. Of a record that was changed, the file holds what it is now."""
    pad = padded()
    st.subheader("Take it away", anchor=False)
    records = [changed_copy(record) for record in originals]
    changed = [record.name for record, original in zip(records, originals, strict=True) if record is not original]
    usable = [record for record in records if len(record.codes) >= (1 if pad else settings.model.length or 1)]
    if not usable:
        st.caption("Nothing to take away: every record is too short for this model.")
        return
    sizes = [(record.name, len(record.codes)) for record in usable]
    refused, about = _refused(sizes), _about(usable, settings, changed)
    suffix = _buttons(usable, settings, pad, about, [suffix for suffix in FORMATS if suffix not in refused])
    st.caption(plain(f"Coordinates: {coordinates(suffix, sizes)}."))
    st.caption(PICTURES)
    st.download_button(
        "Share the model as a web page",
        data=lambda: web_page(home(), settings.main.name),
        file_name=f"{Path(settings.main.name).stem}.html",
        mime="text/html",
        icon=":material/share:",
        on_click="ignore",
        help="One file that scores DNA in any browser, without this app and without a network: profile, sites, base "
        "changes, .csv. What is pasted there leaves that browser for nowhere.",
    )
    for reason in dict.fromkeys(refused.values()):
        suffixes = ", ".join(suffix for suffix in refused if refused[suffix] == reason)
        st.caption(plain(f"Not as {suffixes}: {reason}."))
    if changed:
        st.caption(plain(f"The file holds the changed sequence, not the original, of: {about.changed}."))
    left_out = len(records) - len(usable)
    if left_out:
        st.caption(plain(f"{left_out:,} records are left out: they are too short for this model."))


def _buttons(records: Sequence[Record], settings: Settings, pad: bool, about: About, formats: list[str]) -> str:
    """The suffix that is chosen. Files are made when they are asked for, outside the session: its state is not there
    to be read any more."""
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    suffix: str = left.selectbox("Format", formats, format_func=FORMATS.__getitem__, help=CONVENTIONS)
    right.download_button(
        f"Download {suffix}",
        data=lambda: as_bytes(suffix, _tracks(records, settings, pad), about),
        file_name=f"predictions{suffix}",
        icon=":material/download:",
        on_click="ignore",
        width="stretch",
    )
    st.download_button(
        "Where it comes from",
        data=lambda: _origin(settings, pad, facts(suffix, _tracks(records, settings, pad), about)),
        file_name=f"predictions{suffix}{BESIDE}",
        mime="application/json",
        icon=":material/history_edu:",
        type="tertiary",
        on_click="ignore",
        help="A file that says by which model: its data, split, settings, versions, device and seed; and how it "
        "scored and counts bases.",
    )
    return suffix


def _refused(sizes: Sequence[tuple[str, int]]) -> dict[str, str]:
    """The formats that cannot hold the records, and why."""
    reasons = {}
    for suffix in FORMATS:
        try:
            check(suffix, sizes)
        except ValueError as error:
            reasons[suffix] = str(error)
    return reasons


def _about(records: Sequence[Record], settings: Settings, changed: Sequence[str]) -> About:
    words = rule(settings.model, [len(record.codes) for record in records], settings.both)
    names = ", ".join(map(shorten, changed))
    model, bands = settings.model, None if settings.both else settings.model.target.bands
    return About(f"{model.name} {model.hash}", words, settings.threshold, names, model.target, bands)


def _tracks(records: Sequence[Record], settings: Settings, pad: bool) -> list[Track]:
    profiles = [cache.profile(settings.model, record.codes, settings.both, pad) for record in records]
    return [
        track(record.name, record.codes, profile.scores, profile.change)
        for record, profile in zip(records, profiles, strict=True)
    ]


def _origin(settings: Settings, pad: bool, about: dict[str, Any]) -> bytes:
    return as_json(provenance(home(), settings.model, {"both": settings.both, "pad": pad} | about))
