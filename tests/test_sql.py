"""The queries: each is used, with the parameters it takes, and those that people wait for are served by an index."""

import ast
import re
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tagline.db import queries
from tagline.migrations import migrate
from tests.command import ROOT

FILES = sorted((ROOT / "sql/queries").glob("*.sql"))
CODE = sorted((ROOT / "tagline").rglob("*.py"))
# Methods that take the name of a query first; a scan's own leave the feature out.
ASKING = {"row", "rows", "value", "run", "many"}
COMPARING = {"rows", "number"}
PAGED = {"pages"}


class Use(NamedTuple):
    """A place in the code that names a query, with the parameters that it gives: all of them, or at least these."""

    place: str
    query: str
    given: set[str]
    all_given: bool


def declared() -> dict[str, list[str]]:
    """The parameters that each query's header states."""
    found: dict[str, list[str]] = {}
    for file in FILES:
        for name, listed in re.findall(r"^-- name: (\w+)\(([^)]*)\)", file.read_text(), re.MULTILINE):
            # What only SQLite can stands apart in a file that says so.
            query = f"{file.stem.removesuffix('_sqlite')}.{name}"
            assert query not in found, "named twice"
            found[query] = [part.strip() for part in listed.split(",") if part.strip()]
    return found


DECLARED = declared()


def calls() -> Iterator[Use]:
    """Every call in the code that names a query outright."""
    for path in CODE:
        comparing = path.name in ("scan.py", "comparing.py") and path.parent.name == "photos"
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            first, method = node.args[0], node.func.attr
            if not (isinstance(first, ast.Constant) and isinstance(first.value, str)):
                continue
            query = first.value
            if comparing and method in COMPARING | PAGED and f"scan.{query}" in DECLARED:
                query = f"scan.{query}"
            elif method not in ASKING or not re.fullmatch(r"[a-z]+\.\w+", query):
                continue
            given = {keyword.arg for keyword in node.keywords if keyword.arg} | (
                {"after", "take"} if method in PAGED else set()
            )
            whole = all(keyword.arg for keyword in node.keywords) and method != "many"
            yield Use(f"{path.relative_to(ROOT)}:{node.lineno}", query, given, whole)


CALLS = list(calls())


def named() -> set[str]:
    """Every query that the code names, be it in a call, in a value, or as a pattern such as `lists.by_{order}`."""
    found = {use.query for use in CALLS}
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in DECLARED:
                found.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [
                    re.escape(str(part.value)) if isinstance(part, ast.Constant) else r"\w+" for part in node.values
                ]
                pattern = "".join(parts)
                if re.match(r"[a-z]+\\\.[a-z]", pattern):
                    found |= {query for query in DECLARED if re.fullmatch(pattern, query)}
    return found


def test_the_code_asks_queries_in_a_hundred_places() -> None:
    """So that what follows is about something."""
    assert len(CALLS) >= 80
    assert len(DECLARED) >= 80


def test_every_query_that_is_named_exists() -> None:
    assert [use for use in CALLS if use.query not in DECLARED] == []


def test_every_query_that_exists_is_used() -> None:
    assert sorted(DECLARED.keys() - named()) == []


@pytest.mark.parametrize("use", CALLS, ids=lambda use: f"{use.place}-{use.query}")
def test_a_call_gives_exactly_the_parameters_that_its_query_takes(use: Use) -> None:
    """A surplus one would be ignored, a missing one fails only when somebody comes that way."""
    takes = set(DECLARED[use.query])
    assert use.given == takes if use.all_given else use.given <= takes


@pytest.mark.parametrize("query", sorted(DECLARED))
def test_a_querys_header_states_exactly_its_parameters(query: str) -> None:
    text = re.sub(r"'[^']*'|--.*", "", queries()[query])
    assert set(re.findall(r"(?<!:):([a-z_]\w*)", text)) == set(DECLARED[query])
    assert len(DECLARED[query]) == len(set(DECLARED[query]))


def test_every_query_has_a_line_that_says_what_it_is_for() -> None:
    for file in FILES:
        lines = file.read_text().splitlines()
        for at, line in enumerate(lines):
            if line.startswith("-- name:"):
                assert re.match(r"-- [A-Z].*[a-z.,:)]$", lines[at + 1]), f"{file.name}: {line}"


