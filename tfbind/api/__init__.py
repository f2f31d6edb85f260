"""The functions of `import tfbind as tf`: data sets, runs, comparisons, scores, for notebooks and scripts.

`home` is where runs and data sets are kept; None stands for `$TFBIND_HOME`, else `.tfbind/` beside `app.py`. DNA
is a string of A C G T N in either case, an array of codes (uint8, A C G T N = 0 1 2 3 4), or several sequences: a
list of strings, or codes (N, L). What cannot be used is refused with a ValueError of one line. Nothing is printed
but the progress of `train`. The examples begin with `import tfbind as tf`.
"""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from tfbind import compare, data as datasets, dna as sequences, motifs, runs as folders, scoring, sweeps, variants
from tfbind.config import TrainConfig, home_folder

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from tfbind.compare import Goal, Verdict
    from tfbind.data import Windows
    from tfbind.dna import Codes
    from tfbind.motifs import DiscoveredMotif
    from tfbind.runs import Run
    from tfbind.scoring import Model, PredictionReport, Scores, Site

Home = str | Path | None
Strings = list[str] | tuple[str, ...]


def open_dataset(name: str | Path = "builtin", *, home: Home = None) -> "Windows":
    """Open a data set: windows of DNA with a score for each base.

    Args:
        name: `builtin`, the name of another one, or a folder with the course's pair of files, which is imported.
        home: where data sets are kept.

    Returns:
        `names` (N,) bytes, `codes` (N, L) uint8 and `scores` (N, L) float32, memory-mapped.

    Raises:
        ValueError: no such data set, or a damaged one.

    >>> data = tf.simulate_dataset("tiny", windows=200)
    >>> tf.open_dataset("tiny").scores.shape
    (200, 300)
    """
    return datasets.open_dataset(_home(home), str(name))


def simulate_dataset(name: str, windows: int = 1000, *, seed: int = 0, home: Home = None) -> "Windows":
    """Simulate a data set: random DNA of human composition, scored by a scan with the motif of FOXA1.

    Args:
        name: what to call it; one that is there already is opened.
        windows: how many windows of 300 bases.
        seed: of the random numbers.
        home: where data sets are kept.

    Returns:
        The data set, as `open_dataset` does.

    Raises:
        ValueError: the name cannot be used, or is that of another data set.

    >>> tf.simulate_dataset("tiny", windows=200).length
    300
    """
    return datasets.simulate_dataset(_home(home), name, windows, seed)


def list_datasets(*, home: Home = None) -> list[dict[str, Any]]:
    """The data sets of a home, by name.

    Args:
        home: where data sets are kept.

    Returns:
        For each its `name`, `windows`, `length` in bases and `path`.

    >>> data = tf.simulate_dataset("tiny", windows=200)
    >>> "tiny" in [entry["name"] for entry in tf.list_datasets()]
    True
    """
    return datasets.list_datasets(_home(home))


def discover_motif(data: "Windows") -> "DiscoveredMotif | None":
    """Discover the motif behind the scores: read off where a scan painted them, else enriched where they are high.

    Args:
        data: as `open_dataset` returns it, or anything with `codes` (N, L) uint8 and `scores` (N, L) float32.

    Returns:
        Its `motif` (4, W), `how` it was found, the share of variance that is `explained`; None for no motif.

    >>> result = tf.discover_motif(tf.simulate_dataset("tiny", windows=200))
    >>> result.how, result.motif.width
    ('painted', 8)
    """
    return motifs.discover_motif(data)


def train(
    config: TrainConfig | None = None,
    data: "Windows | str | Path | None" = None,
    *,
    name: str = "",
    parent: "Run | None" = None,
    wandb: str = "off",
    progress: bool | None = None,
    home: Home = None,
) -> "Run":
    """Train a model and wait until it has ended. The run is a process of its own, which an interrupt stops.

    Args:
        config, data, name, parent, wandb, home: as for `submit`.
        progress: draw a bar on standard error; None: on a terminal and in a notebook.

    Returns:
        The run, `finished`, or `killed` where somebody else stopped it.

    Raises:
        ValueError: the configuration or the data set cannot be used, or the run failed.
        KeyboardInterrupt: it was interrupted; what was learnt is kept.

    >>> data = tf.simulate_dataset("tiny", windows=200)
    >>> run = tf.train(tf.TrainConfig(learning_rate=3e-3, num_epochs=1), data)
    >>> run.state, len(run.rows())
    ('finished', 1)
    """
    run = submit(config, data, name=name, parent=parent, wandb=wandb, home=home)
    try:
        folders.watch(run, progress)
    except KeyboardInterrupt:
        run.request_stop()
        raise
    status = run.status()
    if status.state in ("failed", "crashed"):
        raise ValueError(f"run {run.id} {status.state}: {status.error}")
    return run


