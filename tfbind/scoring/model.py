"""Score DNA with trained models: load them, score windows and sequences of any length, call sites.

Scores are (L,) or (N, L) float32, one per base, in the unit of the data the model was trained on. ONNX Runtime does
the arithmetic, so that torch is not needed; `gpu.TorchNetwork` can replace it.
"""

import hashlib
import os
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tfbind import runs
from tfbind.dna import Codes, one_hot, reverse_complement
from tfbind.metrics import stretches
from tfbind.nn import Weights, build_graph, read_shape, read_tensors, weight_files
from tfbind.scoring.target import BUILTIN, UNKNOWN, ScoreTarget, read_score_target
from tfbind.store import cpu_cores, expand_path

Scores = NDArray[np.float32]

BATCH_BASES = 16_384
TILE = 1_024  # rows of about this length are scored the fastest
HASH_LETTERS = 12
COUNTER = "num_batches_tracked"  # of batch norm, which torch counts in training
THREADS = "TFBIND_SCORING_THREADS"  # how many score at once in a process that shares its machine; default: one a core
BUILTIN_FOLDER = Path(__file__).parents[1] / "builtin"


class Network(Protocol):
    """A trained network, on whatever device."""

    def scores(self, codes: Codes) -> Scores:
        """The scores (N, L) of windows (N, L) of one length that the network takes."""


@dataclass(frozen=True)
class Model:
    """One network, or the average of several with the same way of scoring.

    `length` is that of the windows of a model that normalises over the whole window, None for one that is local.
    `hash` names the weights: equal weights, equal hash.
    """

    name: str
    hash: str
    members: tuple[Network, ...]
    receptive_field: int
    length: int | None
    target: ScoreTarget = UNKNOWN

    @property
    def reach(self) -> int:
        """The number of bases on either side that a score depends on."""
        return self.receptive_field // 2

    def split(self) -> list["Model"]:
        """The members of an average, each as a model of its own."""
        return [replace(self, members=(member,)) for member in self.members]


@dataclass(frozen=True)
class Profile:
    """The scores (L,) of one sequence.

    `spread` (L,) is the standard deviation over the members of an average. `change` (L,) is by how much a base's
    score differs between the tiles it lies in, NaN where it lies in one only; None where there is one tile, or scores
    do not depend on tiles.
    """

    scores: Scores
    spread: Scores | None
    change: Scores | None
    rule: str


@dataclass(frozen=True)
class Site:
    """A place where the factor may bind, 0-based half-open, with its highest score and where that lies; `strand` is
    that of the match of a known motif, `.` where there is none."""

    start: int
    end: int
    score: float
    summit: int
    strand: str = "."

    def shifted(self, by: int) -> "Site":
        """The site in a sequence that begins so many bases further to the left."""
        return replace(self, start=self.start + by, end=self.end + by, summit=self.summit + by)


