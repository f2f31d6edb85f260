"""A comparison to take away: a CSV of its table, Markdown, and one HTML file that needs no network.

Whatever a user wrote (names, notes, settings) is escaped; the HTML holds plotly.js once and refers to nothing else.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import plotly

from tfbind import __version__
from tfbind.compare.plots import PlotOptions, learning_curves, parallel, ranking_figure
from tfbind.compare.runs import (
    RankBy,
    column_names,
    columns_of,
    differing,
    format_value,
    measure,
    metric_label,
    metrics,
    number,
    table,
)
from tfbind.compare.text import RULE, amount, headline, next_steps, repeat_command, trend_words, verdict_lines
from tfbind.compare.verdict import Verdict
from tfbind.evaluation import BaselineComparison
from tfbind.runs import Row, RunRecord
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
    """What a report is made from; `command` makes it again, `created` is when, `baselines` those of the splits."""

    records: Sequence[RunRecord]
    verdict: Verdict
    command: str
    created: str
    baselines: Sequence[BaselineComparison] = ()

    @property
    def rank_by(self) -> RankBy:
        return self.verdict.rank_by


def now() -> str:
    """The time of a report, in UTC."""
    return datetime.now(UTC).isoformat(sep=" ", timespec="minutes").replace("+00:00", " UTC")


def csv_table(records: Sequence[RunRecord], rank_by: RankBy) -> str:
    """The table of runs, as `compare.table` has it, what each comes from, and its other metrics, as CSV.

    Args:
        records: the runs.
        rank_by: the figure; other metrics are those of its epoch.

    Returns:
        The text of a .csv; no cell is taken for a formula by a spreadsheet.
    """
    table_rows = [row | _provenance(record) for row, record in zip(table(records, rank_by), records, strict=True)]
    others = [name for name in metrics(records) if table_rows and name not in table_rows[0]]
    table_rows = [row | _at_figure(record, rank_by, others) for row, record in zip(table_rows, records, strict=True)]
    rows = [list(table_rows[0]), *(row.values() for row in table_rows)] if table_rows else []
    return "".join(",".join(map(_csv_cell, row)) + "\n" for row in rows)


def _at_figure(record: RunRecord, rank_by: RankBy, names: Sequence[str]) -> dict[str, float | None]:
    """Metrics of a run at the epoch of its figure, None without one."""
    point = measure(record, rank_by)
    epoch = point and (point.epoch or record.rows[-1]["epoch"])
    at_epoch: Row = next((row for row in record.rows if row["epoch"] == epoch), {})
    return {name: number(at_epoch.get(name)) for name in names}


def _csv_cell(value: object) -> str:
    """A value as it stands in a .csv; csv.writer leaves a carriage return bare, which ends a row for who reads it."""
    return "" if value is None else quoted(safe_cell(visible(value)) if isinstance(value, str) else str(value))


def _provenance(record: RunRecord) -> dict[str, Any]:
    known = {key: record.config.get(key) for key in PROVENANCE}
    return {key: json.dumps(value) if isinstance(value, dict) else value for key, value in known.items()}


def facts(verdict: Verdict) -> dict[str, Any]:
    """A verdict as plain values, for JSON."""
    best = verdict.best
    return {
        "metric": verdict.rank_by.metric,
        "goal": verdict.rank_by.goal,
        "at": verdict.rank_by.epoch or verdict.rank_by.when,
        "headline": headline(verdict),
        "refused": verdict.refused,
        "best": best.setting.label if best else None,
        "settled": bool(verdict.comparisons) and not verdict.tied,
        "settings": [
            {
                "label": ranking.setting.label,
                "mean": ranking.mean,
                "sd": ranking.sd,
                "seeds": ranking.seeds,
                "values": ranking.setting.values,
                "runs": [record.key for record in ranking.setting.counted],
                "trend": ranking.trend.shape if ranking.trend else None,
                "judged": ranking.judged,
                "may_be_best": ranking in verdict.contenders,
                "lost": [record.key for record in ranking.setting.lost],
            }
            for ranking in verdict.rankings
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
        "optimism": verdict.selection_bias,
        "lines": verdict_lines(verdict),
        "notes": verdict.notes,
        "next": [{"text": step.text, "commands": list(step.commands)} for step in next_steps(verdict)],
    }


def ranking_table(verdict: Verdict, baselines: Sequence[BaselineComparison] = ()) -> list[dict[str, Any]]:
    """The ranking as a table: figures over seeds, and how curves end; then baselines.

    Args:
        verdict: the verdict.
        baselines: those on the same held-out windows.

    Returns:
        One row for each setting, the best first, and each baseline; [] where no setting has a figure.
    """
    if not verdict.rankings:
        return []
    metric = verdict.rank_by.metric
    rows = [
        _ranking_row(metric, ranking.setting.label, ranking.seeds, ranking.setting.values, trend_words(ranking))
        for ranking in verdict.rankings
    ]
    return rows + [
        _ranking_row(metric, f"baseline: {baseline.name}", len(baseline.values), baseline.values, "–")
        for baseline in baselines
    ]


def baseline_table(baselines: Sequence[BaselineComparison], metric: str) -> list[dict[str, Any]]:
    """The baselines of each data set, for runs whose figures have no common table.

    Args:
        baselines: the baselines.
        metric: the metric of their values.

    Returns:
        One row for each.
    """
    return [
        {
            "data set": baseline.data,
            "baseline": baseline.name,
            metric_label(metric): amount(fmean(baseline.values)),
            "about": baseline.about,
        }
        for baseline in baselines
    ]


def _ranking_row(metric: str, label: str, seeds: int, values: Sequence[float], ends: str) -> dict[str, Any]:
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
    first = [ranking.setting for ranking in verdict.rankings]
    return first + [setting for setting in verdict.settings if setting not in first]


def setting_columns(rows: Sequence[dict[str, Any]], records: Sequence[RunRecord], rank_by: RankBy) -> list[str]:
    """The columns of a table that are settings in which the runs differ, without the seed.

    Args:
        rows: as from `compare.table`.
        records: the runs of these rows.
        rank_by: the figure of these rows.

    Returns:
        The names of at most 64 columns, those that most runs state first.
    """
    differ = differing([columns_of(record) for record in records])
    columns = [column for key, column in column_names(differ, rank_by).items() if key != "seed" and column in rows[0]]
    return sorted(columns, key=lambda name: sum(row[name] is None for row in rows))[:64]


def shared(records: Sequence[RunRecord]) -> dict[str, Any]:
    """What all runs have in common."""
    configs = [columns_of(record) for record in records]
    differ = set(differing(configs))
    return {key: value for key, value in configs[0].items() if key not in differ} if configs else {}


def versions(records: Sequence[RunRecord]) -> list[str]:
    """The programs that made the runs, each combination once, and the one that made the report."""
    known = [record.config.get("versions") for record in records]
    recorded = {json.dumps(programs, sort_keys=True) for programs in known if programs and isinstance(programs, dict)}
    programs = [", ".join(f"{key} {value}" for key, value in json.loads(line).items()) for line in sorted(recorded)]
    return [f"report: tfbind {__version__}", *(f"runs: {line}" for line in programs)]


def data_lines(records: Sequence[RunRecord]) -> list[str]:
    """The data sets of the runs, with the hash of their content."""
    data_sets = {
        (record.config.get("dataset"), record.config.get("dataset_hash"), record.config.get("windows"))
        for record in records
    }
    return [
        f"{name or 'not recorded'}"
        + (f", {windows:,} windows" if isinstance(windows, int) else "")
        + (f", SHA-256 {hash}" if hash else "")
        for name, hash, windows in sorted(data_sets, key=str)
    ]


def split_lines(records: Sequence[RunRecord]) -> list[str]:
    """How each run was divided and where it ran: the hash of its split, its seed, its device."""
    return [
        f"{record.id}: split SHA-256 {record.config['split_hash']}, seed {record.config.get('seed')}, "
        f"device {record.config.get('device')}, {record.config.get('threads')} threads"
        for record in records
        if record.config.get("split_hash")
    ]


def _origins(records: Sequence[RunRecord]) -> list[str]:
    return [*data_lines(records), *split_lines(records), *versions(records)]


def html_report(report: Report) -> str:
    """The report as one HTML file."""
    verdict, rank_by = report.verdict, report.rank_by
    source = (Path(plotly.__file__).parent / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
    parts = [
        f'<p class="answer">{escape(headline(verdict))}</p>',
        f'<p class="small">Judged by {escape(rank_by.words)}.</p>',
    ]
    if not verdict.refused:
        parts += _verdict_html(verdict, report.baselines)
    elif report.baselines:
        parts += [
            "<h2>Baselines of each data set</h2>",
            _html_table(baseline_table(report.baselines, rank_by.metric)),
        ]
    parts += ["<h2>Learning curves</h2>", *_figures(report), "<h2>Runs</h2>", _html_table(_run_rows(report))]
    parts += ["<h2>What all these runs share</h2>", _html_table(_setting_rows(shared(report.records)))]
    parts += ["<h2>The rule behind the verdict</h2>", _html_list(RULE)]
    parts += ["<h2>Data and versions</h2>", _html_list(_origins(report.records))]
    commands = "\n".join([report.command, *_repeats(report.records)])
    parts += ["<h2>Repeat it</h2>", f"<pre>{escape(commands)}</pre>"]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Comparison of runs</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,"><style>{STYLE}</style>\n<script>{source}</script></head>\n'
        f"<body><h1>Comparison of {len(report.records)} runs</h1>\n"
        f'<p class="small">Made {escape(report.created)} with tfbind {__version__}.</p>\n'
        + visible("\n".join(parts))
        + "\n</body></html>\n"
    )


def verdict_html(verdict: Verdict) -> str:
    """A verdict for a notebook: the answer, its table, and what every comparison shows."""
    steps = [step.text for step in next_steps(verdict)]
    table = _html_table(ranking_table(verdict)) if verdict.rankings else ""
    rest = _html_list([*verdict_lines(verdict), *verdict.notes, *steps])
    judged = f"<p>Judged by {escape(verdict.rank_by.words)}.</p>"
    return visible(f"<p><b>{escape(headline(verdict))}</b></p>{judged}{table}{rest}")


def verdict_markdown(verdict: Verdict) -> str:
    """The same as Markdown."""
    steps = [step.text for step in next_steps(verdict)]
    parts = [f"**{_escape_markdown(headline(verdict))}**", f"Judged by {_escape_markdown(verdict.rank_by.words)}."]
    parts += [_markdown_table(ranking_table(verdict)), _bullets([*verdict_lines(verdict), *verdict.notes, *steps])]
    return visible("\n\n".join(part for part in parts if part))


def _verdict_html(verdict: Verdict, baselines: Sequence[BaselineComparison]) -> list[str]:
    parts = [_html_table(ranking_table(verdict, baselines))]
    if baselines:
        parts.append(f'<p class="small">{escape(baseline_words(baselines))}</p>')
    parts.append(_html_list(verdict_lines(verdict)))
    parts += [f'<p class="small">{escape(note)}</p>' for note in verdict.notes]
    if verdict.rankings:
        parts.append(_figure(ranking_figure(verdict), "ranking"))
    steps = next_steps(verdict)
    if steps:
        commands = "\n".join(dict.fromkeys(command for step in steps for command in step.commands))
        parts += ["<h2>What would settle the rest</h2>", _html_list([step.text for step in steps])]
        if commands:
            parts.append(f"<pre>{escape(commands)}</pre>")
    return parts


def baseline_words(baselines: Sequence[BaselineComparison]) -> str:
    """What the baselines are."""
    return "Baselines, on the same held-out windows. " + " ".join(
        f"{baseline.name}: {baseline.about}." for baseline in baselines
    )


def _figures(report: Report) -> list[str]:
    settings, rank_by = ranked(report.verdict), report.rank_by
    candidates = list(dict.fromkeys([rank_by.metric, "val_loss"]))
    curves = [record.rows for record in report.records if not record.last_only]
    metrics = [metric for metric in candidates if any(metric in row for rows in curves for row in rows)]
    parts = [_figure(learning_curves(settings, metric, PlotOptions()), f"curves-{metric}") for metric in metrics]
    if not curves:
        parts.append('<p class="small">Only the last values of these runs are known.</p>')
    table_rows = table(report.records, rank_by)
    columns = setting_columns(table_rows, report.records, rank_by) if table_rows else []
    measured = [row for row in table_rows if row[rank_by.metric] is not None]
    if 0 < len(columns) <= MOST_COLUMNS and len(measured) > 2:
        parts += ["<h2>Settings</h2>", _figure(parallel(table_rows, columns, rank_by), "parallel")]
    return parts


def _figure(figure: Any, name: str) -> str:
    figure.update_layout(template="plotly_white")
    content: str = figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=f"figure-{''.join(character if character.isalnum() else '-' for character in name)}",
        default_height=f"{figure.layout.height}px",
        config=CONFIG,
    )
    return content


def _run_rows(report: Report) -> list[dict[str, Any]]:
    """The table of runs, figure and settings first, without columns in which no run has anything."""
    rows = table(report.records, report.rank_by)
    keys = [key for key in rows[0] if key not in (*HIDDEN, *LAST)] if rows else []
    filled = [key for key in (*keys, *LAST) if any(row[key] not in (None, "") for row in rows)]
    return [{key: row[key] for key in filled} for row in rows]


def _setting_rows(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"setting": key, "value": format_value(value)} for key, value in values.items()]


def _html_table(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return '<p class="small">None.</p>'
    head = "".join(f"<th>{escape(key)}</th>" for key in rows[0])
    body = "".join(f"<tr>{''.join(_html_cell(value) for value in row.values())}</tr>\n" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _html_cell(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"<td>{escape('' if value is None else str(value))}</td>"
    return f'<td class="number">{significant(value, 6)}</td>'


def _html_list(items: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"


def _repeats(records: Sequence[RunRecord]) -> list[str]:
    return [command for record in records if (command := repeat_command(record))]


def markdown_report(report: Report) -> str:
    """The report as Markdown: the verdict, its tables and commands, without figures."""
    verdict = report.verdict
    steps = next_steps(verdict)
    parts = [
        f"# Comparison of {len(report.records)} runs",
        f"**{_escape_markdown(headline(verdict))}**",
        f"Judged by {_escape_markdown(report.rank_by.words)}. Made {report.created} with tfbind {__version__}.",
        _markdown_table(ranking_table(verdict, report.baselines)),
        _markdown_table(baseline_table(report.baselines, report.rank_by.metric)) if verdict.refused else "",
        _escape_markdown(baseline_words(report.baselines)) if report.baselines and not verdict.refused else "",
        _bullets([*verdict_lines(verdict), *verdict.notes]),
    ]
    if steps:
        parts += ["## What would settle the rest", _bullets(step.text for step in steps)]
    parts += ["## Runs", _markdown_table(_run_rows(report))]
    parts += ["## What all these runs share", _markdown_table(_setting_rows(shared(report.records)))]
    parts += ["## The rule behind the verdict", _bullets(RULE)]
    parts += ["## Data and versions", _bullets(_origins(report.records))]
    parts += ["## Repeat it", "\n".join(f"    {line}" for line in [report.command, *_repeats(report.records)])]
    return visible("\n\n".join(part for part in parts if part)) + "\n"


def _escape_markdown(text: str) -> str:
    return re.sub(r"[\\`*_{}\[\]<>#|!~&$]", r"\\\g<0>", " ".join(text.split()))


def _bullets(items: Iterable[str]) -> str:
    return "\n".join(f"- {_escape_markdown(item)}" for item in items)


def _markdown_table(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return ""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    cell_rows = [[_markdown_cell(row.get(key)) for key in keys] for row in rows]
    lines = [[_escape_markdown(key) for key in keys], ["---"] * len(keys), *cell_rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _markdown_cell(value: Any) -> str:
    if isinstance(value, float):
        return significant(value, 6)
    return "" if value is None else _escape_markdown(str(value))
