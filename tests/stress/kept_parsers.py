"""What reads more of a kept file than its model says, each with a valid file to begin from.

Files that are as their model says are damaged in tests/store/test_kept_files.py.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from toy import toy_config

from tfbind.evaluation import filters
from tfbind.motifs import motif_logo
from tfbind.runs import folder as runs, log
from tfbind.runs.folder import Run
from tfbind.runs.log import note
from tfbind.scoring import jobs
from tfbind.scoring.checkpoint import FLOAT_BYTES, PredictionCheckpoint, checksum
from tfbind.store.process import this_process
from tfbind.sweeps import sweep_folder
from tfbind.sweeps.sweep_folder import Sweep

Read = Callable[[bytes, Path], object]
TAKE_ALL = ("log", "parts-done", "job-done")  # readers to whom what is damaged is as if it were not there

FILTERS = {
    "filters": [
        {
            "number": 1,
            "words": 900,
            "windows": 40,
            "motif": [[0.1, 0.7], [0.2, 0.1], [0.3, 0.1], [0.4, 0.1]],
            "matches": [{"name": "FOXA1", "matrix_id": "MA0148.5", "e_value": 0.001, "strand": "+"}],
            "behind": 0.5,
        },
        {"number": 2, "words": 0, "windows": 0, "motif": None, "matches": [], "behind": None},
    ],
    "windows": 40,
    "behind": "TGTTTAC",
}
SPEC = b"method: random\nrun_cap: 3\nparameters: {learning_rate: {min: 0.001, max: 0.1}}\n"
SETTINGS = {"name": "s", "base": toy_config().model_dump(), "parallel": 2, "wandb": "off", "created": "2026"}
CODES, SCORES = b"\0\1\2\3\4", bytes(20)
ORDER = jobs.JobRequest("dna.fa", "builtin", ".csv", "forward", 3.0, False)


def _of_run(file: str, reader: Callable[[Run], object]) -> Read:
    def read(data: bytes, folder: Path) -> object:
        run = Run(folder / "runs" / "kept")
        if not run.folder.exists():
            run = runs.create(folder, toy_config(), id="kept")
            (run.folder / runs.BEST).touch()
        (run.folder / file).write_bytes(data)
        return reader(run)

    return read


def _in_folder(place: str, reader: Callable[[Path], object], **others: bytes) -> Read:
    """A reader of the folder in which the file `place` lies, with others that are as they should be."""

    def read(data: bytes, folder: Path) -> object:
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        for name, content in others.items():
            (path.parent / name.replace("_", ".")).write_bytes(content)
        path.write_bytes(data)
        return reader(path.parent)

    return read


def _drawn(run: Run) -> object:
    """What the page draws of filters."""
    found = filters.read_filters(run)
    telling = [one for one in found.filters if one.motif] if found else []
    return [(one.matches[0].e_value, one.motif and motif_logo(one.motif, height=110)) for one in telling]


def _written_log(folder: Path) -> bytes:
    run = runs.create(folder, toy_config(), id="log")
    note(run, "begun", epoch=1)
    return (run.folder / runs.LOG).read_bytes()


def kept(folder: Path) -> list[tuple[str, bytes, Read]]:
    """Name, a valid file, and the reader; `folder` is for making the files."""
    parts = _written_parts(folder / "p.parts")
    return [
        ("parts-done", parts.done.read_bytes(), _in_folder("p.parts/done.json", _done, scores_f32=SCORES)),
        ("filters", json.dumps(FILTERS).encode(), _of_run(runs.FILTERS, _drawn)),
        ("log", _written_log(folder), _of_run(runs.LOG, log.tail)),
        (
            "sweep-settings",
            json.dumps(SETTINGS).encode(),
            _in_folder("sweeps/s/sweep.json", _sweep, spec_yaml=SPEC),
        ),
        (
            "job-done",
            parts.done.read_bytes(),
            _in_folder("jobs/j/predictions.csv.parts/done.json", _job_under_way, codes_u8=CODES, about_json=b"{}"),
        ),
    ]


def _written_parts(folder: Path) -> PredictionCheckpoint:
    """What a prediction that was killed half way leaves."""
    folder.mkdir()
    parts = PredictionCheckpoint(folder)
    parts.codes.write_bytes(CODES)
    parts.scores.write_bytes(SCORES)
    parts.write_about({"source": ["dna.fa", 20, 1], "model": "0" * 64}, [["a", 5, [["U", "T", 2]]]])
    parts.write_done(3, {parts.scores.name: checksum(parts.scores, 12)})
    return parts


def _done(folder: Path) -> object:
    """Bases that count as scored are bases whose scores are there."""
    scores = PredictionCheckpoint(folder).scores
    bases, _ = PredictionCheckpoint(folder).read_done([scores])
    assert bases * FLOAT_BYTES <= scores.stat().st_size
    return bases


def _sweep(folder: Path) -> object:
    return sweep_folder.read_spec(Sweep(folder))


def _job_under_way(parts: Path) -> object:
    job = jobs.PredictionJob(parts.parent)
    (job.folder / jobs.JOB).write_text(json.dumps(asdict(ORDER)))
    (job.folder / jobs.PROCESS).write_text(json.dumps(asdict(jobs.JobProcess(this_process(), 0, 0, 1.0))))
    status = jobs.read_status(job)
    assert status.done >= 0
    return status
