"""Names in other people's runs, and which of this project's names they probably mean."""

import difflib
import re
from collections.abc import Iterable

from tfbind.config import TrainConfig

METRICS = ("epoch", "train_loss", "val_loss", "val_pearsonr", "val_pearsonr_window", "seconds")
OURS = (*TrainConfig.model_fields, *METRICS)
ALIASES = {
    "lr": "learning_rate",
    "wd": "weight_decay",
    "bs": "batch_size",
    "epochs": "num_epochs",
    "maxepochs": "num_epochs",
    "optimizer": "optimizer_type",
    "optim": "optimizer_type",
    "dropout": "dropout_rate",
    "channels": "num_channels",
    "filters": "num_channels",
    "blocks": "num_res_blocks",
    "patience": "early_stopping_patience",
    "valsplit": "validation_split",
    "randomseed": "seed",
    "loss": "train_loss",
    "trainingloss": "train_loss",
    "validloss": "val_loss",
    "validationloss": "val_loss",
    "testloss": "val_loss",
    "r": "val_pearsonr",
    "valr": "val_pearsonr",
    "valcorr": "val_pearsonr",
    "valpearson": "val_pearsonr",
    "validationpearson": "val_pearsonr",
    "pearson": "val_pearsonr",
    "pearsonr": "val_pearsonr",
}
ALIKE = 0.82


def suggest(names: Iterable[str]) -> dict[str, str]:
    """For each name that is not this project's, the name that it probably means, if there is one.

    No two names are given the same meaning, and none one that is there already.
    """
    given = list(names)
    taken = set(given) & set(OURS)
    found: dict[str, str] = {}
    plain = {_plain(ours): ours for ours in OURS}
    for name in given:
        if name in OURS:
            continue
        word = _plain(name)
        near = difflib.get_close_matches(word, plain, 1, ALIKE)
        ours = plain.get(word) or ALIASES.get(word) or (plain[near[0]] if near else "")
        if ours and ours not in taken:
            found[name] = ours
            taken.add(ours)
    return found


def unknown(names: Iterable[str]) -> list[str]:
    """Those names that are not this project's, each once: many a setting is logged with every row, too."""
    return [name for name in dict.fromkeys(names) if name not in OURS]


def check_names(names: dict[str, str]) -> dict[str, str]:
    """A mapping that can be used, without the names that stay as they are.

    Raises:
        ValueError: two names become one, or a name becomes one that is not this project's.
    """
    changed = {theirs: ours for theirs, ours in names.items() if ours and ours != theirs}
    for theirs, ours in changed.items():
        if ours not in OURS:
            raise ValueError(f"{theirs} cannot become {ours!r}; expected one of {', '.join(OURS)}")
        double = [other for other, also in changed.items() if also == ours and other != theirs]
        if double:
            raise ValueError(f"{theirs} and {double[0]} cannot both become {ours}")
    return changed


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
