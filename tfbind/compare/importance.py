"""Which settings matter: how much each explains of where good runs lie among all runs (PED-ANOVA, by Optuna)."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from tfbind.compare.runs import Choice, number

FEWEST = 8  # runs with a figure, below which shares of importance are noise


def setting_importance(
    records: Sequence[Mapping[str, Any]], columns: Sequence[str], choice: Choice
) -> dict[str, float]:
    """The share of importance of each setting, the largest first; {} for too few runs or nothing that varies.

    PED-ANOVA (Watanabe and others 2023) asks where the best tenth of the runs lie along each setting, compared with
    all of them. The shares add up to 1; they say nothing about settings that depend on each other.

    Args:
        records: as from `compare.table`.
        columns: the settings to weigh up.
    """
    known = [record for record in records if record[choice.metric] is not None]
    if len(known) < FEWEST:
        return {}
    columns = [column for column in columns if len({record[column] for record in known}) > 1]
    if not columns:
        return {}
    if len(columns) == 1:
        return {columns[0]: 1.0}
    import optuna  # half a second, which no page pays before it needs this

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    distributions = {column: _distribution([record[column] for record in known]) for column in columns}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(direction="maximize" if choice.goal == "max" else "minimize")
        for record in known:
            study.add_trial(
                optuna.trial.create_trial(
                    params={column: _plain(record[column]) for column in columns},
                    distributions=distributions,
                    value=record[choice.metric],
                )
            )
        shares = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
        )
    return dict(sorted(shares.items(), key=lambda share: -share[1]))


def _distribution(values: Sequence[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    numbers = [number(value) for value in values]
    known = [value for value in numbers if value is not None]
    if len(known) < len(values) or len(set(known)) < 5:
        return CategoricalDistribution(sorted({_plain(value) for value in values}, key=str))
    return FloatDistribution(min(known), max(known), log=min(known) > 0 and max(known) >= 20 * min(known))


def _plain(value: Any) -> Any:
    return float(value) if number(value) is not None else str(value)
