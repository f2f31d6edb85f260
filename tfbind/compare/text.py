"""A verdict in words with numbers: a headline, what each comparison shows, and what would settle the rest."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from tfbind.compare.curves import CurveCrossing
from tfbind.compare.runs import Configuration, join_words, metric_label
from tfbind.compare.significance import LEVEL, POWER, MeanTest, Noise, expected_best
from tfbind.compare.verdict import SEEDS, TESTED, Comparison, Ranking, Verdict
from tfbind.config import TrainConfig, flags, parse_config
from tfbind.runs import RunRecord
from tfbind.text import significant

RULE = (
    "A setting is a configuration without its seed; runs of it with other seeds are its replicates.",
    "Replicates (two or more) on both sides: Welch's 95 % interval of the difference over seeds. Where one side has "
    "fewer seeds, the test has at most one and a half times its degrees of freedom.",
    "One run each, both here and measured on the same held-out windows: a paired bootstrap over those windows. It "
    "holds for this pair of runs, not for the settings, and decides nothing about them.",
    "One run on a side: cannot be told, since one run does not show how far its setting scatters. As a help, not a "
    "call, the difference is given in standard deviations over seeds, pooled over the selected settings or, where "
    "those have no replicates, over others on the same data and split; for data that are not known, those of the "
    "published model.",
    "Runs of a setting failed, were pruned or were stopped, and no other run of that seed counts: cannot be told, "
    "since the survivors flatter it. At an epoch that all of them have reached they can be compared.",
    "A setting that may be the best has no worse figure than one that is called worse. The curves of two settings "
    "are said to cross only with three seeds of each, where either lead, in the first and in the last quarter of the "
    f"epochs, is beyond chance at the {LEVEL * 100:g} % level for all comparisons together.",
    "The best of N settings was picked because it came out best. Therefore a setting is called worse only if the "
    f"difference is beyond chance at the {LEVEL * 100:g} % level for all pairs of the N together (studentised range, "
    "with the degrees of freedom of the side with fewer seeds), or if the best leads every other one: then variances "
    "that are alike are shrunk towards their mean, and what a shared seed adds to all is taken off. In simulations, "
    "equal settings are called different in about 3 of 100 sets or fewer, also where spreads are 1 to 5, counts "
    "unequal, or seeds skewed; where seeds are skewed and spreads 1 to 5 at once, in up to 7.",
    "Runs on different data sets are not compared. Runs that did not finish do not count, except at an epoch they "
    "have reached. The best epoch is chosen on the windows it is measured on, which flatters every run a little.",
    "Each look at another metric or another epoch is another test; the one to believe is the one planned beforehand.",
)
FEWEST_SEEDS = 3
MANY_SEEDS = 30


@dataclass(frozen=True)
class Suggestion:
    """A step that would settle more: in words, and as commands where they are known."""

    text: str
    commands: tuple[str, ...] = ()


def amount(value: float) -> str:
    """A metric or a difference, with the digits that matter."""
    if 0 < abs(value) < 0.001 or abs(value) >= 1e5:
        return significant(value, 2)
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"


def headline(verdict: Verdict) -> str:
    """The answer in one or two sentences."""
    metric = metric_label(verdict.rank_by.metric)
    if verdict.refused:
        return verdict.refused
    best = verdict.best
    if best is None:
        return "No run counts here: none has finished with a figure. Choose an epoch that the runs have reached."
    if not verdict.comparisons:
        return f"One setting only, {figures(best, metric)}. There is nothing to compare it with."
    worse = [comparison for comparison in verdict.comparisons if comparison.worse]
    if not verdict.tied:
        return (
            f"{best.setting.label} wins: {figures(best, metric)}, better by {amount(abs(worse[0].difference))} than "
            f"the next, {worse[0].other.label}{_interval(worse[0])}."
        )
    if len(verdict.contenders) == 1:
        message = f"{best.setting.label} is the best that can be told: {figures(best, metric)}."
    elif all(ranking.seeds == 1 and not ranking.setting.lost for ranking in verdict.rankings):
        message = f"One run each: cannot be told. {best.setting.label} has the best figure, {amount(best.mean)}."
    else:
        message = f"Which is best cannot be told: {_with_reasons(verdict.contenders)}."
    if worse:
        labels = join_words([comparison.other.label for comparison in worse])
        message += f" {labels} {'is' if len(worse) == 1 else 'are'} worse."
    if verdict.open:
        message += f" Whether worse cannot be told: {_with_reasons(verdict.open)}."
    return message


def _with_reasons(rankings: Sequence[Ranking]) -> str:
    """The labels of settings and, in brackets, why no call is made about them."""
    labels = []
    for ranking in rankings:
        reason = " (one run)" if ranking.seeds == 1 else ""
        if ranking.setting.lost:
            reason = f" ({_lost(ranking.setting)})"
        labels.append(ranking.setting.label + reason)
    return join_words(labels)


def _lost(setting: Configuration) -> str:
    ended = len(setting.lost)
    every = ended + len(setting.counted)
    return f"{ended} of {every} runs ended early"


def figures(ranking: Ranking, metric: str) -> str:
    """`Pearson r 0.9012 (3 seeds, standard deviation 0.0021)`."""
    seeds = "one run" if ranking.seeds == 1 else f"{ranking.seeds} seeds"
    sd = "" if ranking.sd is None else f", standard deviation {amount(ranking.sd)}"
    return f"{metric} {amount(ranking.mean)} ({seeds}{sd})"


def _interval(comparison: Comparison) -> str:
    if comparison.interval is None:
        return ""
    sign = 1 if comparison.difference >= 0 else -1
    low, high = sorted(sign * bound for bound in comparison.interval)
    return f" (95 % interval {amount(low)} to {amount(high)})"


def verdict_lines(verdict: Verdict) -> list[str]:
    """What every comparison shows, one sentence or a few for each, then the selection bias."""
    lines = [describe_comparison(comparison, verdict) for comparison in verdict.comparisons]
    rest = len(verdict.rankings) - 1 - len(verdict.comparisons)
    if rest > 0:
        lines.append(f"{rest} further settings beside these {TESTED + 1} were not tested one by one.")
    return lines + selection_bias(verdict)


def verdict_text(verdict: Verdict) -> list[str]:
    """The answer, by which figure, what every comparison shows, and what to know before believing it."""
    points = [f"- {line}" for line in verdict_lines(verdict)]
    return [headline(verdict), f"Judged by {verdict.rank_by.words}.", *points, *verdict.notes]


def selection_bias(verdict: Verdict) -> list[str]:
    """How much the winner's own figure flatters it; [] if that cannot be known or there is no choice."""
    count = len(verdict.rankings)
    if count < 2:
        return []
    if verdict.selection_bias is None:
        return [
            f"Best of {count}: the highest of {count} equal settings looks better than it is, by "
            f"{expected_best(count):.2f} standard deviations over seeds on average. That spread is not known here."
        ]
    return [
        f"Best of {count}: if all {count} settings were equal, the best would still look better than their mean by "
        f"{amount(verdict.selection_bias)} on average, by luck of the seed. Expect the winner's own figure to be too "
        "good by up to that."
    ]


