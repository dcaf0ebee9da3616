"""The house's rules: imports point one way, and each sort of thing happens in one place only (docs/architecture.md)."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import ROOT

PACKAGE = ROOT / "tagline"
MODULES = sorted(PACKAGE.rglob("*.py"))

# From the ground up. What belongs to a layer may import those below it, and its own; what is named nowhere here is
# a feature, or puts all together, and may import everything.
STORAGE = "storage"
MEDIA = "media"
LAYERS = ["core", "accounts", "photos", "rest"]
CORE = {
    "__init__", "addresses", "answers", "api", "changes", "conditions", "config", "cors", "db", "errors", "jobs",
    "limits", "logs", "migrations", "ranges", "streaming", "times", "workers", STORAGE, MEDIA,
}  # fmt: skip


FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    """`tagline.photos.scan`."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def part_of(module: str) -> str:
    """What a module lies in, directly below the package: a folder, or the module itself."""
    return [*module.split("."), "__init__"][1]


def layer_of(module: str) -> str:
    part = part_of(module)
    return "core" if part in CORE else part if part in LAYERS else "rest"


def imports(path: Path) -> list[tuple[int, str]]:
    """Every module that a file imports, at the top or inside a function, with its line."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                is_module = any(name_of(other) == whole for other in MODULES)
                found.append((node.lineno, whole if is_module else node.module))
    return found


OURS = {path: [(line, name) for line, name in imports(path) if name.partition(".")[0] == "tagline"] for path in MODULES}


def wrong(path: Path, allowed: Callable[[str], bool]) -> list[str]:
    return [f"{path.relative_to(ROOT)}:{line} imports {name}" for line, name in OURS[path] if not allowed(name)]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_one_way(path: Path) -> None:
    """Core, accounts, photos, everything else."""
    own = LAYERS.index(layer_of(name_of(path)))
    assert wrong(path, lambda name: LAYERS.index(layer_of(name)) <= own) == []


@pytest.mark.parametrize("path", [path for path in MODULES if part_of(name_of(path)) == MEDIA], ids=name_of)
def test_media_knows_nothing_but_bytes(path: Path) -> None:
    """No HTTP, no SQL, no event loop: it runs in worker processes."""
    assert wrong(path, lambda name: part_of(name) == MEDIA) == []
    used = {name.partition(".")[0] for _, name in imports(path)}
    assert not used & {"aiohttp", "sqlite3", "aiosqlite", "aiosql", "asyncio", "socket", "http"}


@pytest.mark.parametrize("path", [path for path in MODULES if part_of(name_of(path)) == STORAGE], ids=name_of)
def test_storage_knows_nothing_of_photos(path: Path) -> None:
    assert wrong(path, lambda name: part_of(name) in (STORAGE, "errors")) == []
    used = {name.partition(".")[0] for _, name in imports(path)}
    assert not used & {"sqlite3", "aiosqlite", "PIL"}


def test_no_import_goes_in_a_circle() -> None:
    graph = {name_of(path): {name for _, name in found} for path, found in OURS.items()}
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " → ".join((*way, module))
        if module not in done:
            for other in sorted(graph.get(module, ())):
                visit(other, (*way, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=name_of)
def test_an_init_file_holds_a_docstring_and_nothing_that_runs(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    rest = [ast.unparse(node).partition(" ")[0] for node in tree.body[1:]]
    assert rest == (["__version__"] if path.parent == PACKAGE else [])


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_what_it_is_about_and_fits_into_the_head(path: Path) -> None:
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text))
    # 400 lines are a reason to look.
    assert len(text.splitlines()) <= 400


# Where things happen

# Its own database; the question which migrations were applied, asked without the import of yoyo; and the scan's
# temporary tables, which need a connection of their own.
KNOW_SQLITE = {"tagline.db", "tagline.migrations", "tagline.photos.comparing"}
SQL = re.compile(
    r"(?i)\b(select\s.+\sfrom|insert\s+(or\s+\w+\s+)?into|update\s+\w+\s+set|delete\s+from|create\s+(temp\w*\s+)?(table|index|trigger)"
    r"|drop\s+table|alter\s+table|pragma\s+\w+)\b",
    re.DOTALL,
)


def texts(path: Path) -> list[tuple[int, str]]:
    """Every string in a file but docstrings; of an f-string its fixed parts."""
    tree = ast.parse(path.read_text())
    documents = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents
    ]


@pytest.mark.parametrize("path", [path for path in MODULES if name_of(path) not in KNOW_SQLITE], ids=name_of)
def test_sql_stands_in_sql_files(path: Path) -> None:
    assert [(line, text) for line, text in texts(path) if SQL.search(text)] == []


def test_only_the_database_knows_that_it_is_sqlite() -> None:
    drivers = {"sqlite3", "aiosqlite", "aiosql", "yoyo"}
    using = {name_of(path) for path in MODULES if {name.partition(".")[0] for _, name in imports(path)} & drivers}
    # The middleware tells what SQLite's faults mean.
    assert using <= KNOW_SQLITE | {"tagline.answers"}


def test_the_environment_is_read_in_three_places() -> None:
    """The configuration gets it from `__main__`; workers pass on the little that a process needs."""
    reading = {
        name_of(path)
        for path in MODULES
        if re.search(r"\bos\.(environ|getenv|putenv)\b|from os import .*environ", path.read_text())
    }
    assert reading == {"tagline.__main__", "tagline.workers"}


def test_no_handler_reads_a_body_by_hand() -> None:
    reading = {name_of(path) for path in MODULES if re.search(r"request\.(json|text|post)\(", path.read_text())}
    assert reading == set()


def test_pixels_are_met_in_media_only() -> None:
    using = {part_of(name_of(path)) for path in MODULES for _, name in imports(path) if name.partition(".")[0] == "PIL"}
    assert using == {MEDIA}


def test_every_import_inside_a_function_has_its_reason() -> None:
    """A heavy one, with a line that says what it costs; a circle is found above."""
    for path in MODULES:
        lines = path.read_text().splitlines()
        functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, FUNCTION)]
        for node in (node for function in functions for node in ast.walk(function)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                at = node.lineno - 2
                while not lines[at].strip() or lines[at].strip().startswith(("import ", "from ")):
                    at -= 1
                assert lines[at].strip().startswith("#"), f"{path.relative_to(ROOT)}:{node.lineno}"


# What the start loads

# What is needed later, seldom, or in another process.
LATER = {
    "yoyo",
    "sqlparse",
    "PIL",
    "pillow_heif",
    "segno",
    "pathspec",
    "cryptography",
    "defusedxml",
    "numpy",
    "pytest",
    "setuptools",
    "socketio",
    "engineio",
    "zeroconf",
}
# Modules of everything that `tagline serve` imports, at most: it was 490 when this was written, 105 of them asyncio's
# and aiohttp's. More is start-up time and memory on a small board; raise it with a reason. (From 540 by the 45 modules
# of uploads, WebDAV and sync, which import nothing foreign that was not there.)
MOST_MODULES = 585


def test_the_start_loads_only_what_the_start_needs() -> None:
    script = "import sys, tagline.__main__; print(*sys.modules)"
    # Without site packages' own start-up files, which belong to the environment and not to Tagline.
    # And without what measures coverage.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    answer = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environ, capture_output=True, text=True, check=True, timeout=60
    )
    loaded = answer.stdout.split()
    assert {name.partition(".")[0] for name in loaded} & LATER == set()
    assert len(loaded) <= MOST_MODULES
