"""The shape of the project: the order of its packages, their doors, and where things are spelled.

Every check takes the root of a tree and returns one line per violation, so that it can be shown to fail on a tree
with a planted one.
"""

import ast
import functools
import importlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PAGES = ("app.py", "pages", "ui")
CODE = ("tfbind", *PAGES, "benchmarks", "tests")
WRITTEN = (".py", ".js", ".css", ".html")
LINES = 500
MODULES, PAGE_FILES = 122, 38
LOOSE = {"__init__.py", "__main__.py", "config.py", "metrics.py", "figures.py", "text.py", "errors.py"}
TORCH = ("tfbind.nn.model", "tfbind.nn.weights", "tfbind.nn.training", "tfbind.nn.kernels", "tfbind.scoring.gpu")
RAY = "tfbind.cluster.driver"
RUN_FILES = Path("tfbind", "runs", "folder.py")


@functools.cache
def parsed(text: str) -> ast.Module:
    return ast.parse(text)


def sources(root: Path, *places: str, suffixes: tuple[str, ...] = (".py",)) -> list[Path]:
    """The source files of a tree in `places`: folders, or files."""
    found = [[root / place] if place.endswith(".py") else sorted((root / place).rglob("*")) for place in places]
    return [path for paths in found for path in paths if path.suffix in suffixes and path.is_file()]


def module_name(root: Path, path: Path) -> str:
    """`tfbind/runs/folder.py` -> `tfbind.runs.folder`."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import of a file, also of those inside functions."""
    for node in ast.walk(parsed(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def doors(root: Path) -> Iterator[str]:
    """A package is entered by its door: what its `__init__.pyi` exports."""
    exported = {path.parent.name: _exports(path) for path in sorted(root.glob("tfbind/*/__init__.pyi"))}
    for path in sources(root, "tfbind", *PAGES):
        own = path.relative_to(root).parts[1] if path.relative_to(root).parts[0] == "tfbind" else ""
        for line, name in imported(path):
            parts = name.split(".")
            if parts[0] != "tfbind" or len(parts) < 3 or parts[1] not in exported or parts[1] == own:
                continue
            if len(parts) > 3 or parts[2] not in exported[parts[1]]:
                yield f"{path.relative_to(root)}:{line} imports {name}, which tfbind.{parts[1]} does not export"


def _exports(path: Path) -> set[str]:
    nodes = parsed(path.read_text()).body
    return {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}


def streamlit_stays_out(root: Path) -> Iterator[str]:
    """Nothing under tfbind/ imports Streamlit."""
    return _importing(root, "streamlit", sources(root, "tfbind"))


def ray_stays_in(root: Path) -> Iterator[str]:
    """Ray, which need not be installed, is imported by one module, and that by nobody."""
    paths = [path for path in sources(root, "tfbind", *PAGES) if module_name(root, path) != RAY]
    yield from _importing(root, "ray", paths)
    for path in paths:
        yield from (
            f"{path.relative_to(root)}:{line} imports {name}" for line, name in imported(path) if name.startswith(RAY)
        )


def one_place_starts_processes(root: Path) -> Iterator[str]:
    """Processes that go on beside their starter are started by one function."""
    for path in sources(root, "tfbind", *PAGES):
        for node in ast.walk(parsed(path.read_text())):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called.endswith("Popen") and path != root / "tfbind" / "store" / "job.py":
                yield f"{path.relative_to(root)}:{node.lineno} calls {called}; expected store.spawn"


def _importing(root: Path, package: str, paths: list[Path]) -> Iterator[str]:
    for path in paths:
        for line, name in imported(path):
            if name.split(".")[0] == package:
                yield f"{path.relative_to(root)}:{line} imports {name}"


def docstrings(root: Path) -> Iterator[str]:
    """Each module says in its docstring what belongs in it."""
    for path in sources(root, *CODE):
        if not ast.get_docstring(parsed(path.read_text())):
            yield f"{path.relative_to(root)}: no docstring"


def public_docstrings(root: Path) -> Iterator[str]:
    """What a door exports says what it takes and gives; of a function of one thing its first line says all."""
    for door in sorted(root.glob("tfbind/*/__init__.pyi")):
        exported = _exports(door)
        for path in sources(root, str(door.parent.relative_to(root))):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.FunctionDef) and node.name in exported:
                    lacking = [part for part in _parts_of(node) if f"{part}:" not in (ast.get_docstring(node) or "")]
                    if lacking:
                        yield f"{path.relative_to(root)}:{node.lineno} {node.name} lacks {', '.join(lacking)}"


def _parts_of(function: ast.FunctionDef) -> list[str]:
    arguments = function.args
    takes = len(arguments.posonlyargs + arguments.args + arguments.kwonlyargs)
    returns = ast.unparse(function.returns) if function.returns else "None"
    gives = returns != "None" and not returns.startswith(("Iterator", "Generator"))
    return ["Args", *(["Returns"] if gives else [])] if takes > 1 else []


def forwarding(root: Path) -> Iterator[str]:
    """No file but a door only passes on what others define."""
    for path in sources(root, "tfbind", *PAGES):
        body = parsed(path.read_text()).body[1:]
        imports = any(isinstance(node, ast.Import | ast.ImportFrom) for node in body)
        if path.name != "__init__.py" and imports and all(map(_forwards, body)):
            yield f"{path.relative_to(root)}: only forwards"


def _forwards(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign):
        exports = ast.unparse(node.targets[0]) == "__all__"
        return exports or isinstance(node.value, ast.Name | ast.Attribute)
    return isinstance(node, ast.Import | ast.ImportFrom)


def file_names(root: Path) -> Iterator[str]:
    """The file names of a run folder are spelled in one module alone; docstrings may mention them."""
    tree = parsed((root / RUN_FILES).read_text())
    values = [node.value for node in tree.body if isinstance(node, ast.Assign)]
    words = [value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)]
    names = [word for word in words if re.fullmatch(r"\w+\.\w+", word)]
    assert names, f"{RUN_FILES} spells no file name"
    for path in sources(root, "tfbind", *PAGES):
        if path != root / RUN_FILES:
            for line, text in _literals(path):
                yield from (f"{path.relative_to(root)}:{line} spells {name}" for name in names if name in text)


