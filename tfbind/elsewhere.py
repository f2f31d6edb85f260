"""Runs from W&B and offline folders beside those of this home: which are copies of these, which further seeds."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tfbind import wandb_kept
from tfbind.compare import DATA, Choice, Setting, canonical, data_of, group, listed, settings_of, why_left_out
from tfbind.config import TrainConfig
from tfbind.files import words
from tfbind.history import Past, local, local_runs
from tfbind.runs import Run

PUBLISHED = {key: canonical(value) for key, value in TrainConfig().model_dump().items()}


@dataclass(frozen=True)
class Joined:
    """Runs to compare, those from elsewhere that repeat a setting of this home under its configuration.

    `unsaid` has what each of the latter leaves unsaid, by key. `added` are runs of this home that nobody selected and
    that count beside them.
    """

    pasts: list[Past]
    unsaid: dict[str, list[str]]
    added: list[Past]


def known_runs(home: Path, read: Callable[[Run], Past] = local) -> tuple[list[Past], list[str]]:
    """Every run that a comparison may use, those of this home as `read` has them, newest first, and a line for each
    that cannot be read.

    What W&B has of a run of this home is that run.
    """
    found, problems = local_runs(home, read)
    try:
        return originals([*found, *wandb_kept.stored(home)], found), problems
    except (ValueError, OSError) as error:
        return found, [*problems, words(error)]


def originals(pasts: Iterable[Past], known: Iterable[Past]) -> list[Past]:
    """These runs, none twice, with the run of this home among `known` in place of what it logged to W&B."""
    here = {past.key: past for past in known if past.source == "local"}
    found = [_original(past, here) for past in pasts]
    return list({past.key: past for past in found}.values())


def _original(past: Past, here: dict[str, Past]) -> Past:
    mine = here.get(str(past.config.get("run")))
    return mine if mine and mine.created == past.config.get("created") else past


def join(pasts: Sequence[Past], pool: Sequence[Past], choice: Choice) -> Joined:
    """Take the runs from elsewhere that repeat a setting of this home as further seeds of it.

    A run repeats a setting if all settings that it states are those, and the others have their published values. It
    is counted among the selected runs of the setting, else, if it states its data, among all those of `pool`. Nothing
    is joined where more than one setting would do, or where the runs would be of several data sets.
    """
    selected = {past.key for past in pasts}
    data = data_of([*pasts, *pool])
    stated = {data[past.key] for past in pasts} - {None}
    spare = [past for past in pool if past.key not in selected and why_left_out(past, choice) is None]
    near = [past for past in spare if not stated or data[past.key] in stated]
    mine, others = (group([past for past in some if past.source == "local"], choice) for some in (pasts, near))
    found: dict[str, Setting] = {}
    for past in pasts:
        if past.source != "local" and why_left_out(past, choice) is None:
            fitting = _fitting(past, mine, data) or _fitting(past, others if data[past.key] else [], data)
            found |= {past.key: fitting[0]} if len(fitting) == 1 else {}
    if len(stated | {data[setting.pasts[0].key] for setting in found.values()}) > 1:
        found = {}
    return _joined(pasts, found)


def _fitting(past: Past, settings: Sequence[Setting], data: dict[str, str | None]) -> list[Setting]:
    said = settings_of(past)
    return [
        setting
        for setting in settings
        if data[past.key] in (None, data[setting.pasts[0].key])
        and said
        and said.items() <= setting.config.items()
        and all(PUBLISHED.get(key) == setting.config[key] for key in setting.config.keys() - said.keys())
    ]


def _joined(pasts: Sequence[Past], found: dict[str, Setting]) -> Joined:
    selected = {past.key for past in pasts}
    kin = {past.key: past for setting in found.values() for past in setting.pasts if past.key not in selected}
    joining = [past for past in pasts if past.key in found]
    unsaid = {past.key: _unsaid(past, found[past.key]) for past in joining}
    alone = [past for past in pasts if past.key not in found]
    return Joined(
        [*alone, *kin.values(), *(_as_one_of(past, found[past.key]) for past in joining)], unsaid, [*kin.values()]
    )


def _as_one_of(past: Past, setting: Setting) -> Past:
    data = {key: setting.pasts[0].config.get(key) for key in DATA}
    return replace(past, config={**past.config, **setting.config, **data})


def _unsaid(past: Past, setting: Setting) -> list[str]:
    said = settings_of(past)
    names = [] if any(past.config.get(key) for key in DATA) else ["data set"]
    return names + [key for key in setting.config if key not in said]


def assumed(joined: Joined, settings: Sequence[Setting]) -> list[str]:
    """What was assumed, in words; [] where nothing was."""
    if not joined.unsaid:
        return []
    counted = [
        f"{past.name} ({setting.label})"
        for setting in settings
        for past in setting.pasts
        if past.key in joined.unsaid
    ]
    each = "one more seed of a setting of this home" + (", each" if len(counted) > 1 else "")
    said = f"Counted as {each}: {listed(counted)}. What is stated agrees with it."
    unsaid = list(dict.fromkeys(name for names in joined.unsaid.values() for name in names))
    if unsaid:
        said += f" Not stated, and assumed to be the same: {listed(unsaid, 12)}."
    if joined.added:
        names = listed([past.id for past in joined.added], 12)
        said += f" Runs of this home that were not selected and count beside: {names}."
    return [said]
