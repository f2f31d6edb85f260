"""The command line: a twin for every button. `python -m tfbind --help` lists the commands.

Exit codes: 0; 2 the input is wrong; 1 something outside failed; 130 interrupted. Errors are one line on stderr. With
`--json` the last line of standard output is one JSON object.
"""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from tfbind import datasets, launch, runs
from tfbind.config import PRESETS, TrainConfig, choices, flag, home_folder, parse_config
from tfbind.devices import settle
from tfbind.runs import Run

EXIT_CODES = {"finished": 0, "failed": 1, "killed": 130}
BAR_WIDTH = 24
NOTES = 20


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {' '.join(message.split())}; see `{self.prog} --help`\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        return code
    except (ValueError, FileNotFoundError, IsADirectoryError) as error:
        return _complain(error, 2)
    except OSError as error:
        return _complain(error, 1)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)


def _complain(what: object, code: int) -> int:
    print(f"tfbind: {' '.join(str(what).split())}", file=sys.stderr)
    return code


def train(options: argparse.Namespace) -> int:
    """Train one run in this process, to its end."""
    home = home_folder()
    parent = runs.find(home, options.parent) if options.parent else None
    base = runs.read_config(parent) if parent else PRESETS[options.preset]
    given = {field: getattr(options, field) for field in TrainConfig.model_fields if hasattr(options, field)}
    config = parse_config(given, base)
    run = _adopt(home, config, options.id, parent)
    if run is None:
        run = launch.prepare(home, config, name=options.name, id=options.id, parent=parent)
    return _work(run, options.json)


def _adopt(home: Path, config: TrainConfig, id: str | None, parent: Run | None) -> Run | None:
    """The run that a page has made for this very command, which only lacks its worker."""
    if not id or not (home / "runs" / id / runs.CONFIG).exists():
        return None
    run = runs.find(home, id)
    record = runs.read_record(run)
    fits = runs.read_config(run) == settle(config) and record["from"] == (parent.id if parent else None)
    return run if fits and runs.read_status(run).state == "pending" else None


def resume(options: argparse.Namespace) -> int:
    """Go on with a stopped, crashed or failed run in this process."""
    run = runs.find(home_folder(), options.id)
    if runs.read_status(run).state != "pending":
        launch.check_resumable(run)
        runs.clear_stop(run)
    return _work(run, options.json)


def _work(run: Run, as_json: bool) -> int:
    from tfbind.worker import Worker

    terminal = sys.stderr.isatty()
    if not as_json:
        print(f"run {run.id}: {runs.read_labels(run)['name']}", flush=True)
    worker = Worker(
        run,
        on_progress=_draw_bar if terminal else lambda _: None,
        on_row=(lambda _: None) if as_json else lambda row: _print_row(row, terminal),
    )
    state = worker.work()
    error = runs.read_status(run).error
    if error:
        _complain(error, 1)
    if as_json:
        print(json.dumps(_result(run)))
    else:
        _print_outcome(run, state)
    return EXIT_CODES[state]


def _result(run: Run) -> dict[str, Any]:
    summary = runs.summary(run)
    kept = ("id", "state", "best_epoch", "val_loss", "val_pearsonr", "seconds")
    return {**{key: summary[key] for key in kept}, "rows": runs.read_rows(run)}


def _draw_bar(progress: dict[str, Any]) -> None:
    done = progress["batches"] / progress["batches_per_epoch"]
    bar = ("█" * round(done * BAR_WIDTH)).ljust(BAR_WIDTH, "·")
    said = [f"epoch {progress['epoch']}/{progress['num_epochs']} {bar}"]
    if progress["windows_per_second"]:
        said += [f"loss {progress['train_loss']:.4f}", f"{progress['windows_per_second']:.0f} windows/s"]
        said += [f"{progress['seconds_left']:.0f} s left"]
    print("\r\033[K" + "  ".join(said), end="", file=sys.stderr, flush=True)


def _print_row(row: runs.Row, terminal: bool) -> None:
    if terminal:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    print(
        f"epoch {row['epoch']}: train_loss {row['train_loss']:.4f}, val_loss {row['val_loss']:.4f}, "
        f"val_pearsonr {_figure(row['val_pearsonr'])}, {row['seconds']:.1f} s",
        flush=True,
    )


