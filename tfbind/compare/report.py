"""A comparison to take away: a CSV of its table, Markdown, and one HTML file that needs no network.

Whatever a user wrote (names, notes, settings) is escaped; the HTML holds plotly.js once and refers to nothing else.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import plotly

from tfbind import __version__
from tfbind.compare.plots import PlotOptions, learning_curves, parallel, ranking
from tfbind.compare.runs import RankBy, columns_of, differing, metric_label, shown, table
from tfbind.compare.text import RULE, amount, headline, next_steps, repeat_command, trend_words, verdict_lines
from tfbind.compare.verdict import Verdict
from tfbind.evaluation import BaselineComparison
from tfbind.runs import RunRecord
from tfbind.scoring import quoted, safe_cell
from tfbind.text import significant, visible

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2733; background: #fff; max-width: 70rem; margin: 2rem auto;
  padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #d5dbe1; }
.answer { font-size: 1.1rem; background: #eef4fa; border-left: 4px solid #1f5fa8; padding: .8rem 1rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; overflow-wrap: normal; }
th, td { border: 1px solid #d5dbe1; padding: .25rem .5rem; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
th { background: #f4f6f8; } pre { background: #f4f6f8; padding: .8rem; overflow-x: auto; font-size: .8rem; }
.small { color: #5a6673; font-size: .85rem; }
"""
CONFIG = {"displaylogo": False, "responsive": True, "toImageButtonOptions": {"format": "svg"}}
HIDDEN = ("key",)
# Columns that stand behind the settings.
LAST = ("source", "server", "group", "tags", "note", "created", "epochs", "seconds")
PROVENANCE = ("dataset_hash", "split_hash", "device", "threads", "versions")
MOST_COLUMNS = 8  # axes of parallel coordinates that can still be read


@dataclass(frozen=True)
class Report:
    """What a report is made from; `command` makes it again, `made` is when, `beside` are baselines of the splits."""

    pasts: Sequence[RunRecord]
    verdict: Verdict
    command: str
    made: str
    beside: Sequence[BaselineComparison] = ()

    @property
    def choice(self) -> RankBy:
        return self.verdict.choice


def now() -> str:
    """The time of a report, in UTC."""
    return datetime.now(UTC).isoformat(sep=" ", timespec="minutes").replace("+00:00", " UTC")


def csv_table(pasts: Sequence[RunRecord], choice: RankBy) -> str:
    """The table of runs, as `compare.table` has it, and what each comes from; no cell is taken for a formula by a
    spreadsheet."""
    records = [record | _provenance(past) for record, past in zip(table(pasts, choice), pasts, strict=True)]
    rows = [list(records[0]), *(record.values() for record in records)] if records else []
    return "".join(",".join(map(_csv_cell, row)) + "\n" for row in rows)


def _csv_cell(value: object) -> str:
    """A value as it stands in a .csv; csv.writer leaves a carriage return bare, which ends a row for who reads it."""
    return "" if value is None else quoted(safe_cell(visible(value)) if isinstance(value, str) else str(value))


def _provenance(past: RunRecord) -> dict[str, Any]:
    known = {key: past.config.get(key) for key in PROVENANCE}
    return {key: json.dumps(value) if isinstance(value, dict) else value for key, value in known.items()}


def facts(verdict: Verdict) -> dict[str, Any]:
    """A verdict as plain values, for JSON."""
    best = verdict.best
    return {
        "metric": verdict.choice.metric,
        "goal": verdict.choice.goal,
        "at": verdict.choice.epoch or verdict.choice.when,
        "headline": headline(verdict),
        "refused": verdict.refused,
        "best": best.setting.label if best else None,
        "settled": bool(verdict.comparisons) and not verdict.tied,
        "settings": [
            {
                "label": standing.setting.label,
                "mean": standing.mean,
                "sd": standing.sd,
                "seeds": standing.seeds,
                "values": standing.setting.values,
                "runs": [past.key for past in standing.setting.counted],
                "trend": standing.trend.shape if standing.trend else None,
                "judged": standing.judged,
                "may_be_best": standing in verdict.contenders,
                "lost": [past.key for past in standing.setting.lost],
            }
            for standing in verdict.standings
        ],
        "comparisons": [
            {
                "best": comparison.best.label,
                "other": comparison.other.label,
                "difference": comparison.difference,
                "rule": comparison.rule,
                "interval": comparison.interval,
                "p": comparison.test.p if comparison.test else None,
                "call": "worse" if comparison.worse else "cannot be told",
                "seeds_needed": comparison.seeds_needed,
                "pair": vars(comparison.pair) if comparison.pair else None,
                "race": vars(comparison.race) if comparison.race else None,
            }
            for comparison in verdict.comparisons
        ],
        "noise": vars(verdict.noise) if verdict.noise else None,
        "optimism": verdict.optimism,
        "lines": verdict_lines(verdict),
        "notes": verdict.notes,
        "next": [{"text": step.text, "commands": list(step.commands)} for step in next_steps(verdict)],
    }


