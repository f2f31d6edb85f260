"""Provenance of predictions, and bundles: the weights of a model with a program that predicts.

Formats of predictions have no room for their provenance: it goes into a JSON file beside them. Before a bundle is
written, its program is run as its users will run it, and its predictions are compared with the scores of the model.
"""

import csv
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfbind import __version__, runs
from tfbind.config import sees
from tfbind.dna import Codes, decode
from tfbind.nn import Weights, read_shape, weight_files
from tfbind.runs import Run
from tfbind.scoring.formats import beside
from tfbind.scoring.model import Model, load_model, load_weights, member_files, score_windows
from tfbind.scoring.target import BUILTIN
from tfbind.store import ODD_BYTES, annotate_oserror, draft_of, plural, remove_drafts, write_bytes

PROGRAM, WEIGHTS, README = "predict.py", "model_weights.pt", "README.md"
TEMPLATE = Path(__file__).with_name("bundle_predict.txt")
TOLERANCE = 1e-5  # of the largest score, or of 1 where all are smaller
WINDOWS, WINDOW_LENGTH, SHARE_UNKNOWN = 200, 300, 0.01
RUN_SECONDS = 600


def write_beside(out: Path, home: Path, model: Model, **settings: Any) -> None:
    """Write the provenance of predictions into a JSON file beside them.

    Args:
        out: the file of predictions.
        home: the home of the model.
        model: the model.
        settings: those of the scoring, as JSON values.
    """
    write_bytes(beside(out), as_json(provenance(home, model, settings | {"file": out.name})))


def as_json(facts: Mapping[str, Any]) -> bytes:
    """Encode a JSON file."""
    return (json.dumps(facts, indent=1, default=str) + "\n").encode()