def _print_outcome(run: Run, state: str) -> None:
    best = runs.best_row(runs.read_rows(run))
    figures = f"; best epoch {best['epoch']}: val_pearsonr {_figure(best['val_pearsonr'])}" if best else ""
    again = "" if state == "finished" else f"; `python -m tfbind resume {run.id}` goes on"
    print(f"{state}{figures}{again}")


def _figure(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def show_runs(options: argparse.Namespace) -> int:
    """List the runs of this home, or show one."""
    home = home_folder()
    if not options.id:
        if options.command:
            raise ValueError("--command: name the run, as in `python -m tfbind runs ID --command`")
        summaries = [runs.summary(run) for run in runs.list_runs(home)]
        return _answer(options.json, {"runs": summaries}, [_run_line(summary) for summary in summaries])
    run = runs.find(home, options.id)
    if options.command:
        print(_repeat(run))
        return 0
    summary = runs.summary(run)
    rows = runs.read_rows(run)
    lines = [_run_line(summary), _repeat(run)] + [f"error: {summary['error']}"] * bool(summary["error"])
    if not options.json:
        for row in rows:
            lines.append("  ".join(f"{key} {value:.5g}" for key, value in row.items() if value is not None))
    return _answer(options.json, {**summary, "rows": rows}, lines)


def _repeat(run: Run) -> str:
    parent = runs.read_record(run)["from"]
    words = launch.command(runs.read_config(run), parent=runs.find(run.home, parent) if parent else None)
    return shlex.join(["python", *words[1:]])


def _run_line(summary: dict[str, Any]) -> str:
    return (
        f"{summary['id']}  {summary['state']:9}epochs {summary['epochs']:<4} "
        f"val_pearsonr {_figure(summary['val_pearsonr']):10} {summary['name']}"
    )


def stop(options: argparse.Namespace) -> int:
    """Ask a run to stop and wait until it has."""
    run = runs.find(home_folder(), options.id)
    launch.stop(run, options.grace)
    state = runs.read_status(run).state
    return _answer(options.json, {"id": run.id, "state": state}, [f"run {run.id}: {state}"])


def list_data(options: argparse.Namespace) -> int:
    """List the data sets on disk."""
    found = datasets.list_datasets(home_folder())
    lines = [f"{data['name']}  {data['windows']} windows of {data['length']} bases  {data['path']}" for data in found]
    return _answer(options.json, {"datasets": found}, lines)


def _answer(as_json: bool, value: dict[str, Any], lines: Sequence[str]) -> int:
    print(json.dumps(value, default=str) if as_json else "\n".join(lines))
    return 0


def build_data(options: argparse.Namespace) -> int:
    """Make the built-in data set, if it is not there yet."""
    return _answer_data(options, datasets.make_builtin(home_folder()))


def import_data(options: argparse.Namespace) -> int:
    """Check the course's pair of files and keep it as a data set."""
    data = datasets.import_pair(
        home_folder(), options.sequences, options.scores, options.name, transpose=options.transpose
    )
    return _answer_data(options, data)


def _answer_data(options: argparse.Namespace, data: datasets.Windows) -> int:
    facts = {"name": data.name, "windows": len(data), "length": data.length, "path": str(data.path)}
    return _answer(options.json, facts, [f"{data.name}: {len(data)} windows of {data.length} bases in {data.path}"])


def check_data(options: argparse.Namespace) -> int:
    """Check the course's pair of files without keeping anything."""
    report = datasets.check_pair(options.sequences, options.scores, transpose=options.transpose)
    lines = [f"{report.windows} windows of {report.length} bases, {report.scored:.1%} of the bases scored"]
    return _answer(options.json, asdict(report), lines + report.notes)


def predict(options: argparse.Namespace) -> int:
    """Score a file of DNA and write the predictions, in the format that the suffix of --out names."""
    from tfbind.predict import Options, predict
    from tfbind.scoring import load_model

    model = load_model(home_folder(), options.model)
    data = sys.stdin.buffer if options.data == "-" else Path(options.data)
    how = Options(options.strand == "both", options.pad, options.threshold)
    if sys.stderr.isatty():
        try:
            outcome = predict(model, data, options.out, how, _stage_bar())
        finally:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
    else:
        outcome = predict(model, data, options.out, how)
    for note in [] if options.json else outcome.notes[:NOTES]:
        print(f"read {note}", file=sys.stderr)
    if not options.json and len(outcome.notes) > NOTES:
        print(f"and {len(outcome.notes) - NOTES:,} more records were changed in reading", file=sys.stderr)
    facts = {**asdict(outcome), "notes": outcome.notes[:NOTES]}
    said = f"{outcome.records:,} records, {outcome.bases:,} bases in {outcome.seconds:.1f} s: {outcome.out}"
    return _answer(options.json, facts, [said])


def _stage_bar() -> Callable[[str, int, int], None]:
    """Draws how far a prediction is, ten times a second."""
    begun: dict[str, tuple[float, int]] = {}
    drawn = 0.0

    def draw(stage: str, done: int, total: int) -> None:
        nonlocal drawn
        now = time.monotonic()
        started, first = begun.setdefault(stage, (now, done))
        if now - drawn < 0.1:
            return
        drawn = now
        said = f"{stage} {done:,} bases"
        if total and done > first:
            bar = ("█" * round(done / total * BAR_WIDTH)).ljust(BAR_WIDTH, "·")
            left = (now - started) * (total - done) / (done - first)
            said = f"{stage} {bar} {done:,} of {total:,} bases  {left:.0f} s left"
        print(f"\r\033[K{said}", end="", file=sys.stderr, flush=True)

    return draw


def _parser() -> Parser:
    parser = Parser("python -m tfbind", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_train(commands)
    _add_command(commands, "runs", show_runs, id="?").add_argument(
        "--command", action="store_true", help="print the command that repeats the run"
    )
    _add_command(commands, "stop", stop, id=None).add_argument(
        "--grace", type=float, default=launch.GRACE_SECONDS, metavar="SECONDS", help="wait so long before killing it"
    )
    _add_command(commands, "resume", resume, id=None)
    _add_predict(commands)
    data = commands.add_parser("data", help="Data sets: list, build, import, check.", allow_abbrev=False)
    actions = data.add_subparsers(title="actions", required=True, metavar="ACTION")
    _add_command(actions, "list", list_data)
    _add_command(actions, "build", build_data).add_argument("name", choices=[datasets.BUILTIN])
    _add_pair(_add_command(actions, "import", import_data)).add_argument(
        "--name", required=True, help="its name here"
    )
    _add_pair(_add_command(actions, "check", check_data))
    return parser


def _add_command(commands: Any, name: str, run: Callable[..., int], **id: str | None) -> Parser:
    words = (run.__doc__ or "").strip()
    command: Parser = commands.add_parser(name, help=words, description=words, allow_abbrev=False)
    command.set_defaults(run=run)
    command.add_argument("--json", action="store_true", help="print one JSON object")
    if "id" in id:
        command.add_argument("id", nargs=id["id"], metavar="ID", help="a run")
    return command


def _add_train(commands: Any) -> None:
    command = _add_command(commands, "train", train)
    command.add_argument("--preset", choices=PRESETS, default="seed", help="start from these settings")
    command.add_argument(
        "--from", dest="parent", metavar="ID", help="start from the settings and weights of that run"
    )
    command.add_argument("--name", default="", help="what the run is called")
    command.add_argument("--id", help="the id of the run; made up if missing")
    for field, about in TrainConfig.model_fields.items():
        command.add_argument(
            flag(field),
            f"--{field}",
            dest=field,
            default=argparse.SUPPRESS,
            metavar="|".join(choices(field)) or "X",
            help=f"{about.description} Default: {about.default}.".replace("%", "%%"),
        )


def _add_predict(commands: Any) -> None:
    command = _add_command(commands, "predict", predict)
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
        "--threshold", type=float, default=3.0, help="the least score of a site in .bed and .fa; default: 3"
    )


def _add_pair(command: Parser) -> Parser:
    command.add_argument("--sequences", type=Path, required=True, metavar="FILE", help="window_name and sequence")
    command.add_argument("--scores", type=Path, required=True, metavar="FILE", help="a column for each window")
    command.add_argument("--transpose", action="store_true", help="the scores have a row, not a column, per window")
    return command


if __name__ == "__main__":
    sys.exit(main())