def _literals(path: Path) -> Iterator[tuple[int, str]]:
    tree = parsed(path.read_text())
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.lineno, node.value


def waiting(root: Path) -> Iterator[str]:
    """What a page keeps says what is shown while it is made: Streamlit would show the function's own name."""
    for path in sources(root, *PAGES):
        for node in ast.walk(parsed(path.read_text())):
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


def size(root: Path) -> Iterator[str]:
    """The project stays small enough to be known, and only what all packages share lies loose in tfbind/."""
    modules = len(sources(root, "tfbind"))
    if modules > MODULES:
        yield f"tfbind/: {modules} modules, at most {MODULES}"
    pages = len(sources(root, "ui", suffixes=WRITTEN))
    if pages > PAGE_FILES:
        yield f"ui/: {pages} files, at most {PAGE_FILES}"
    loose = {path.name for path in (root / "tfbind").glob("*.py")}
    for name in sorted(loose - LOOSE):
        yield f"tfbind/{name}: belongs into a package"


Check = Callable[[Path], Iterator[str]]
CHECKS: list[Check] = [
    doors,
    streamlit_stays_out,
    ray_stays_in,
    one_place_starts_processes,
    docstrings,
    public_docstrings,
    forwarding,
    file_names,
    waiting,
    length,
    size,
]


@pytest.mark.parametrize("check", CHECKS)
def test_the_project_keeps_its_shape(check: Check) -> None:
    assert list(check(PROJECT)) == []


