"""What models are for: `predict` and `variants` score, `bundle` hands a model out, `model` takes others in."""

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfbind.cli.output import add_command, bar, draw_status, number, print_remark, print_result
from tfbind.config import home_folder, sees
from tfbind.nn import weight_files
from tfbind.scoring import THRESHOLD
from tfbind.store import plural

if TYPE_CHECKING:
    from tfbind.scoring import Model, ScoreBatches

NOTES = 20
GPU_FROM = 4 << 20  # bytes of a file whose scan on a CPU takes longer than starting torch does


def add_predict(commands: Any) -> None:
    """Add `predict`."""
    command = add_command(commands, "predict", predict_file)
    command.add_argument("--model", required=True, help="builtin, a run, or weights; several, with commas: averaged")
    command.add_argument(
        "--data", required=True, metavar="FILE", help="FASTA, a table, or bare sequences; - is stdin"
    )
    command.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="ends in .csv .tsv .bed .bedgraph .bw .fa"
    )
    command.add_argument("--strand", choices=["forward", "both"], default="forward", help="both: their mean")
    command.add_argument("--pad", action="store_true", help="fill up with N what is too short for the model")
    command.add_argument(
        "--device",
        choices=["auto", "cpu", "cuda"],
        default="auto",
        help="auto: a GPU, if there is one, for large files",
    )
    command.add_argument("--ray", metavar="ADDRESS", help="score on the Ray cluster at HOST:PORT, or auto")
    command.add_argument(
        "--threshold",
        type=number,
        help="the least score of a site in .bed and .fa; default: half the lowest score of a site in the data that "
        f"the model learnt from (for several models their mean), {THRESHOLD:g} where that is not known",
    )


def predict_file(options: argparse.Namespace) -> int:
    """Score a file of DNA and write the predictions, in the format that the suffix of --out names."""
    from tfbind.cluster import scorer
    from tfbind.scoring import ScoringOptions, predict_file, write_beside

    data = sys.stdin.buffer if options.data == "-" else Path(options.data)
    device = _device(options, data)
    model = _load(options.model, device)
    scoring = ScoringOptions(options.strand == "both", options.pad, options.threshold)
    with_sites = options.out.suffix.lower() in (".bed", ".fa") and not options.json
    terminal = sys.stderr.isatty()
    cluster: AbstractContextManager[ScoreBatches | None] = nullcontext()
    if options.ray:
        cluster = scorer(options.ray, home_folder(), options.model, scoring, print_remark)
    try:
        with cluster as score_batches:
            on_progress = _stage_bar() if terminal else lambda _stage, _done, _total: None
            report = predict_file(model, data, options.out, scoring, on_progress, score_batches=score_batches)
    finally:
        if terminal:
            draw_status("")
    write_beside(options.out, home_folder(), model, **asdict(scoring) | report.about, device=device)
    if options.threshold is None and with_sites and (remark := model.target.on_threshold):
        print(remark, file=sys.stderr)
    for note in [] if options.json else report.notes[:NOTES]:
        print(f"read {note}", file=sys.stderr)
    if not options.json and len(report.notes) > NOTES:
        print(f"and {plural(len(report.notes) - NOTES, 'more record')} changed in reading", file=sys.stderr)
    if note := report.unplaced:
        print(note, file=sys.stderr)
    facts = {**asdict(report), "notes": report.notes[:NOTES], "device": device}
    device_words = " on a GPU" if device == "cuda" else ""
    counts = f"{plural(report.records, 'record')}, {plural(report.bases, 'base')}"
    return print_result(options.json, facts, [f"{counts} in {report.seconds:.1f} s{device_words}: {report.out}"])


def _device(options: argparse.Namespace, data: object) -> str:
    """Where to score.

    Raises:
        ValueError: there is no such device here, or one was named for a cluster.
    """
    from tfbind.runs import devices

    device: str = options.device
    if options.ray:
        if device != "auto":
            raise ValueError(f"--device {device}: with --ray the nodes score, on their CPUs; expected one of the two")
        return "cpu"
    if device == "cuda" and not devices.cuda_count():
        raise ValueError(f"--device cuda: not on this machine; here: {', '.join(devices.available_devices())}")
    if device != "auto":
        return device
    large = isinstance(data, Path) and data.is_file() and data.stat().st_size >= GPU_FROM
    return "cuda" if large and devices.cuda_count() else "cpu"


def _load(names: str, device: str) -> "Model":
    """The model, with networks on this device; torch is imported for a GPU only."""
    from tfbind.scoring import OnnxNetwork, load_model

    if device == "cpu":
        return load_model(home_folder(), names, OnnxNetwork)
    from tfbind.scoring import TorchNetwork

    return load_model(home_folder(), names, partial(TorchNetwork, device=device))


def _stage_bar() -> Callable[[str, int, int], None]:
    """Draws how far a prediction is, ten times a second."""
    starts: dict[str, tuple[float, int]] = {}
    last_drawn = 0.0

    def draw(stage: str, done: int, total: int) -> None:
        nonlocal last_drawn
        now = time.monotonic()
        started, first = starts.setdefault(stage, (now, done))
        if now - last_drawn < 0.1:
            return
        last_drawn = now
        text = f"{stage} {done:,} bases"
        if total and done > first:
            left = (now - started) * (total - done) / (done - first)
            text = f"{stage} {bar(done / total)} {done:,} of {total:,} bases  {left:.0f} s left"
        draw_status(text)

    return draw


