"""The shape of the project, read from its source with `ast`: who may import whom, and where things are spelled.

Every check takes the root of a tree and returns one line per violation, so that it can be shown to fail on a tree
with a planted one.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from knowledge import ALLOWED, RAY, TORCH

PROJECT = Path(__file__).parents[1]
PAGES = ("app.py", "pages", "ui")
CODE = ("tfbind", *PAGES, "benchmarks", "tests")
WRITTEN = (".py", ".js", ".css", ".html")
LINES = 400


def sources(root: Path, *places: str, suffixes: tuple[str, ...] = (".py",)) -> list[Path]:
    """The source files of a tree in `places`: folders, or files."""
    found = [[root / place] if place.endswith(".py") else sorted((root / place).rglob("*")) for place in places]
    return [path for paths in found for path in paths if path.suffix in suffixes and path.is_file()]


def module_name(root: Path, path: Path) -> str:
    """`tfbind/runs.py` -> `tfbind.runs`."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import of a file, also of those inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def file_of(root: Path, name: str) -> Path | None:
    """The file of this project that a dotted name lives in: `tfbind.runs.create` -> `tfbind/runs.py`."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        stem = root.joinpath(*parts[:end])
        for path in (stem.with_suffix(".py"), stem / "__init__.py"):
            if path.is_file():
                return path
    return None


def flow(root: Path) -> Iterator[str]:
    """Each module of tfbind/ imports only what the table allows, and no page."""
    for path in sources(root, "tfbind"):
        place = path.relative_to(root)
        module = module_name(root, path).removeprefix("tfbind.")
        if path.name != "__init__.py" and module not in ALLOWED:
            yield f"{place}: no row in the table of allowed imports"
            continue
        allowed = ALLOWED.get(module, set())
        for line, name in imported(path):
            target = file_of(root, name)
            if name.split(".")[0] in ("ui", "pages", "app"):
                yield f"{place}:{line} imports {name}; the library knows no page"
            elif target and target.name != "__init__.py":
                needed = module_name(root, target).removeprefix("tfbind.")
                if needed not in allowed:
                    yield f"{place}:{line} imports {needed}; allowed: {sorted(allowed)}"


def streamlit_stays_out(root: Path) -> Iterator[str]:
    """Nothing under tfbind/ imports Streamlit."""
    return _importing(root, "streamlit", sources(root, "tfbind"))


def torch_stays_in(root: Path) -> Iterator[str]:
    """Only the modules that compute with torch import it, and no page reaches one of them by its imports."""
    library = [path for path in sources(root, "tfbind") if path.stem not in TORCH]
    yield from _importing(root, "torch", library + sources(root, *PAGES))
    for page in sources(root, *PAGES):
        yield from _reaching_torch(root, page)


def ray_stays_in(root: Path) -> Iterator[str]:
    """Ray, which need not be installed, is imported by one module, and that by nobody."""
    paths = [path for path in sources(root, "tfbind", *PAGES) if path.stem != RAY]
    yield from _importing(root, "ray", paths)
    yield from _importing(root, RAY, paths)


def _importing(root: Path, package: str, paths: list[Path]) -> Iterator[str]:
    for path in paths:
        for line, name in imported(path):
            if package in name.split("."):
                yield f"{path.relative_to(root)}:{line} imports {name}"


def _reaching_torch(root: Path, page: Path) -> Iterator[str]:
    todo, seen = [(page, str(page.relative_to(root)))], {page}
    while todo:
        path, way = todo.pop()
        for _, name in imported(path):
            if "torch" in name.split("."):
                yield f"{way} -> {name}"
            target = file_of(root, name)
            if target and target not in seen:
                seen.add(target)
                todo.append((target, f"{way} -> {module_name(root, target)}"))


def docstrings(root: Path) -> Iterator[str]:
    """Each module says in its docstring what belongs in it."""
    for path in sources(root, *CODE):
        if not ast.get_docstring(ast.parse(path.read_text())):
            yield f"{path.relative_to(root)}: no docstring"


def forwarding(root: Path) -> Iterator[str]:
    """No file that only passes on what others define."""
    for path in sources(root, "tfbind", *PAGES):
        body = ast.parse(path.read_text()).body[1:]
        if any(isinstance(node, ast.Import | ast.ImportFrom) for node in body) and all(map(_forwards, body)):
            yield f"{path.relative_to(root)}: only forwards"


def _forwards(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign):
        exports = ast.unparse(node.targets[0]) == "__all__"
        return exports or isinstance(node.value, ast.Name | ast.Attribute)
    return isinstance(node, ast.Import | ast.ImportFrom)


def file_names(root: Path) -> Iterator[str]:
    """The file names of a run folder are spelled in runs.py alone; docstrings may mention them."""
    runs = ast.parse((root / "tfbind" / "runs.py").read_text())
    values = [node.value for node in runs.body if isinstance(node, ast.Assign)]
    words = [value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)]
    names = [word for word in words if re.fullmatch(r"\w+\.\w+", word)]
    assert names, "runs.py spells no file name"
    for path in sources(root, "tfbind", *PAGES):
        if path.name != "runs.py":
            for line, text in _literals(path):
                yield from (f"{path.relative_to(root)}:{line} spells {name}" for name in names if name in text)


def _literals(path: Path) -> Iterator[tuple[int, str]]:
    tree = ast.parse(path.read_text())
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.lineno, node.value


def waiting(root: Path) -> Iterator[str]:
    """What a page keeps says what is shown while it is made: Streamlit would show the function's own name."""
    for path in sources(root, *PAGES):
        for node in ast.walk(ast.parse(path.read_text())):
            for used in node.decorator_list if isinstance(node, ast.FunctionDef) else []:
                text = ast.unparse(used)
                if text.startswith("st.cache_") and "show_spinner=" not in text:
                    yield f"{path.relative_to(root)}:{node.lineno} {node.name} does not say what is shown meanwhile"


