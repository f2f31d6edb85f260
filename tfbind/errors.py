"""Errors in parts, for whoever has to decide what follows from one; the sentence is for a reader alone."""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

FAILURE = "TFBIND_FAILURE"  # names the file in which a command says why it fails, for the process that started it
Reason = Literal["diverged", "disk full"]
FULL = (errno.ENOSPC, errno.EDQUOT)


class TfbindError(ValueError):
    """What was found at a place where something else was expected.

    Args:
        found: what is wrong.
        place: the file, record, line or setting in which it is; "" where that is plain.
        expected: what would be right; "" where `found` says so.
        reason: what others decide by; None where nothing follows from it.
    """

    def __init__(self, found: str, *, place: str = "", expected: str = "", reason: Reason | None = None) -> None:
        self.found, self.place, self.expected, self.reason = found, place, expected, reason

    def __str__(self) -> str:
        return f"{self.place}: {self.detail}" if self.place else self.detail

    @property
    def detail(self) -> str:
        """The sentence without the place."""
        return f"{self.found}; expected {self.expected}" if self.expected else self.found


@dataclass(frozen=True)
class Setting:
    """A hyperparameter in a sentence, as it is `spelled` there, such as `parameters.seed.min`; `key` is the last part
    of that where it is not the hyperparameter itself. A form calls it otherwise."""

    field: str
    spelled: str
    key: str = ""

    def __str__(self) -> str:
        return self.spelled

    def at(self, key: str) -> "Setting":
        """The setting's own setting of that name."""
        return Setting(self.field, f"{self.spelled}.{key}", key)


class SettingsError(TfbindError):
    """Settings that cannot be used: a sentence in parts, so that a form can name the settings as it shows them."""

    def __init__(self, *parts: str | Setting) -> None:
        super().__init__("".join(map(str, parts)))
        self.parts = parts

    def named(self, name: Callable[[Setting], str]) -> str:
        """The sentence with other names for the settings."""
        return "".join(name(part) if isinstance(part, Setting) else part for part in self.parts)


def reason_of(error: BaseException) -> Reason | None:
    """Why something failed, as far as anything is decided by it."""
    if isinstance(error, OSError):
        return "disk full" if error.errno in FULL else None
    return error.reason if isinstance(error, TfbindError) else None