def provenance(home: Path, model: Model, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The provenance of scores.

    Args:
        home: the home of the model.
        model: the model.
        settings: those of the scoring.

    Returns:
        Time, settings, versions, the hash of the weights, and the record of each member, as JSON values.
    """
    versions = {name: version(name) for name in ("numpy", "onnxruntime")}
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        **settings,
        "versions": {"tfbind": __version__, "python": python_version(), **versions},
        "model": ",".join(Path(name.strip()).name for name in model.name.split(",")),
        "weights": model.hash,
        "members": [_member_provenance(home, name.strip()) for name in model.name.split(",")],
    }


def _member_provenance(home: Path, name: str) -> dict[str, Any]:
    if runs.is_run(home, name):
        return run_provenance(runs.find(home, name))
    origin = "ships with tfbind; its card is tfbind/builtin/README.md" if name == BUILTIN else "trained elsewhere"
    return {"model": Path(name).name, "about": origin}


def run_provenance(run: Run) -> dict[str, Any]:
    """The provenance of a run: data, split, every setting, versions, device, seed; and its best epoch.

    Raises:
        ValueError: its folder is damaged.
    """
    record = runs.read_record(run)
    return {
        "run": run.id,
        "trained_on": run.status().device or record.get("device"),
        "best": runs.best_row(runs.read_rows(run)),
        **record,
    }


@dataclass(frozen=True)
class Bundle:
    """A written bundle; `difference` is the largest between its program's scores and the model's, over `windows`."""

    out: Path
    model: str
    hash: str
    windows: int
    difference: float


def export_bundle(home: Path, name: str, out: Path) -> Bundle:
    """Write the bundle of a model of one network.

    Args:
        home: the home of the model.
        name: the id of a run, or the name of another model.
        out: the folder to write, new or empty.

    Returns:
        A report on the bundle.

    Raises:
        ValueError: no such model, an average of several, or a folder that is not empty or cannot be made.
        OSError: something cannot be written, or the program and the model differ. Nothing is left behind.
    """
    out = Path(os.path.realpath(out))  # unlike resolve, this takes a link to itself
    _check_free(out)
    files = member_files(home, name) if "," not in name else []
    if len(files) != 1:
        raise ValueError(f"{name}: an average of several networks; expected a model of one, such as a run")
    model, weights = load_model(home, name), load_weights(files[0])
    draft = draft_of(out)
    remove_drafts(out.parent, out.name)
    draft.mkdir()
    try:
        with annotate_oserror(out):
            weight_files.convert(files[0], draft / WEIGHTS)
            (draft / PROGRAM).write_text(_program(weights), encoding="utf-8")
            difference = check(draft / PROGRAM, model)
            (draft / README).write_text(_readme(home, model, difference), encoding="utf-8", errors=ODD_BYTES)
            draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Bundle(out, model.name, model.hash, WINDOWS, difference)


def _check_free(out: Path) -> None:
    if os.path.lexists(out) and not (out.is_dir() and not any(out.iterdir())):
        raise ValueError(f"{out}: exists already and is not overwritten; expected a new or an empty folder")
    if not out.parent.is_dir():
        raise ValueError(f"{out}: expected a folder inside one that exists")


def _program(weights: Weights) -> str:
    """The text of the program for weights of this architecture."""
    shape, first = read_shape(weights), weights["initial_conv.weight"]
    inner = weights.get("res_blocks.0.conv1.weight", first)
    norm = "nn.LayerNorm([NUM_CHANNELS, WINDOW])" if shape.length else "nn.BatchNorm1d(NUM_CHANNELS)"
    window = f"{shape.length}  # bases" if shape.length else "None  # windows of any one length"
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        channels=first.shape[0],
        blocks=shape.blocks,
        kernel=inner.shape[-1],
        first_kernel=first.shape[-1],
        window=window,
        norm=norm,
    )


def check(program: Path, model: Model) -> float:
    """Compare the predictions of a program with the scores of a model on random DNA.

    Args:
        program: the file of the program.
        model: the model.

    Returns:
        The largest difference.

    Raises:
        OSError: the program fails, or predicts something else.
    """
    codes = _random_windows(model.length or WINDOW_LENGTH)
    names = [f"chr22_{start}_{start + codes.shape[1] - 1}" for start in range(0, codes.size, codes.shape[1])]
    with tempfile.TemporaryDirectory(dir=program.parent) as folder:
        predicted = _run_program(program, Path(folder), names, codes)
    scores = score_windows(model, codes)
    difference, tolerance = float(np.abs(predicted - scores).max()), TOLERANCE * max(1.0, float(np.abs(scores).max()))
    if not difference <= tolerance:
        raise OSError(f"the program of the bundle differs by {difference:g} from our scores; allowed: {tolerance:g}")
    return difference


def _random_windows(length: int) -> Codes:
    """Random DNA (N, L) with a few unknown bases."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (WINDOWS, length), dtype=np.uint8)
    codes[rng.random(codes.shape) < SHARE_UNKNOWN] = 4
    return codes


def _run_program(program: Path, folder: Path, names: list[str], codes: Codes) -> NDArray[np.float64]:
    """Run the program, without this project and environment; its predictions (N, L)."""
    data, out = folder / "windows.txt.gz", folder / "predictions.csv"
    rows = [f"{decode(window)}\t{name}\n" for window, name in zip(codes, names, strict=True)]
    data.write_bytes(gzip.compress("".join(["sequence\twindow_name\n", *rows]).encode()))
    command = [sys.executable, "-I", str(program), "--data", data.name, "--out", out.name]
    process = subprocess.run(command, cwd=folder, env={}, capture_output=True, text=True, timeout=RUN_SECONDS)
    if process.returncode:
        message = (process.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise OSError(f"the program of the bundle ended with exit code {process.returncode}: {message}")
    with out.open(newline="") as file:
        header, *table = list(csv.reader(file))
    if header != ["window_name", *map(str, range(codes.shape[1]))] or [row[0] for row in table] != names:
        raise OSError("the program of the bundle wrote other windows or columns than it was given")
    return np.array([row[1:] for row in table], dtype=np.float64)


def _readme(home: Path, model: Model, difference: float) -> str:
    context = sees(model.length is not None, model.receptive_field)
    input_text = f"windows of {model.length} bases" if model.length else "windows of any one length"
    adding_up = (
        "Its norms look at whole windows, which such tools take for linear: what they attribute does not add up."
        if model.length
        else "What they attribute to the bases adds up to the difference of two scores."
    )
    lines = [
        f"# BindingPredictorCNN {Path(model.name).name}",
        "",
        f"    python {PROGRAM} --data chr22_sequences.txt.gz --out predictions.csv",
        "",
        f"`{PROGRAM}` needs Python 3.9 or newer, torch, numpy, pandas, and `{WEIGHTS}` beside it. It reads a table "
        "with the columns `sequence` and `window_name` (plain or gzip) and writes `window_name` and one column per "
        f"base. The model takes {input_text}; a score depends on {context}{'' if model.length else ' around it'}.",
        "",
        f"Each ReLU in `{PROGRAM}` is a module of its own, as DeepLIFT (captum, tangermeme) needs it. {adding_up}",
        "",
        f"Checked before it was handed out: {plural(WINDOWS, 'window')} scored by this program and by tfbind differ "
        f"by at most {difference:.1e} (weights {model.hash}).",
    ]
    return "\n".join([*lines, *_training(home, model.name)]) + "\n"


def _training(home: Path, name: str) -> list[str]:
    """The lines on the training of a run; nothing is known of other models."""
    if not runs.is_run(home, name):
        return []
    record = json.dumps(run_provenance(runs.find(home, name)), indent=1)
    return ["", "How it was trained, and its best epoch:", "", "```json", record, "```"]
