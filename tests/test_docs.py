"""The documentation holds: links and anchors lead somewhere, commands parse, Python compiles, nothing is left out."""

import pkgutil
import re
import runpy
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tfbind.__main__ import COMMANDS, _parser
from tfbind.config import TrainConfig
from tfbind.runs import folder

PROJECT = Path(__file__).parents[1]
DOCS = PROJECT / "docs"
README = PROJECT / "README.md"
PAGES = sorted([*PROJECT.glob("*.md"), *DOCS.glob("*.md"), PROJECT / "tfbind" / "builtin" / "README.md"])
README_LINES = 130
MARKDOWN = MarkdownIt("commonmark").enable("table")
PROGRAMS = ("python", "python3", ".venv/bin/python")


def tokens(path: Path) -> list[Token]:
    """The parts of a page, those inside paragraphs and cells included."""
    return [inner for outer in MARKDOWN.parse(path.read_text()) for inner in (outer, *(outer.children or []))]


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    parsed, found = MARKDOWN.parse(path.read_text()), []
    for heading, inline in pairwise(parsed):
        if heading.type == "heading_open":
            text = "".join(part.content for part in inline.children or [])
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return set(found)


def links(path: Path) -> Iterator[str]:
    """Where the links and pictures of a page lead, other than to the web."""
    for token in tokens(path):
        target = str(token.attrs.get("href") or token.attrs.get("src") or "")
        if target and not re.match(r"\w+:", target):
            yield unquote(target)


def broken(path: Path) -> Iterator[str]:
    """The links of a page to files or headings that are not there."""
    for link in links(path):
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


def code_blocks(path: Path, language: str = "") -> Iterator[str]:
    """The code blocks of a page in a language; "" for those that name none."""
    for token in tokens(path):
        if token.type in ("code_block", "fence") and token.info.strip() == language:
            yield token.content


def commands(block: str) -> Iterator[list[str]]:
    """The commands of a shell script, by their words; of a loop as it goes round for the first time."""
    for name, value in re.findall(r"\bfor (\w+) in (\S+)", block):
        block = re.sub(rf"\$(?:{name}\b|\{{{name}\b[^}}]*\}})", value, block)
    for line in block.replace("\\\n", " ").splitlines():
        if not re.search(r"\b(tfbind|make|python)\b", line):
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if re.fullmatch(r"[();<>|&]+", word):
                yield from [words] if words else []
                words = []
            elif words or not (word == "do" or re.match(r"\w+=", word)):
                words.append(word)


def misspelt(words: list[str]) -> str | None:
    """What is wrong with a command of this project, None for a good one and for one of another program."""
    if words[0] in PROGRAMS and words[1:3] == ["-m", "tfbind"]:
        words = words[2:]
    if words[0] == "tfbind":
        try:
            _, unknown = _parser(next(iter(words[1:]), None)).parse_known_args(words[1:])
        except SystemExit:
            return "refused by the parser"
        return f"unknown: {unknown}" if unknown else None
    if words[0] == "make":
        makefile = (PROJECT / "Makefile").read_text()
        patterns = [rf"^{word.split('=')[0]} ?\??=" if "=" in word else rf"^{word}:" for word in words[1:]]
        return next((pattern for pattern in patterns if not re.search(pattern, makefile, re.MULTILINE)), None)
    if words[0] in PROGRAMS and words[1:] and words[1].endswith(".py"):
        return None if (PROJECT / words[1]).is_file() else "no such file"
    return None


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_links_lead_somewhere(path: Path) -> None:
    assert list(broken(path)) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_commands_parse(path: Path) -> None:
    wrong = {
        shlex.join(words): why
        for block in code_blocks(path)
        for words in commands(block)
        if (why := misspelt(words)) is not None
    }
    assert wrong == {}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_what_is_named_in_a_sentence_is_there(path: Path) -> None:
    for code in (token.content for token in tokens(path) if token.type == "code_inline"):
        words = shlex.split(code) if code.startswith(("tfbind ", "make ")) else []
        if len(words) > 1 and words[0] == "tfbind" and re.fullmatch("[a-z]+", words[1]):
            assert words[1] in COMMANDS, code
        if len(words) > 1 and words[0] == "make":
            assert misspelt(words) is None, code
        for name in re.findall(r"\b(?:benchmarks|docs|tests)/[\w/-]+\.(?:py|md)\b", code):
            assert (PROJECT / name).is_file() or "NAME" in name, code