def add_variants(commands: Any) -> None:
    """Add `variants`."""
    command = add_command(commands, "variants", variants)
    command.add_argument("--model", required=True, help="builtin, a run, or weights; several, with commas: averaged")
    command.add_argument(
        "--data", type=Path, required=True, metavar="FILE", help="a VCF or a list of variants, plain or gzip"
    )
    command.add_argument(
        "--fasta", type=Path, required=True, metavar="FILE", help="the genome that they are called on"
    )
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="ends in .tsv or .csv")
    command.add_argument("--strand", choices=["forward", "both"], default="forward", help="both: their mean")
    command.add_argument(
        "--threshold",
        type=number,
        help="the least score of a site; default: half the lowest score of a site in the data that the model learnt "
        f"from (for several models their mean), {THRESHOLD:g} where that is not known",
    )
    command.add_argument(
        "--keep-going",
        action="store_true",
        help="take a file, too, most of whose variants do not fit the genome",
    )


def variants(options: argparse.Namespace) -> int:
    """Score what each variant of a VCF file or a list changes in the binding around it."""
    from tfbind.scoring import load_model, write_beside
    from tfbind.store import plural
    from tfbind.variants import score_variants

    home = home_folder()
    model = load_model(home, options.model)
    cache = home / "cache" / "fasta"
    files = options.data, options.fasta, options.out
    both = options.strand == "both"
    threshold = model.target.threshold if options.threshold is None else options.threshold
    report = score_variants(model, *files, cache, threshold, options.keep_going, both)
    write_beside(options.out, home, model, both=both, threshold=threshold)
    threshold_notes = [model.target.on_threshold] if options.threshold is None and model.target.on_threshold else []
    for note in [] if options.json else threshold_notes + report.notes:
        print(note, file=sys.stderr)
    lines = [f"skipped {times:,}: {reason}" for reason, times in list(report.skipped.items())[:NOTES]]
    if len(report.skipped) > NOTES:
        lines.append(f"and for {plural(len(report.skipped) - NOTES, 'more reason')}")
    if report.unused:
        lines.append(f"{plural(report.unused, 'line')} without a variant: rows with the reason")
    lines += [f"{report.scored:,} of {report.variants:,} variants scored in {report.seconds:.1f} s: {report.out}"]
    return print_result(options.json, asdict(report), lines)


def add_bundle(commands: Any) -> None:
    """Add `bundle`."""
    command = add_command(commands, "bundle", export_bundle)
    command.add_argument("id", metavar="ID", help="a run, or another model; an average of several with --html alone")
    command.add_argument(
        "--html", action="store_true", help="one web page in their place, which scores DNA in any browser, offline"
    )
    command.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="PATH",
        help="a new or empty folder; with --html a new file .html",
    )


def export_bundle(options: argparse.Namespace) -> int:
    """Write model_weights.pt and a predict.py that needs no tfbind, once its scores have been compared with ours."""
    from tfbind.scoring import export_bundle, export_web_page

    if options.html:
        size = export_web_page(home_folder(), options.id, options.out)
        facts = {"out": options.out, "model": options.id, "bytes": size}
        return print_result(options.json, facts, [f"{options.out}: {size / 1e6:.1f} MB; a browser opens it offline"])
    bundle = export_bundle(home_folder(), options.id, options.out)
    most = f"{bundle.difference:.1e}"
    line = f"{bundle.out}: checked on {bundle.windows} windows, differs from our scores by at most {most}"
    return print_result(options.json, asdict(bundle), [line])


def add_model(commands: Any) -> None:
    """Add `model` and its actions."""
    model = commands.add_parser("model", help="Models from elsewhere: import, list, delete.", allow_abbrev=False)
    actions = model.add_subparsers(title="actions", required=True, metavar="ACTION")
    importing = add_command(actions, "import", import_model)
    importing.add_argument("file", type=Path, metavar="FILE", help="safetensors, or a state_dict saved by torch")
    importing.add_argument("--name", help="its name here; default: that of the file")
    add_command(actions, "list", list_models)
    add_command(actions, "delete", delete_model).add_argument("name", metavar="NAME", help="an imported model")


def import_model(options: argparse.Namespace) -> int:
    """Keep weights from elsewhere as a model of this home."""
    card = weight_files.import_model(home_folder(), options.file, options.name)
    return print_result(options.json, asdict(card), [_line(card), f"score with it: --model {card.name}"])


def list_models(options: argparse.Namespace) -> int:
    """List the imported models. Finished runs and `builtin` are models without being imported."""
    cards = weight_files.list_models(home_folder())
    lines = [_line(card) for card in cards] or ["no imported models; builtin and finished runs need no import"]
    return print_result(options.json, {"models": [asdict(card) for card in cards]}, lines)


def _line(card: weight_files.Card) -> str:
    windows = f"windows of {card.length} bases" if card.length else "any length"
    facts = f"{card.parameters:,} parameters, sees {sees(card.length is not None, card.receptive_field)}, {windows}"
    return f"{card.name}  {facts}, from {card.source} at {card.imported}"


def delete_model(options: argparse.Namespace) -> int:
    """Move an imported model to the trash of the home."""
    trash = weight_files.delete_model(home_folder(), options.name)
    return print_result(options.json, {"name": options.name, "trash": trash}, [f"{options.name}: moved to {trash}"])