def length(root: Path) -> Iterator[str]:
    """A file that nobody reads in one sitting is two files."""
    for path in sources(root, *CODE, suffixes=WRITTEN):
        lines = len(path.read_text().splitlines())
        if lines > LINES:
            yield f"{path.relative_to(root)}: {lines} lines, at most {LINES}"


def file_map(root: Path) -> Iterator[str]:
    """README's file map names every source file, and nothing that is not there.

    The map is the fenced block that holds a line `tfbind/`: one path a line, its description after two spaces,
    what lies in a folder indented below it. A folder with nothing below it stands for all its files.
    """
    maps = _maps(root)
    if len(maps) != 1:
        yield f"README.md: {len(maps)} file maps, expected one fenced block with a line tfbind/"
        return
    entries = _entries(maps[0])
    yield from (f"README.md: {entry} is in the file map only" for entry in entries if not (root / entry).exists())
    whole = tuple(entry for entry in entries if entry.endswith("/") and not _opened(entry, entries))
    for path in sources(root, *CODE, suffixes=WRITTEN):
        name = path.relative_to(root).as_posix()
        if name not in entries and not name.startswith(whole):
            yield f"README.md: {name} is missing in the file map"


def map_order(root: Path) -> Iterator[str]:
    """In README's file map a module of tfbind/ stands below all those that it imports."""
    entries = _entries("".join(_maps(root)))
    places = {root / entry: place for place, entry in enumerate(entries) if re.fullmatch(r"tfbind/\w+\.py", entry)}
    for path, place in places.items():
        targets = {file_of(root, name) for _, name in imported(path)} if path.exists() else set()
        below = sorted(target.name for target in targets if target and places.get(target, -1) > place)
        yield from (f"README.md: {path.name} stands above {name}, which it imports" for name in below)