def standings_table(verdict: Verdict, beside: Sequence[BaselineComparison] = ()) -> list[dict[str, Any]]:
    """One record for each setting, the best first: its figures over seeds, and how its curves end; then baselines."""
    if not verdict.standings:
        return []
    metric = verdict.choice.metric
    rows = [
        _standing(metric, standing.setting.label, standing.seeds, standing.setting.values, trend_words(standing))
        for standing in verdict.standings
    ]
    return rows + [_standing(metric, f"baseline: {one.name}", len(one.values), one.values, "–") for one in beside]


def baseline_table(beside: Sequence[BaselineComparison], metric: str) -> list[dict[str, Any]]:
    """One record for each baseline of each data set, for runs whose figures have no common table."""
    return [
        {
            "data set": one.data,
            "baseline": one.name,
            metric_label(metric): amount(fmean(one.values)),
            "about": one.about,
        }
        for one in beside
    ]


def _standing(metric: str, label: str, seeds: int, values: Sequence[float], ends: str) -> dict[str, Any]:
    return {
        "setting": label,
        "seeds": seeds,
        f"mean {metric_label(metric)}": amount(fmean(values)),
        "standard deviation": amount(stdev(values)) if len(values) > 1 else "–",
        "lowest": amount(min(values)),
        "highest": amount(max(values)),
        "how its curves end": ends,
    }


def ranked(verdict: Verdict) -> list[Any]:
    """The settings in the order of the verdict, those without a figure last."""
    first = [standing.setting for standing in verdict.standings]
    return first + [setting for setting in verdict.settings if setting not in first]


def setting_columns(records: Sequence[dict[str, Any]], pasts: Sequence[RunRecord]) -> list[str]:
    """The columns of a table that are settings in which the runs differ, without the seed, those that most runs state
    first."""
    differ = differing([columns_of(past) for past in pasts])
    columns = [name for key in differ if key != "seed" for name in (key, f"config.{key}") if name in records[0]]
    return sorted(columns, key=lambda name: sum(record[name] is None for record in records))[:64]


def shared(pasts: Sequence[RunRecord]) -> dict[str, Any]:
    """What all runs have in common."""
    configs = [columns_of(past) for past in pasts]
    differ = set(differing(configs))
    return {key: value for key, value in configs[0].items() if key not in differ} if configs else {}


def versions(pasts: Sequence[RunRecord]) -> list[str]:
    """The programs that made the runs, each combination once, and the one that made the report."""
    made = {json.dumps(past.config["versions"], sort_keys=True) for past in pasts if past.config.get("versions")}
    said = [", ".join(f"{key} {value}" for key, value in json.loads(one).items()) for one in sorted(made)]
    return [f"report: tfbind {__version__}", *(f"runs: {one}" for one in said)]


def data_lines(pasts: Sequence[RunRecord]) -> list[str]:
    """The data sets of the runs, with the hash of their content."""
    found = {
        (past.config.get("dataset"), past.config.get("dataset_hash"), past.config.get("windows")) for past in pasts
    }
    return [
        f"{name or 'not recorded'}"
        + (f", {windows:,} windows" if isinstance(windows, int) else "")
        + (f", SHA-256 {hash}" if hash else "")
        for name, hash, windows in sorted(found, key=str)
    ]