def submit(
    config: TrainConfig | None = None,
    data: "Windows | str | Path | None" = None,
    *,
    name: str = "",
    parent: "Run | None" = None,
    wandb: str = "off",
    home: Home = None,
) -> "Run":
    """Start a run in the background, in a process that outlives this one.

    Args:
        config: the hyperparameters; None for those of the published experiment.
        data: a data set or its name, in place of the one that `config` names.
        name: what the run is called.
        parent: the finished run whose weights it starts from.
        wandb: whether it is logged to Weights & Biases: `off`, `offline` or `online`.
        home: where runs are kept.

    Returns:
        The run: `run.wait()` waits for it, `run.state` says how it stands, `run.rows()` has its epochs.

    Raises:
        ValueError: the configuration or the data set cannot be used.

    >>> data = tf.simulate_dataset("tiny", windows=200)
    >>> tf.submit(tf.TrainConfig(num_epochs=1), data, name="in the background").wait()
    'finished'
    """
    folder = _home(home)
    config = _on_data(config or TrainConfig(), data, folder)
    return folders.submit(folder, config, folders.RunRequest(name=name, parent=parent, wandb=wandb))


def list_runs(*, home: Home = None) -> "list[Run]":
    """The runs of a home.

    Args:
        home: where runs are kept.

    Returns:
        All of them, the oldest first.

    >>> runs = tf.list_runs()
    """
    return folders.list_runs(_home(home))


def compare_runs(
    runs: "Sequence[Run | str] | sweeps.Sweep",
    metric: str | None = None,
    *,
    at: str | int = "best",
    goal: "Goal | None" = None,
    home: Home = None,
) -> "Verdict":
    """Rank the settings of runs and test whether the best one differs by more than seeds do.

    Args:
        runs: runs, ids of runs, or a sweep.
        metric: the figure to judge by; None for that of the sweep, else `val_pearsonr`.
        at: `best`, the epoch with the lowest val_loss; `last`; or the number of an epoch.
        goal: `min` or `max`, which way is better; None where the name of the metric tells.
        home: where runs are kept; None for that of `runs`.

    Returns:
        The verdict: `print` gives it in words, a notebook shows it as a table; `best`, `rankings`, `to_frame()`.

    Raises:
        ValueError: no such run, a damaged one, or none with such a metric.

    >>> result = tf.compare_runs(tf.list_runs()[:1], metric="val_loss")
    >>> result.best.seeds, result.to_frame().shape
    (1, (1, 10))
    >>> print(result)
    One setting only, validation loss ... (one run). There is nothing to compare it with.
    Judged by validation loss (lower is better) at the epoch with the lowest validation loss.
    """
    judged_by = None
    if isinstance(runs, sweeps.Sweep):
        judged_by = sweeps.judged_by(runs.home, runs.id)
        runs = runs.runs()
    folder = _home(home, runs)
    if metric is None:
        metric, goal = (judged_by[0], goal or judged_by[1]) if judged_by else (compare.DEFAULT_METRIC, goal)
    pool, _ = compare.known_runs(folder)
    records = [
        folders.record.read_run_record(run) if isinstance(run, folders.Run) else compare.select_run(pool, run)
        for run in runs
    ]
    available = compare.metrics(records)
    if metric not in available:
        raise ValueError(f"metric {metric!r}: not recorded; there are: {', '.join(available) or 'none'}")
    return compare.judge(records, compare.choose_at(metric, at, goal), pool)


def load_model(
    source: "str | Path | Run | Sequence[str | Path | Run]" = "builtin", *, device: str = "cpu", home: Home = None
) -> "Model":
    """Load a model that scores DNA; of several, their average.

    Args:
        source: `builtin`, a run or its id, an imported model, a file of weights, or a list of these.
        device: `cpu`, or `cuda`, which needs torch.
        home: where runs are kept; None for that of the runs.

    Returns:
        The model; `model.hash` names its weights, `model.receptive_field` is in bases.

    Raises:
        ValueError: no such model, or models that cannot be averaged.

    >>> model = tf.load_model("builtin")
    >>> model.receptive_field
    31
    """
    several = [source] if isinstance(source, str | Path | folders.Run) else list(source)
    names = ",".join(map(_model_name, several))
    network = scoring.OnnxNetwork if device == "cpu" else partial(scoring.TorchNetwork, device=device)
    try:
        return scoring.load_model(_home(home, several), names, network)
    except scoring.UnusableModel as error:
        raise ValueError(f"source {error.reason}") from None