def _maps(root: Path) -> list[str]:
    blocks = re.findall(r"^```\w*\n(.*?)^```", (root / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return [block for block in blocks if re.search(r"^tfbind/", block, re.MULTILINE)]


def _entries(block: str) -> list[str]:
    folders: list[tuple[int, str]] = []
    entries = []
    for line in block.splitlines():
        name = re.split(r"\s{2,}", line.strip())[0]
        if not name:
            continue
        indent = len(line) - len(line.lstrip())
        folders = [folder for folder in folders if folder[0] < indent]
        entry = (folders[-1][1] if folders else "") + name
        entries.append(entry)
        if name.endswith("/"):
            folders.append((indent, entry))
    return entries


def _opened(folder: str, entries: list[str]) -> bool:
    return any(entry != folder and entry.startswith(folder) for entry in entries)


Check = Callable[[Path], Iterator[str]]
CHECKS: list[Check] = [
    flow,
    streamlit_stays_out,
    torch_stays_in,
    ray_stays_in,
    docstrings,
    forwarding,
    file_names,
    waiting,
    length,
    file_map,
    map_order,
]


@pytest.mark.parametrize("check", CHECKS)
def test_the_project_keeps_its_shape(check: Check) -> None:
    assert list(check(PROJECT)) == []


@pytest.mark.parametrize(
    ("check", "path", "text", "said"),
    [
        (flow, "tfbind/config.py", '"""C."""\nimport tfbind.runs', "config.py:2 imports runs; allowed: []"),
        (flow, "tfbind/config.py", '"""C."""\ndef f():\n    from tfbind import runs', "config.py:3 imports runs"),
        (flow, "tfbind/helpers.py", '"""H."""\nx = 1', "helpers.py: no row"),
        (flow, "tfbind/plots.py", '"""P."""\nfrom pages import train', "imports pages.train"),
        (streamlit_stays_out, "tfbind/plots.py", '"""P."""\nimport streamlit as st', "plots.py:2 imports streamlit"),
        (torch_stays_in, "tfbind/runs.py", '"""R."""\nfrom torch import nn', "runs.py:2 imports torch.nn"),
        (
            torch_stays_in,
            "tfbind/runs.py",
            '"""R."""\nimport safetensors.torch',
            "runs.py:2 imports safetensors.torch",
        ),
        (torch_stays_in, "ui/form.py", '"""F."""\ndef f():\n    import torch', "ui/form.py:3 imports torch"),
        (
            torch_stays_in,
            "tfbind/plots.py",
            '"""P."""\ntry:\n    from tfbind.models import Model\nfinally:\n    pass',
            "pages/train.py -> tfbind.plots -> tfbind.models -> torch",
        ),
        (ray_stays_in, "tfbind/runs.py", '"""R."""\ndef f():\n    import ray', "runs.py:3 imports ray"),
        (ray_stays_in, "ui/form.py", '"""F."""\nfrom tfbind.ray_driver import X', "imports tfbind.ray_driver.X"),
        (docstrings, "tests/test_x.py", "import os\nos.getcwd()", "tests/test_x.py: no docstring"),
        (forwarding, "ui/form.py", '"""F."""\nfrom tfbind.runs import LOG as L\n__all__ = ["L"]', "form.py: only"),
        (forwarding, "ui/form.py", '"""F."""\nimport tfbind.runs\nlog = tfbind.runs.LOG', "form.py: only forwards"),
        (file_names, "tfbind/plots.py", '"""P."""\nx = f"{1}/log.txt"', "plots.py:2 spells log.txt"),
        (waiting, "ui/form.py", '"""F."""\n@st.cache_data\ndef f(): ...', "form.py:3 f does not say what is shown"),
        (length, "ui/chart.js", "//\n" * (LINES + 1), f"ui/chart.js: {LINES + 1} lines"),
        (file_map, "ui/chart.js", "//", "ui/chart.js is missing in the file map"),
        (file_map, "README.md", "no map at all", "0 file maps"),
        (
            file_map,
            "README.md",
            "```\napp.py\ntfbind/  all\nui/\npages/\ngone.py\n```",
            "gone.py is in the file map only",
        ),
        (
            map_order,
            "README.md",
            "```\ntfbind/\n  plots.py\n  config.py\n  runs.py\n```",
            "plots.py stands above runs.py, which it imports",
        ),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, check: Check, path: str, text: str, said: str) -> None:
    good = {
        "app.py": '"""The app."""\nprint("on")',
        "README.md": "```\napp.py  starts\npages/\n  train.py  trains\nui/\n  form.py\ntfbind/  all\ntests/\n```\n",
        "tfbind/__init__.py": '"""T."""',
        "tfbind/config.py": '"""Says log.txt."""',
        "tfbind/runs.py": '"""R."""\nfrom tfbind import config\nLOG = "log.txt"',
        "tfbind/models.py": '"""M."""\nimport torch\nclass Model(torch.nn.Module): ...',
        "tfbind/plots.py": '"""P."""\nfrom tfbind.runs import LOG\nprint(LOG)',
        "pages/train.py": '"""P."""\nfrom tfbind import plots\nplots.draw()',
        "ui/form.py": '"""F."""\nx = 1',
        "tests/test_runs.py": '"""T."""',
    }
    for name, content in good.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert list(check(tmp_path)) == []
    (tmp_path / path).write_text(text)
    assert any(said in line for line in check(tmp_path)), list(check(tmp_path))


def test_nothing_that_a_page_imports_loads_torch() -> None:
    modules = [
        module_name(PROJECT, path)
        for path in sorted((PROJECT / "tfbind").rglob("*.py"))
        if path.stem not in TORCH | {RAY, "ray_task"}
    ]
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT).returncode == 0