def split_lines(pasts: Sequence[RunRecord]) -> list[str]:
    """How each run was divided and where it ran: the hash of its split, its seed, its device."""
    return [
        f"{past.id}: split SHA-256 {past.config['split_hash']}, seed {past.config.get('seed')}, "
        f"device {past.config.get('device')}, {past.config.get('threads')} threads"
        for past in pasts
        if past.config.get("split_hash")
    ]


def _origins(pasts: Sequence[RunRecord]) -> list[str]:
    return [*data_lines(pasts), *split_lines(pasts), *versions(pasts)]


def html_report(report: Report) -> str:
    """The report as one HTML file."""
    verdict, choice = report.verdict, report.choice
    source = (Path(plotly.__file__).parent / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
    parts = [
        f'<p class="answer">{escape(headline(verdict))}</p>',
        f'<p class="small">Judged by {escape(choice.words)}.</p>',
    ]
    if not verdict.refused:
        parts += _verdict_html(verdict, report.beside)
    elif report.beside:
        parts += ["<h2>Baselines of each data set</h2>", _html_table(baseline_table(report.beside, choice.metric))]
    parts += ["<h2>Learning curves</h2>", *_figures(report), "<h2>Runs</h2>", _html_table(_run_rows(report))]
    parts += ["<h2>What all these runs share</h2>", _html_table(_pairs(shared(report.pasts)))]
    parts += ["<h2>The rule behind the verdict</h2>", _list(RULE)]
    parts += ["<h2>Data and versions</h2>", _list(_origins(report.pasts))]
    parts += ["<h2>Repeat it</h2>", f"<pre>{escape(chr(10).join([report.command, *_repeats(report.pasts)]))}</pre>"]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Comparison of runs</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,"><style>{STYLE}</style>\n<script>{source}</script></head>\n'
        f"<body><h1>Comparison of {len(report.pasts)} runs</h1>\n"
        f'<p class="small">Made {escape(report.made)} with tfbind {__version__}.</p>\n'
        + visible("\n".join(parts))
        + "\n</body></html>\n"
    )


def verdict_html(verdict: Verdict) -> str:
    """A verdict for a notebook: the answer, its table, and what every comparison shows."""
    steps = [step.text for step in next_steps(verdict)]
    table = _html_table(standings_table(verdict)) if verdict.standings else ""
    rest = _list([*verdict_lines(verdict), *verdict.notes, *steps])
    judged = f"<p>Judged by {escape(verdict.choice.words)}.</p>"
    return visible(f"<p><b>{escape(headline(verdict))}</b></p>{judged}{table}{rest}")


def verdict_markdown(verdict: Verdict) -> str:
    """The same as Markdown."""
    steps = [step.text for step in next_steps(verdict)]
    parts = [f"**{_mark(headline(verdict))}**", f"Judged by {_mark(verdict.choice.words)}."]
    parts += [_markdown_table(standings_table(verdict)), _bullets([*verdict_lines(verdict), *verdict.notes, *steps])]
    return visible("\n\n".join(part for part in parts if part))


def _verdict_html(verdict: Verdict, beside: Sequence[BaselineComparison]) -> list[str]:
    parts = [_html_table(standings_table(verdict, beside)), *_about(beside), _list(verdict_lines(verdict))]
    parts += [f'<p class="small">{escape(note)}</p>' for note in verdict.notes]
    if verdict.standings:
        parts.append(_figure(ranking(verdict), "ranking"))
    steps = next_steps(verdict)
    if steps:
        commands = "\n".join(dict.fromkeys(command for step in steps for command in step.commands))
        parts += ["<h2>What would settle the rest</h2>", _list([step.text for step in steps])]
        parts += [f"<pre>{escape(commands)}</pre>"] if commands else []
    return parts


def _about(beside: Sequence[BaselineComparison]) -> list[str]:
    return [f'<p class="small">{escape(baseline_words(beside))}</p>'] if beside else []


def baseline_words(beside: Sequence[BaselineComparison]) -> str:
    """What the baselines are."""
    return "Baselines, on the same held-out windows. " + " ".join(f"{one.name}: {one.about}." for one in beside)


