"""Exceptions that carry their parts (place, problem, expected, reason), so that no caller parses a message."""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

JOB = "TFBIND_JOB"  # in the environment: the folder of the job that a command was started to do
Reason = Literal["diverged", "disk full"]
FULL = (errno.ENOSPC, errno.EDQUOT)


class TfbindError(ValueError):
    """An error in the user's input, as a sentence in parts: place, problem, what was expected.

    Args:
        problem: what is wrong.
        place: the file, record, line or setting in which it is; "" where that is plain.
        expected: what would be right; "" where `problem` says so.
        reason: a code for callers that act on it; None where none does.
    """

    def __init__(self, problem: str, *, place: str = "", expected: str = "", reason: Reason | None = None) -> None:
        self.problem, self.place, self.expected, self.reason = problem, place, expected, reason

    def __str__(self) -> str:
        return f"{self.place}: {self.detail}" if self.place else self.detail

    @property
    def detail(self) -> str:
        """The sentence without the place."""
        return f"{self.problem}; expected {self.expected}" if self.expected else self.problem


@dataclass(frozen=True)
class Setting:
    """A hyperparameter named in a message, such as `parameters.seed.min`; a form may show its own label instead.

    Args:
        field: the hyperparameter.
        spelled: its name in the message.
        key: the last part of that name where it is not the hyperparameter itself.
    """

    field: str
    spelled: str
    key: str = ""

    def __str__(self) -> str:
        return self.spelled

    def at(self, key: str) -> "Setting":
        """The key `key` of this setting, such as `min` of `parameters.seed`."""
        return Setting(self.field, f"{self.spelled}.{key}", key)


class SettingsError(TfbindError):
    """Invalid settings: the message in parts, so that a form can put its own labels in it."""

    def __init__(self, *parts: str | Setting) -> None:
        super().__init__("".join(map(str, parts)))
        self.parts = parts

    def named(self, name: Callable[[Setting], str]) -> str:
        """The message with the names that `name` gives the settings."""
        return "".join(name(part) if isinstance(part, Setting) else part for part in self.parts)


def reason_of(error: BaseException) -> Reason | None:
    """The `Reason` of an error, None where it has none."""
    if isinstance(error, OSError):
        return "disk full" if error.errno in FULL else None
    return error.reason if isinstance(error, TfbindError) else None