def describe_comparison(comparison: Comparison, verdict: Verdict) -> str:
    """One comparison: how big the difference is, how far chance goes, and what follows."""
    gap = amount(abs(comparison.difference))
    start = f"{comparison.best.label} against {comparison.other.label}: better by {gap}"
    parts = [f"{start}{_against_chance(comparison, verdict.noise)}"]
    if comparison.pair:
        parts.append(_pair(comparison))
    elif comparison.pair_problem:
        parts.append(f"The held-out windows could not be compared: {comparison.pair_problem}.")
    if comparison.race and comparison.race.kind != "none":
        parts.append(_race(comparison, comparison.race, verdict.rank_by.metric))
    return " ".join(parts)


def _against_chance(comparison: Comparison, noise: Noise | None) -> str:
    test = comparison.test
    if test is None:
        return f". {_why_undecided(comparison, noise)}"
    p = ("p < 0.0001" if test.p < 0.0001 else f"p = {test.p:.2g}") + _almost(comparison, test)
    call = f"{comparison.other.label} is worse" if comparison.worse else "Cannot be told from chance"
    return f"{_interval(comparison)}. {call}, {p}."


def _why_undecided(comparison: Comparison, noise: Noise | None) -> str:
    """Why no call is made, and what may help the eye."""
    both = (comparison.best, comparison.other)
    if comparison.rule == "copies":
        return "The replicates of both are equal to the last digit, so they do not show how far chance goes."
    if comparison.rule == "data":
        return "Cannot be told: only one of the two says which data it learnt from."
    if comparison.rule == "lost":
        lost = join_words([f"of {setting.label} {_lost(setting)}" for setting in both if setting.lost])
        return f"Cannot be told: {lost}, and those that are left flatter it."
    single = [setting.label for setting in both if len(setting.values) == 1]
    runs = "One run each" if len(single) == 2 else f"One run of {single[0]}"
    if noise is None:
        return f"{runs}: cannot be told, since nothing here shows how far chance goes."
    return f"{runs}: cannot be told. {_noise_help(abs(comparison.difference), noise)}"