def _figures(report: Report) -> list[str]:
    settings, choice = ranked(report.verdict), report.choice
    names = list(dict.fromkeys([choice.metric, "val_loss"]))
    curves = [past.rows for past in report.pasts if not past.last_only]
    drawn = [name for name in names if any(name in row for rows in curves for row in rows)]
    parts = [_figure(learning_curves(settings, name, PlotOptions()), f"curves-{name}") for name in drawn]
    parts += [] if curves else ['<p class="small">Only the last values of these runs are known.</p>']
    records = table(report.pasts, choice)
    columns = setting_columns(records, report.pasts) if records else []
    measured = [record for record in records if record[choice.metric] is not None]
    if 0 < len(columns) <= MOST_COLUMNS and len(measured) > 2:
        parts += ["<h2>Settings</h2>", _figure(parallel(records, columns, choice), "parallel")]
    return parts


def _figure(figure: Any, name: str) -> str:
    figure.update_layout(template="plotly_white")
    content: str = figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=f"figure-{''.join(sign if sign.isalnum() else '-' for sign in name)}",
        default_height=f"{figure.layout.height}px",
        config=CONFIG,
    )
    return content


def _run_rows(report: Report) -> list[dict[str, Any]]:
    """The table of runs, figure and settings first, without columns in which no run has anything."""
    records = table(report.pasts, report.choice)
    keys = [key for key in records[0] if key not in (*HIDDEN, *LAST)] if records else []
    filled = [key for key in (*keys, *LAST) if any(record[key] not in (None, "") for record in records)]
    return [{key: record[key] for key in filled} for record in records]


def _pairs(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"setting": key, "value": shown(value)} for key, value in values.items()]


def _html_table(records: Sequence[dict[str, Any]]) -> str:
    if not records:
        return '<p class="small">None.</p>'
    head = "".join(f"<th>{escape(key)}</th>" for key in records[0])
    body = "".join(f"<tr>{''.join(_cell(value) for value in record.values())}</tr>\n" for record in records)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"<td>{escape('' if value is None else str(value))}</td>"
    return f'<td class="number">{significant(value, 6)}</td>'


def _list(items: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"


def _repeats(pasts: Sequence[RunRecord]) -> list[str]:
    return [command for past in pasts if (command := repeat_command(past))]


def markdown_report(report: Report) -> str:
    """The report as Markdown: the verdict, its tables and commands, without figures."""
    verdict = report.verdict
    steps = next_steps(verdict)
    parts = [
        f"# Comparison of {len(report.pasts)} runs",
        f"**{_mark(headline(verdict))}**",
        f"Judged by {_mark(report.choice.words)}. Made {report.made} with tfbind {__version__}.",
        _markdown_table(standings_table(verdict, report.beside)),
        _markdown_table(baseline_table(report.beside, report.choice.metric)) if verdict.refused else "",
        _mark(baseline_words(report.beside)) if report.beside and not verdict.refused else "",
        _bullets([*verdict_lines(verdict), *verdict.notes]),
    ]
    if steps:
        parts += ["## What would settle the rest", _bullets(step.text for step in steps)]
    parts += ["## Runs", _markdown_table(_run_rows(report))]
    parts += ["## What all these runs share", _markdown_table(_pairs(shared(report.pasts)))]
    parts += ["## The rule behind the verdict", _bullets(RULE)]
    parts += ["## Data and versions", _bullets(_origins(report.pasts))]
    parts += ["## Repeat it", "\n".join(f"    {line}" for line in [report.command, *_repeats(report.pasts)])]
    return visible("\n\n".join(part for part in parts if part)) + "\n"


def _mark(text: str) -> str:
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>#|!~&$" else sign for sign in " ".join(text.split()))


def _bullets(items: Iterable[str]) -> str:
    return "\n".join(f"- {_mark(item)}" for item in items)


def _markdown_table(records: Sequence[dict[str, Any]]) -> str:
    if not records:
        return ""
    keys = list(dict.fromkeys(key for record in records for key in record))
    rows = [[_text(record.get(key)) for key in keys] for record in records]
    lines_of = [[_mark(key) for key in keys], ["---"] * len(keys), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines_of)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return significant(value, 6)
    return "" if value is None else _mark(str(value))