@overload
def score(model: "Model", dna: "str | Codes", *, both: bool = ..., pad: bool = ...) -> "Scores": ...
@overload
def score(model: "Model", dna: Strings, *, both: bool = ..., pad: bool = ...) -> "list[Scores]": ...
def score(
    model: "Model", dna: "str | Codes | Strings", *, both: bool = False, pad: bool = False
) -> "Scores | list[Scores]":
    """Predict the binding at each base.

    Args:
        model: as `load_model` returns it.
        dna: one sequence or several.
        both: average with the scores of the reverse complement.
        pad: fill up with N what is too short for the model.

    Returns:
        float32, in the unit of the data that the model learnt from: (L,) for one sequence, a list of such for a list,
        (N, L) for codes (N, L).

    Raises:
        ValueError: a letter that is none of A C G T N, an empty sequence, or one too short for the model.

    >>> track = tf.score(tf.load_model(), "GGCATGTAAACAAGGC" * 4)
    >>> track.shape, track.dtype
    ((64,), dtype('float32'))
    """
    import numpy as np

    codes = sequences.encode_each(dna)
    if not codes:
        return np.empty_like(dna, np.float32) if isinstance(dna, np.ndarray) else []
    lengths = [len(sequence) for sequence in codes]
    piece = scoring.Batch(np.concatenate(codes), lengths, 0, sum(lengths))
    scores = scoring.score_batch(model, scoring.ScoringOptions(both, pad), piece)[0]
    if isinstance(dna, np.ndarray):
        return scores.reshape(dna.shape)
    return scores if isinstance(dna, str) else np.split(scores, np.cumsum(lengths)[:-1])


def call_sites(
    model: "Model", dna: "str | Codes", *, threshold: float | None = None, both: bool = False, pad: bool = False
) -> "list[Site]":
    """Call binding sites, which lie alike at each threshold: matches of the model's motif, and peaks elsewhere.

    Args:
        model: as `load_model` returns it.
        dna: one sequence; for a list, call this for each.
        threshold: in the unit of the scores; None for the model's own.
        both, pad: as for `score`.

    Returns:
        Each with `start` and `end`, 0-based half-open, the highest `score` and its place, `summit`, and the `strand`.

    Raises:
        ValueError: as for `score`, or there are several sequences.

    >>> [site] = tf.call_sites(tf.load_model(), "GGCA" * 8 + "TGTAAACA" + "GGCA" * 8)
    >>> 24 < site.start < site.end < 48
    True
    """
    codes = sequences.encode_one(dna)
    threshold = model.target.threshold if threshold is None else threshold
    profile = scoring.score(model, codes, both=both, pad=pad)
    return scoring.find_sites(profile.scores, threshold, scoring.motif_hits(model.target.scan, codes))


def mutagenesis(
    model: "Model", dna: "str | Codes", start: int = 0, stop: int | None = None, *, both: bool = False
) -> "Scores":
    """In-silico mutagenesis: what every single base change does to the summed score.

    Args:
        model: as `load_model` returns it.
        dna: one sequence; for a list, call this for each.
        start, stop: the bases to change, 0-based half-open; None for the end of the sequence.
        both: average with the scores of the reverse complement.

    Returns:
        (4, stop - start) float32, rows A C G T: by how much the sum of scores rises; 0 for the base that is there.

    Raises:
        ValueError: as for `score`, several sequences, or a stretch that lies outside.

    >>> tf.mutagenesis(tf.load_model(), "GGCATGTAAACAAGGC").shape
    (4, 16)
    """
    codes = sequences.encode_one(dna)
    return scoring.mutagenesis(model, codes, start, len(codes) if stop is None else stop, both).effect


def plot_profile(
    model: "Model", dna: "str | Codes", *, threshold: float | None = None, both: bool = False, pad: bool = False
) -> "go.Figure":
    """Plot the predicted score of each base, with the called sites behind it.

    Args:
        model: as `load_model` returns it.
        dna: one sequence.
        threshold: of the sites, in the unit of the scores; None for the model's own.
        both, pad: as for `score`.

    Returns:
        A Plotly figure; with an average of models, a band of one standard deviation.

    Raises:
        ValueError: as for `score`, or there are several sequences.

    >>> figure = tf.plot_profile(tf.load_model(), "GGCATGTAAACAAGGC")
    >>> figure.layout.xaxis.title.text
    'position (1-based)'
    """
    codes = sequences.encode_one(dna)
    profile = scoring.score(model, codes, both=both, pad=pad)
    threshold = model.target.threshold if threshold is None else threshold
    return scoring.profile_figure(
        codes,
        profile.scores,
        name=model.name,
        spread=profile.spread,
        sites=scoring.find_sites(profile.scores, threshold, scoring.motif_hits(model.target.scan, codes)),
        shaded=model.reach if model.length is None else 0,
        target=model.target,
    )


