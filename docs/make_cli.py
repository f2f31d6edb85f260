"""Write docs/cli.md, the page of all commands, from the parser of the command line: `python docs/make_cli.py`."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from tfbind.__main__ import COMMANDS, _parser

PAGE = Path(__file__).with_name("cli.md")
INTRO = """# Commands

<!-- Written by docs/make_cli.py from the parser; change the help texts there, in tfbind/cli. -->

Every button of the app has a command. An installed copy brings the command `tfbind`; in a checkout it is
`.venv/bin/python -m tfbind`, called from the folder of the checkout. `tfbind COMMAND --help` shows the same text as
this page. Flags are accepted with underscores, too (`--learning_rate`), as agents of Weights & Biases write them.

With `--json` the last line of standard output is one JSON object. An error is one line on standard error. A list goes
on past what is damaged, names its file, and ends with exit code 1.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | something outside failed: a full disk, a server, a damaged file |
| 2 | the input is wrong |
| 130 | interrupted |
"""


def page() -> str:
    """The text of the page."""
    names = "".join(f"\n- [`{name}`](#tfbind-{name}): {words}" for name, (_, _, words) in COMMANDS.items())
    sections = [
        section
        for name, (_, _, words) in COMMANDS.items()
        for section in _sections(_actions(_parser(name))[name], f"tfbind {name}", words, 2)
    ]
    return "\n".join([INTRO + names, *sections, ""])


def _sections(parser: argparse.ArgumentParser, command: str, words: str, level: int) -> Iterator[str]:
    """A heading, the shortest call, what the command does and its options; then the same for its actions."""
    actions = _actions(parser)
    call = " ".join([command, *filter(None, map(_required, parser._actions))])
    yield f"\n{'#' * level} {command}\n\n`{call}`\n\n{_plain(parser.description or words)}"
    groups = {} if actions else {group: list(filter(_shown, group._group_actions)) for group in parser._action_groups}
    if any(groups.values()):
        yield ""
    for group, listed in groups.items():
        if group.description:
            yield f"\n{(group.title or '').capitalize()}: {_plain(group.description)}\n"
        yield from map(_item, listed)
    for name, action in actions.items():
        yield from _sections(action, f"{command} {name}", "", level + 1)


def _actions(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands below a parser by name."""
    found = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return {name: below for action in found for name, below in action.choices.items()}


def _shown(action: argparse.Action) -> bool:
    """Whether a flag is listed: those that all commands share are not."""
    return action.dest not in ("help", "json")


def _required(action: argparse.Action) -> str:
    """What a call has to have; "" for what may be left out."""
    if action.option_strings:
        return _words(action) if action.required else ""
    return {"?": f"[{_words(action)}]", "*": f"[{_words(action)} ...]"}.get(str(action.nargs), _words(action))


def _words(action: argparse.Action) -> str:
    """A flag with the word for its value, or the word for a positional argument."""
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    if not action.option_strings:
        return str(value)
    return action.option_strings[0] if action.nargs == 0 else f"{action.option_strings[0]} {value}"


def _item(action: argparse.Action) -> str:
    words = (action.help or "") % dict(vars(action), prog="tfbind")
    return f"- `{_words(action)}`: {_plain(words)}"


def _plain(text: str) -> str:
    """Text of the parser, in which no sign is markup but a backtick."""
    return " ".join(text.split()).replace("*", "\\*").replace("<", "\\<")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