class OnnxNetwork:
    """A network that scores on the CPU, each batch with one thread.

    Threads that share a batch wait for each other at every layer: on busy cores that costs twice the time, and there
    are batches enough for all cores.
    """

    def __init__(self, weights: Weights) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            build_graph(weights), options, providers=["CPUExecutionProvider"]
        )

    def scores(self, codes: Codes) -> Scores:
        """The scores (N, L) of windows (N, L) of one length that the network takes."""
        rows = max(1, BATCH_BASES // codes.shape[1])
        batches = [codes[start : start + rows] for start in range(0, len(codes), rows)]
        if len(batches) == 1:
            return self._batch(codes)
        return np.concatenate(list(_threads().map(self._batch, batches)))

    def _batch(self, codes: Codes) -> Scores:
        scores: Scores = self._session.run(None, {"X": one_hot(codes)})[0]
        return scores


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(int(os.environ.get(THREADS) or cpu_cores()), "scoring")


class UnusableModel(ValueError):
    """No such model, or models that cannot be averaged; `reason` lacks the name of the argument."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"--model {reason}")
        self.reason = reason


def load_model(home: Path, names: str, network: Callable[[Weights], Network] = OnnxNetwork) -> Model:
    """Load a model, or the average of several.

    Args:
        home: the home of runs and imported models.
        names: `builtin`, the id of a run, an imported model, a file of weights, or several of them joined by commas.
            A run goes before an imported model of the same name.
        network: makes a network of the weights of a member.

    Returns:
        The model.

    Raises:
        ValueError: no such model, or models that cannot be averaged.
    """
    return replace(make_model(names, read_members(home, names), network), target=read_score_target(home, names))


def read_members(home: Path, names: str) -> list[Weights]:
    """Read the weights of each member of a model.

    Args:
        home: the home of runs and imported models.
        names: as for `load_model`.

    Returns:
        Tensors by name, for each member.

    Raises:
        ValueError: no such model.
    """
    files = [file for name in names.split(",") for file in member_files(home, name.strip())]
    return [load_weights(file) for file in files]


def make_model(names: str, loaded: Sequence[Weights], network: Callable[[Weights], Network] = OnnxNetwork) -> Model:
    """Make a model of the weights of its members.

    Args:
        names: its name.
        loaded: the weights of each member.
        network: makes a network of the weights of a member.

    Returns:
        The model, with an unknown target.

    Raises:
        ValueError: they cannot be averaged.
    """
    shapes = [read_shape(weights) for weights in loaded]
    if len({shape.length for shape in shapes}) > 1:
        raise UnusableModel(f"{names}: an average needs models that all take windows of the same length")
    members = tuple(map(network, loaded))
    reach = max(shape.receptive_field for shape in shapes)
    return Model(names, _digest(loaded), members, reach, shapes[0].length)


def member_files(home: Path, name: str) -> list[Path]:
    """The safetensors files of a model's members.

    Raises:
        ValueError: no such model.
    """
    if name == BUILTIN:
        return sorted(BUILTIN_FOLDER.glob("*.safetensors"))
    if name.endswith(".safetensors"):
        return [expand_path(name)]
    if runs.RUN_ID.fullmatch(name) and (home / "runs" / name / runs.BEST).exists():
        return [home / "runs" / name / runs.BEST]
    if name.endswith(weight_files.TORCH_SUFFIXES):
        return [weight_files.converted(home, expand_path(name))]
    if weights := weight_files.weights_of(home, name):
        return [weights]
    raise UnusableModel(
        f"{name}: expected builtin, the id of a run that has weights, an imported model "
        "(`python -m tfbind model list`), or a file .safetensors or .pt"
    )


def load_weights(path: Path) -> Weights:
    """Read the weights in a safetensors file as float32.

    Raises:
        ValueError: the file is none, damaged, or holds no BindingPredictorCNN that can predict.
    """
    weights = {name: value.astype(np.float32) for name, value in read_tensors(path).items()}
    try:
        read_shape(weights)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if not all(np.isfinite(value).all() for value in weights.values()):
        raise ValueError(f"{path}: weights that are not finite; expected those of a model that predicts")
    return weights


def _digest(members: Sequence[Weights]) -> str:
    """The hash of the tensors that scores depend on, whatever file they came in, in whatever order."""
    content = hashlib.sha256()
    for weights in members:
        for name in sorted(weights):
            if not name.endswith(COUNTER):
                content.update(f"{name} {weights[name].shape} ".encode() + weights[name].tobytes())
    return content.hexdigest()[:HASH_LETTERS]


def score_windows(model: Model, codes: Codes, both: bool = False) -> Scores:
    """Score windows of one length, averaged over the members of the model.

    Args:
        model: the model.
        codes: (N, L).
        both: average with the scores of the reverse complement.

    Returns:
        Scores (N, L) float32.

    Raises:
        ValueError: the model takes windows of another length.
    """
    scores: Scores = np.stack([_run(member, model.length, codes) for member in model.members]).mean(axis=0)
    if both:
        scores = (scores + score_windows(model, reverse_complement(codes))[:, ::-1]) / np.float32(2)
    return scores


def _run(member: Network, length: int | None, codes: Codes) -> Scores:
    if length not in (None, codes.shape[1]):
        raise ValueError(f"this model takes windows of {length} bases, not of {codes.shape[1]}")
    return member.scores(codes)


def score(model: Model, codes: Codes, *, both: bool = False, pad: bool = False, tile: int = TILE) -> Profile:
    """Score a sequence of any length.

    Args:
        model: the model.
        codes: (L,).
        both: average with the scores of the reverse complement.
        pad: bring a sequence that is too short for a model of fixed length to that length with N on both sides.
        tile: bases that a local model scores in one row; changes nothing but the speed.

    Returns:
        The profile (L,).

    Raises:
        ValueError: the sequence is empty, or too short for this model and `pad` is not set.
    """
    if len(codes) == 0:
        raise ValueError("the sequence is empty")
    members = _score_members(model, codes, pad, tile)
    if both:
        members = members.averaged(_score_members(model, reverse_complement(codes), pad, tile).reversed())
    return members.profile(rule(model, [len(codes)], both))


def rule(model: Model, lengths: Collection[int], both: bool = False) -> str:
    """Describe how sequences are scored.

    Args:
        model: the model.
        lengths: of the sequences.
        both: averaged with the scores of the reverse complement.

    Returns:
        Passes, windows or tiles, and strands, in words.
    """
    strands = ", both strands averaged" if both else ""
    if model.length is None:
        return f"scored in one pass{strands}"
    short = [length for length in lengths if length < model.length]
    filled = f"filled up with N from {_span(short)} bases and " if short else ""
    whole = f"{filled}scored as one window of {model.length}"
    if max(lengths) <= model.length:
        return whole + strands
    tiles = f"scored in tiles of {model.length} every {model.length // 2} bases, each base from the tile where it is "
    tiles += "most central"
    if min(lengths) > model.length:
        return tiles + strands
    return f"up to {model.length} bases: {whole}, longer sequences: {tiles}{strands}"


def _span(lengths: Collection[int]) -> str:
    shortest, longest = min(lengths), max(lengths)
    return str(shortest) if shortest == longest else f"{shortest} to {longest}"


@dataclass(frozen=True)
class _Members:
    """Scores (M, L) of all members, and their changes between tiles."""

    scores: Scores
    change: Scores | None

    def reversed(self) -> "_Members":
        return _Members(self.scores[:, ::-1], None if self.change is None else self.change[:, ::-1])

    def averaged(self, other: "_Members") -> "_Members":
        change = None if self.change is None or other.change is None else np.fmax(self.change, other.change)
        return _Members((self.scores + other.scores) / np.float32(2), change)

    def profile(self, rule: str) -> Profile:
        several = len(self.scores) > 1
        spread = self.scores.std(axis=0, ddof=1) if several else None
        change = None if self.change is None else self.change.max(axis=0)
        return Profile(self.scores.mean(axis=0), spread, change, rule)


def _score_members(model: Model, codes: Codes, pad: bool, tile: int) -> _Members:
    if model.length is None:
        scores = np.stack([_score_local(member, model.reach, codes, tile) for member in model.members])
        return _Members(scores, None)
    before, padded = _padded(codes, model.length, pad)
    tiled = [_score_fixed(member, model.length, padded) for member in model.members]
    inside = slice(before, before + len(codes))
    scores, change = (np.stack(parts)[:, inside] for parts in zip(*tiled, strict=True))
    return _Members(scores, change if len(codes) > model.length else None)


def _padded(codes: Codes, length: int, pad: bool) -> tuple[int, Codes]:
    missing = length - len(codes)
    if missing <= 0:
        return 0, codes
    if not pad:
        raise ValueError(f"the sequence has {len(codes)} bases; this model needs {length}, or padding with N")
    return missing // 2, np.pad(codes, (missing // 2, missing - missing // 2), constant_values=4)


def _score_local(member: Network, reach: int, codes: Codes, tile: int) -> Scores:
    """Score tiles with `reach` bases more on each side, which are dropped: no score depends on the tiles.

    The first and the last lie at the ends of the sequence, so that the network sees those as ends.
    """
    width = max(tile, reach) + 2 * reach
    if len(codes) <= width:
        return _run(member, None, codes[None])[0]
    starts = np.append(np.arange(0, len(codes) - width, width - 2 * reach), len(codes) - width)
    scores = np.empty(len(codes), np.float32)
    rows = _run(member, None, sliding_window_view(codes, width)[starts])
    scores[:reach], scores[len(codes) - reach :] = rows[0, :reach], rows[-1, width - reach :]
    for start, row in zip(starts.tolist(), rows, strict=True):
        scores[start + reach : start + width - reach] = row[reach : width - reach]
    return scores


def _score_fixed(member: Network, length: int, codes: Codes) -> tuple[Scores, Scores]:
    starts = _tile_starts(len(codes), length)
    tiles = _run(member, length, np.stack([codes[start : start + length] for start in starts]))
    off_centre = np.abs(np.arange(length) - (length - 1) / 2)
    scores, change = np.zeros(len(codes), np.float32), np.full(len(codes), np.nan, np.float32)
    nearest = np.full(len(codes), np.inf)
    for start, tile in zip(starts.tolist(), tiles, strict=True):
        window = slice(start, start + length)
        covered, nearer = np.isfinite(nearest[window]), off_centre < nearest[window]
        change[window] = np.fmax(change[window], np.where(covered, np.abs(tile - scores[window]), np.nan))
        scores[window] = np.where(nearer, tile, scores[window])
        nearest[window] = np.minimum(nearest[window], off_centre)
    return scores, change


def _tile_starts(bases: int, length: int) -> NDArray[np.int64]:
    regular = np.arange(0, max(bases - length, 0) + 1, max(length // 2, 1))
    return np.unique(np.append(regular, max(bases - length, 0)))


def call_sites(scores: Scores, threshold: float) -> list[Site]:
    """Call the stretches of a profile that score at least `threshold` throughout, which variants make or destroy.

    Args:
        scores: (L,).
        threshold: the least score of a called site.

    Returns:
        The stretches by position.
    """
    return [
        Site(start, end, float(scores[start:end].max()), start + int(scores[start:end].argmax()))
        for start, end in np.stack(stretches(scores >= threshold), axis=1).tolist()
    ]


def lowest_in_sites(threshold: float) -> float:
    """The score below which no base belongs to a called site."""
    return min(threshold, threshold / 2)


def find_peaks(scores: Scores, threshold: float) -> list[Site]:
    """Find the peaks of a profile, each as wide as it is at half of its height.

    Where a peak lies does not depend on the threshold. Of two peaks between which no score is below half of the lower
    one, that one is none of its own.

    Args:
        scores: (L,).
        threshold: the least score of a peak.

    Returns:
        The peaks by position.
    """
    starts, ends = stretches(scores >= lowest_in_sites(threshold))
    high = np.maximum.reduceat(scores, starts) >= threshold if len(starts) else np.empty(0, bool)
    places = zip(starts[high].tolist(), ends[high].tolist(), strict=True)
    return [site for start, end in places for site in _peaks(scores[start:end], start, threshold)]


def _peaks(scores: Scores, offset: int, threshold: float) -> list[Site]:
    """The peaks (L,) of scores that begin at base `offset`, highest first found, by position."""
    sites, segments = [], [(0, len(scores))]
    while segments:
        start, end = segments.pop()
        summit = start + int(scores[start:end].argmax())
        height = float(scores[summit])
        if height < threshold:
            continue
        lower = np.flatnonzero(scores[start:end] < lowest_in_sites(height)) + start
        place = int(np.searchsorted(lower, summit))
        left = int(lower[place - 1]) + 1 if place else start
        right = int(lower[place]) if place < len(lower) else end
        neighbours = scores[[base for base in (left - 1, right) if 0 <= base < len(scores)]]
        if (neighbours < lowest_in_sites(height)).all():
            sites.append(Site(left + offset, right + offset, height, summit + offset))
        segments += [segment for segment in ((start, left), (right, end)) if segment[0] < segment[1]]
    return sorted(sites, key=lambda site: site.start)