def _noise_help(gap: float, noise: Noise) -> str:
    times = f"{gap / noise.sd:.0f}" if gap >= 10 * noise.sd else f"{gap / noise.sd:.1f}"
    if noise.origin == "published":
        spread = (
            f"{noise.least:g} to {noise.sd:g} of the published model on the published data; these data are not known"
        )
        return (
            f"As a help, not a call: the gap is {times} times {noise.sd:g} (standard deviation over seeds: {spread})."
        )
    others = ", not selected, on the same data and split" if noise.origin == "others" else ""
    settings = "one setting" if noise.settings == 1 else f"{noise.settings} settings"
    return (
        f"As a help, not a call: the gap is {times} times {amount(noise.sd)}, the standard deviation over seeds (of "
        f"{noise.seeds} runs of {settings}{others})."
    )


def _almost(comparison: Comparison, test: MeanTest) -> str:
    """Why a difference that is beyond its own margin is not called."""
    if comparison.worse or abs(comparison.difference) <= test.margin:
        return ""
    return f" (this pair alone is beyond 95 of 100, but the best was picked, and p below {LEVEL:g} is asked for)"


def _pair(comparison: Comparison) -> str:
    pair = comparison.pair
    assert pair is not None
    sure = "leaves out zero" if pair.low * pair.high > 0 else "includes zero"
    return (
        f"This pair of runs, not the settings: {pair.difference:+.4f} over the same {pair.windows:,} held-out "
        f"windows (95 % bootstrap interval {pair.low:+.4f} to {pair.high:+.4f}, which {sure})."
    )


def _race(comparison: Comparison, crossing: CurveCrossing, metric: str) -> str:
    first, second = comparison.best.label, comparison.other.label
    if crossing.leader:
        first, second = second, first
    if crossing.kind == "crossed":
        lead = amount(crossing.lead)
        return (
            f"The curves cross: {first} led first, by {lead} at epoch {crossing.peak}; {second} leads from epoch "
            f"{crossing.epoch} (5 to 95 % over seeds: {crossing.low} to {crossing.high})."
        )
    return (
        f"{first} was only faster at first: its lead in {metric_label(metric)} was {amount(crossing.lead)} at epoch "
        f"{crossing.peak}, and is within noise after epoch {crossing.epoch}."
    )


def trend_words(ranking: Ranking) -> str:
    """How the curves of a setting end."""
    trend = ranking.trend
    if trend is None:
        return "not looked at"
    metric = metric_label(trend.metric)
    gain = f"{metric} {amount(abs(trend.gain))}"
    return {
        "short": "too few epochs to see a trend",
        "improving": f"still improving, by {gain} in the last {trend.tail} epochs",
        "overfitting": f"overfitting: {gain} worse than at its best while the training loss went on falling",
        "worsening": f"past its best: {gain} worse",
        "settled": f"settled: no gain in {metric} beyond noise in the last {trend.tail} epochs",
    }[trend.shape]


def next_steps(verdict: Verdict) -> list[Suggestion]:
    """What to run to learn more, the most telling first."""
    if verdict.refused or not verdict.rankings:
        return []
    tied = [setting for comparison in verdict.tied for setting in (comparison.best, comparison.other)]
    incomplete = [ranking for ranking in verdict.rankings if ranking.unselected and ranking.setting in tied]
    if incomplete:
        return [_select(incomplete, verdict)]
    unknown = [comparison for comparison in verdict.tied if comparison.rule in ("none", "copies")]
    steps = [_first_seeds(unknown, verdict)] if unknown else []
    lost = len(verdict.rankings) == 1 and any(setting.lost for setting in verdict.settings)
    if lost or any(comparison.rule == "lost" for comparison in verdict.tied):
        steps.append(_earlier(verdict))
    steps += [_more_seeds(comparison, verdict) for comparison in verdict.tied if comparison.test][:2]
    near = {id(verdict.rankings[0].setting), *(id(comparison.other) for comparison in verdict.tied)}
    improving = [
        ranking
        for ranking in verdict.rankings
        if ranking.trend and ranking.trend.shape == "improving" and id(ranking.setting) in near
    ]
    if improving:
        steps.append(_more_epochs(improving))
    return steps


def _select(incomplete: Sequence[Ranking], verdict: Verdict) -> Suggestion:
    """Seeds that have been run already: what is still missing depends on them."""
    more = join_words([f"{len(ranking.unselected)} of {ranking.setting.label}" for ranking in incomplete])
    keys = [record.key for setting in verdict.settings for record in setting.records]
    keys += [record.key for ranking in incomplete for record in ranking.unselected]
    return Suggestion(
        f"Select the other seeds that are there already: {more}. What to run next can be told then.",
        (shlex.join(["python", "-m", "tfbind", "compare", *keys]),),
    )