def is_defined(name: str) -> bool:
    """Whether `runs.submit`, `nn.training.Optimizer` or `ui.train.form` is a module or a name in one."""
    full = name if name.startswith("ui.") else f"tfbind.{name}"
    try:
        pkgutil.resolve_name(full)
    except (ImportError, AttributeError):
        return False
    return True


def test_the_walks_pass_doors_that_are_there() -> None:
    text = (DOCS / "architecture.md").read_text()
    packages = "|".join(path.parent.name for path in PROJECT.glob("tfbind/*/__init__.py"))
    names = re.findall(rf"`((?:ui|config|{packages})(?:\.[A-Za-z_]+)+)`", text)
    assert len(names) > 30
    assert [name for name in names if not name.endswith((".py", ".json")) and not is_defined(name)] == []
    assert not is_defined("runs.subbmit")


@pytest.mark.parametrize(("text", "link"), [("[a](b.md)", "b.md"), ("[a](#b)", "#b"), ("![a](b.png)", "b.png")])
def test_a_link_to_nowhere_is_found(text: str, link: str, tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    good = "# A, b?\n\n# A, b?\n\n[a](#a-b) [a](a.md#a-b-1) [a](https://example.org)\n\n"
    path.write_text(good)
    assert list(broken(path)) == []
    path.write_text(good + text)
    assert list(broken(path)) == [link]


@pytest.mark.parametrize(
    "line",
    [
        "tfbind trane",
        "tfbind train --epochs 5 # few",
        "for i in 1 2; do python -m tfbind runs $i --jason; done",
        "make tea",
        "cd x && make run PORTS=1",
        "python benchmarks/none.py",
    ],
)
def test_a_command_that_is_misspelt_is_found(line: str) -> None:
    assert [words for words in commands(line) if misspelt(words)]


@pytest.mark.parametrize("path", [path for path in PAGES if list(code_blocks(path, "python"))], ids=lambda p: p.name)
def test_python_compiles(path: Path) -> None:
    for block in code_blocks(path, "python"):
        compile(block, path.name, "exec")


def test_the_page_of_commands_is_that_of_the_parser() -> None:
    assert (DOCS / "cli.md").read_text() == runpy.run_path(str(DOCS / "make_cli.py"))["page"]()


def test_the_readme_is_short_and_leads_to_every_page_of_documentation() -> None:
    assert len(README.read_text().splitlines()) <= README_LINES
    linked = {(README.parent / link.partition("#")[0]).resolve() for link in links(README)}
    assert {path for path in PAGES if path.parent in (PROJECT, DOCS)} - {README} <= linked


def test_every_page_of_the_app_has_a_guide() -> None:
    linked = set(links(README))
    for path in (PROJECT / "pages").glob("*.py"):
        assert (DOCS / f"{path.stem}.md").is_file()
        assert f"docs/{path.stem}.md" in linked


def test_every_hyperparameter_is_listed_with_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \|", (DOCS / "train.md").read_text(), re.MULTILINE)
    assert rows == [(name, str(default)) for name, default in TrainConfig().model_dump().items()]


def test_every_file_of_a_run_folder_is_listed() -> None:
    constants = {name: value for name, value in vars(folder).items() if name.isupper() and isinstance(value, str)}
    names = {value for value in constants.values() if re.fullmatch(r"\w+\.\w+", value)}
    listed = set(re.findall(r"^\| `([\w.]+)` \|", (DOCS / "formats.md").read_text(), re.MULTILINE))
    assert folder.CONFIG in names
    assert names <= listed