# Plans


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """An empty library, with the temporary table of a scan."""
    path = tmp_path_factory.mktemp("sql") / "tagline.db"
    migrate(path)
    connection = sqlite3.connect(path)
    connection.execute(queries()["scan.make_seen"])
    yield connection
    connection.close()


def plan(library: sqlite3.Connection, query: str) -> list[str]:
    """What SQLite would do, step by step."""
    nothing = dict.fromkeys(DECLARED[query])
    return [row[3] for row in library.execute("explain query plan " + queries()[query], nothing)]


@pytest.mark.parametrize("query", sorted(DECLARED.keys() - {"scan.make_seen"}))
def test_a_query_fits_the_schema(library: sqlite3.Connection, query: str) -> None:
    library.execute("explain " + queries()[query], dict.fromkeys(DECLARED[query]))


# What somebody waits for, and the index or key that serves it.
HOT = {
    "lists.newest": "photos_taken",
    "lists.oldest": "photos_taken",
    "lists.untold": "photos_untold",
    "lists.favourites": "photos_favourite",
    "lists.in_folder": "photos_folder",
    "lists.found": "search VIRTUAL TABLE INDEX",
    "lists.with_keyword": "photo_keywords USING PRIMARY KEY",
    "lists.by_taken_desc": "photos_taken",
    "lists.by_taken_asc": "photos_taken",
    "lists.by_imported_desc": "photos_imported",
    "lists.by_imported_asc": "photos_imported",
    "lists.by_modified_desc": "photos_modified",
    "lists.by_modified_asc": "photos_modified",
    "lists.by_name_desc": "photos_name",
    "lists.by_name_asc": "photos_name",
    "untold.page": "photos_untold",
    "photos.item": "sqlite_autoindex_photos_1",
    "photos.file": "sqlite_autoindex_photos_1",
    "photos.edit": "sqlite_autoindex_photos_1",
    "photos.editable": "sqlite_autoindex_photos_1",
    "photos.history": "lines|l USING PRIMARY KEY",
    "photos.paths": "files_photo",
    "accounts.key_by_prefix": "sqlite_autoindex_api_keys",
    "accounts.live_family": "sessions_family",
    "accounts.session_by_hash": "sqlite_autoindex_sessions",
    "accounts.device": "sessions_family",
    "changes.newest": "changes",
    "changes.since": "INTEGER PRIMARY KEY",
    "jobs.claim": "jobs_queued",
    "jobs.newest": "jobs_newest",
    "jobs.job": "sqlite_autoindex_jobs_1",
    "library.file": "files USING PRIMARY KEY",
    "library.same_content": "photos_fingerprint",
    "library.unread": "photos_unread",
    "library.other_file": "files_photo",
}
# Sorted in memory since they are few: the photos that have one content.
FEW = {"library.same_content"}


@pytest.mark.parametrize("query", sorted(HOT))
def test_what_somebody_waits_for_is_served_by_an_index(library: sqlite3.Connection, query: str) -> None:
    steps = plan(library, query)
    assert re.search(HOT[query], "\n".join(steps)), steps
    if query not in FEW:
        assert not any("TEMP B-TREE" in step for step in steps), steps


@pytest.mark.parametrize("query", sorted(name for name in HOT if name.startswith(("lists.", "untold.", "photos."))))
def test_no_table_is_read_from_end_to_end(library: sqlite3.Connection, query: str) -> None:
    """A full-text index is a virtual table: for SQLite every use of it is a scan."""
    steps = [step for step in plan(library, query) if "VIRTUAL TABLE INDEX" not in step]
    # A page is gathered into one row: what is read from end to end then is the page itself.
    scans = [step for step in steps if step.startswith("SCAN") and not step.startswith("SCAN (subquery")]
    # The same with an index to walk along is a page in order: that is what a keyset is.
    assert [step for step in scans if " USING " not in step] == []


def test_nothing_makes_sqlite_change_its_plans() -> None:
    """With statistics of a small library it may come to prefer another way than those above."""
    text = "\n".join(path.read_text() for path in CODE)
    assert not re.search(r"(?i)\b(analyze|pragma optimize)\b", text)