def predict_file(
    model: "Model",
    data: str | Path,
    out: str | Path,
    *,
    both: bool = False,
    pad: bool = False,
    threshold: float | None = None,
    home: Home = None,
) -> "PredictionReport":
    """Score a file of DNA and write the predictions, in memory that does not grow with the file.

    Args:
        model: as `load_model` returns it.
        data: FASTA, a table, or bare sequences, plain or gzip.
        out: ends in .csv .tsv .bed .bedgraph .bw or .fa; where the scores come from is written beside it.
        both, pad: as for `score`.
        threshold: the least score of a site in .bed and .fa; None for the model's own.
        home: where the runs among the members of the model are kept.

    Returns:
        How many `records` and `bases` were scored, and `notes` of what was changed in reading.

    Raises:
        ValueError: a file that cannot be read as DNA, or an output that cannot hold the predictions.
        OSError: the disk is full, or a file cannot be written.

    >>> records = Path("peaks.fa").write_text(">one\\nGGCATGTAAACAAGGC\\n")
    >>> tf.predict_file(tf.load_model(), "peaks.fa", "scores.tsv").bases
    16
    """
    options = scoring.ScoringOptions(both, pad, threshold)
    report = scoring.predict_file(model, Path(data), Path(out), options)
    scoring.write_beside(Path(out), _home(home), model, **asdict(options) | report.about)
    return report


def score_variants(
    model: "Model",
    calls: str | Path,
    genome: str | Path,
    *,
    both: bool = False,
    threshold: float | None = None,
    strict: bool = True,
    home: Home = None,
) -> "pd.DataFrame":
    """Score the effect of each variant of a VCF file or a list on the binding around it.

    Args:
        model: as `load_model` returns it.
        calls: a VCF file or a list of variants, plain or gzip.
        genome: the FASTA file that they are called on.
        both: average with the scores of the reverse complement.
        threshold: the least score of a site; None for the model's own.
        strict: refuse a file most of whose variants do not fit the genome; their rows say why they are skipped.
        home: where the index of the genome is kept.

    Returns:
        A row for each allele, in the order of the file: chrom, pos (from 1), id, ref, alt, effect (the largest change
        of a score), effect_pos, ref_score, alt_score, sites_lost, sites_gained, skipped ("" where it has a score).

    Raises:
        ValueError: a file that cannot be used.

    >>> bases = Path("genome.fa").write_text(">chr1\\n" + "GGCA" * 20 + "TGTAAACA" + "GGCA" * 20 + "\\n")
    >>> lines = ["##fileformat=VCF", "#CHROM POS ID REF ALT QUAL FILTER INFO", "chr1 85 . A C . . ."]
    >>> written = Path("calls.vcf").write_text("\\n".join(line.replace(" ", "\\t") for line in lines))
    >>> tf.score_variants(tf.load_model(), "calls.vcf", genome="genome.fa")[["pos", "ref", "alt", "skipped"]]
       pos ref alt skipped
    0   85   A   C
    """
    for path in (calls, genome):
        if not Path(path).is_file():
            raise ValueError(f"{path}: no such file")
    reference = variants.FromGenome(sequences.Genome(Path(genome), _home(home) / "cache" / "fasta"))
    return variants.effects_frame(variants.Scorer(model, reference, threshold, both), Path(calls), strict)


def _home(home: Home, sources: "Sequence[object]" = ()) -> Path:
    """The home that is meant: `home`, else that of the runs among `sources`, else the default one."""
    if home is not None:
        return Path(home).expanduser().resolve()
    homes = sorted({source.home for source in sources if isinstance(source, folders.Run)})
    if len(homes) > 1:
        raise ValueError(f"runs of {len(homes)} homes: {', '.join(map(str, homes))}; expected those of one")
    return homes[0] if homes else home_folder()


def _on_data(config: TrainConfig, data: "Windows | str | Path | None", home: Path) -> TrainConfig:
    """`config` with the name of this data set in this home, or with its folder where it is kept elsewhere."""
    if data is None:
        return config
    if not isinstance(data, str | Path):
        data = data.name if data.path.parent == datasets.dataset.data_folder(home) else data.path
    return config.model_copy(update={"dataset": str(data)})


def _model_name(source: "str | Path | Run") -> str:
    """The word by which `scoring.load_model` finds a model."""
    if isinstance(source, folders.Run):
        return source.id
    if isinstance(source, Path) and "," in str(source):
        raise ValueError(f"{source}: a comma in the name; expected a file without")
    return str(source)