@pytest.mark.parametrize(
    ("check", "path", "text", "said"),
    [
        (doors, "tfbind/data/b.py", '"""B."""\nfrom tfbind.runs import LOST', "imports tfbind.runs.LOST, which"),
        (
            doors,
            "ui/form.py",
            '"""F."""\nfrom tfbind.runs.folder import LOG',
            "ui/form.py:2 imports tfbind.runs.folder.LOG",
        ),
        (
            streamlit_stays_out,
            "tfbind/figures.py",
            '"""P."""\nimport streamlit as st',
            "figures.py:2 imports streamlit",
        ),
        (ray_stays_in, "tfbind/config.py", '"""R."""\ndef f():\n    import ray', "config.py:3 imports ray"),
        (
            ray_stays_in,
            "ui/form.py",
            '"""F."""\nfrom tfbind.cluster.driver import X',
            "imports tfbind.cluster.driver.X",
        ),
        (
            one_place_starts_processes,
            "ui/form.py",
            '"""F."""\nimport subprocess\nsubprocess.Popen([])',
            "ui/form.py:3 calls subprocess.Popen",
        ),
        (docstrings, "tests/test_x.py", "import os\nos.getcwd()", "tests/test_x.py: no docstring"),
        (
            public_docstrings,
            "tfbind/runs/folder.py",
            '"""R."""\ndef LOG(a, b) -> int:\n    """Adds."""',
            "folder.py:2 LOG lacks Args, Returns",
        ),
        (forwarding, "ui/form.py", '"""F."""\nfrom tfbind.runs import LOG as L\n__all__ = ["L"]', "form.py: only"),
        (forwarding, "ui/form.py", '"""F."""\nimport tfbind.runs\nlog = tfbind.runs.LOG', "form.py: only forwards"),
        (file_names, "tfbind/figures.py", '"""P."""\nx = f"{1}/log.txt"', "figures.py:2 spells log.txt"),
        (waiting, "ui/form.py", '"""F."""\n@st.cache_data\ndef f(): ...', "form.py:3 f does not say what is shown"),
        (length, "ui/chart.js", "//\n" * (LINES + 1), f"ui/chart.js: {LINES + 1} lines"),
        (size, "tfbind/helpers.py", '"""H."""', "tfbind/helpers.py: belongs into a package"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, check: Check, path: str, text: str, said: str) -> None:
    good = {
        "app.py": '"""The app."""\nprint("on")',
        "tfbind/__init__.py": '"""T."""',
        "tfbind/config.py": '"""Says log.txt."""',
        "tfbind/figures.py": '"""P."""\nfrom tfbind.runs import LOG\nprint(LOG)',
        "tfbind/runs/__init__.py": '"""R."""',
        "tfbind/runs/__init__.pyi": "from .folder import LOG as LOG",
        "tfbind/runs/folder.py": '"""R."""\nfrom tfbind import config\nLOG = "log.txt"\nLOST = 1',
        "pages/train.py": '"""P."""\nfrom tfbind import figures\nfigures.draw()',
        "ui/form.py": '"""F."""\nx = 1',
        "tests/test_runs.py": '"""T."""',
    }
    for name, content in good.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(content)
    assert list(check(tmp_path)) == []
    (tmp_path / path).parent.mkdir(exist_ok=True, parents=True)
    (tmp_path / path).write_text(text)
    assert any(said in line for line in check(tmp_path)), list(check(tmp_path))


def test_every_door_opens() -> None:
    for path in sorted((PROJECT / "tfbind").glob("*/__init__.pyi")):
        package = importlib.import_module(f"tfbind.{path.parent.name}")
        exported = _exports(path)
        assert exported
        assert set(package.__all__) == exported
        for name in exported - {"driver"}:
            getattr(package, name)


def test_importing_the_library_loads_none_of_its_packages() -> None:
    code = (
        "import sys, tfbind.runs, tfbind.scoring; sys.exit(any(name in sys.modules for name in ('numpy', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT).returncode == 0


def test_nothing_that_a_page_imports_loads_torch() -> None:
    paths = sources(PROJECT, "tfbind", "ui")
    modules = [module_name(PROJECT, path) for path in paths]
    modules = [name for name in modules if not name.startswith((*TORCH, RAY, "tfbind.__main__"))]
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=PROJECT).returncode == 0