def _first_seeds(unknown: Sequence[Comparison], verdict: Verdict) -> Suggestion:
    settings = [unknown[0].best, *(comparison.other for comparison in unknown[:2])]
    sides = [ranking for ranking in verdict.rankings if ranking.setting in settings]
    sides = [ranking for ranking in sides if ranking.seeds < FEWEST_SEEDS] or sides
    label = join_words([ranking.setting.label for ranking in sides])
    return Suggestion(
        f"{label}: {FEWEST_SEEDS} different seeds of each, to see how far chance goes.",
        _seed_commands(sides, FEWEST_SEEDS),
    )


def _earlier(verdict: Verdict) -> Suggestion:
    """Compare at the last epoch that all seeds have reached, those that ended early, too."""
    settings = [
        setting for setting in verdict.settings if setting.points or all(record.rows for record in setting.lost)
    ]
    records = [record for setting in settings for record in (*setting.counted, *setting.lost)]
    reached = [int(record.rows[-1]["epoch"]) if record.rows and not record.last_only else 0 for record in records]
    rank_by = verdict.rank_by
    if not min(reached) or rank_by.when == "epoch":
        lost = [record for setting in settings for record in setting.lost]
        commands = tuple(command for record in lost if (command := repeat_command(record)))
        return Suggestion(
            f"Resume or repeat the {len(lost)} runs that ended early: only survivors are known.", commands
        )
    words = ["python", "-m", "tfbind", "compare", *(record.key for record in records)]
    words += ["--metric", rank_by.metric, "--goal", rank_by.goal, "--at", str(min(reached))]
    return Suggestion(
        f"Compare at epoch {min(reached)}: all seeds have reached it, those that ended early, too.",
        (shlex.join(words),),
    )


def _more_seeds(comparison: Comparison, verdict: Verdict) -> Suggestion:
    both = (comparison.best, comparison.other)
    sides = [ranking for ranking in verdict.rankings if ranking.setting in both]
    labels = f"{comparison.best.label} against {comparison.other.label}"
    needed = comparison.seeds_needed
    if needed is None or needed > MANY_SEEDS:
        count = f"more than {SEEDS[-1]}" if needed is None else f"about {needed}"
        return Suggestion(
            f"{labels}: it would take {count} seeds of each to tell a difference of "
            f"{amount(abs(comparison.difference))} apart. For most purposes the two are equal: take either."
        )
    target = max(needed, FEWEST_SEEDS, *(ranking.seeds + 1 for ranking in sides))
    more = join_words([f"{target - ranking.seeds} more of {ranking.setting.label}" for ranking in sides])
    return Suggestion(
        f"{labels}: {target} seeds of each ({more}) would settle it in {10 * POWER:g} of 10 cases, if the "
        "difference and the spread stay as they are. If the difference shrinks instead, it was chance.",
        _seed_commands(sides, target),
    )


def _seed_commands(sides: Sequence[Ranking], target: int) -> tuple[str, ...]:
    commands = []
    for ranking in sides:
        used = {record.config.get("seed") for record in ranking.setting.records}
        fresh = (seed for seed in range(10_000) if seed not in used)
        for _ in range(target - ranking.seeds):
            commands.append(repeat_command(ranking.setting.records[0], seed=next(fresh)))
    return tuple(command for command in commands if command)


def _more_epochs(improving: Sequence[Ranking]) -> Suggestion:
    label = join_words([ranking.setting.label for ranking in improving])
    commands = []
    longest = max(len(record.rows) for ranking in improving for record in ranking.setting.counted)
    more = max(5, round(longest / 2))
    for ranking in improving:
        commands.append(repeat_command(ranking.setting.counted[0], num_epochs=longest + more))
    return Suggestion(
        f"{label}: {more} more epochs ({longest + more} in all), since the curve was still improving at the end.",
        tuple(command for command in commands if command),
    )


def repeat_command(record: RunRecord, **changes: object) -> str | None:
    """The command that repeats a run, with `changes`; None where its configuration is not one of this project."""
    known = {field: record.config[field] for field in TrainConfig.model_fields if field in record.config}
    if not {"dataset", "learning_rate", "seed"} <= set(known):
        return None
    try:
        config = parse_config(known | changes)
    except ValueError:
        return None
    return shlex.join(["python", "-m", "tfbind", "train", *flags(config)])
