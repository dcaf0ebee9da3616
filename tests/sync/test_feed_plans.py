"""The feed costs what the changes cost: an index for everything, nothing sorted, no table read from end to end."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tagline.db import queries
from tagline.migrations import migrate

SERVED_BY = {
    "sync.changes": ["c USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)", "n USING COVERING INDEX changes_entity",
                     "f USING INDEX changes_entity", "p USING INDEX sqlite_autoindex_photos_1"],
    "sync.photos": ["p USING INDEX sqlite_autoindex_photos_2 (taken_rank<?)", "n USING COVERING INDEX changes_entity"],
    "sync.at": ["changes USING INTEGER PRIMARY KEY (rowid=?)"],
    "sync.first": ["SEARCH changes"],
    "sync.answer": ["edits USING PRIMARY KEY"],
    "sync.after_version": ["c USING INDEX changes_entity (entity=? AND entity_id=?)", "e USING INDEX edits_photo"],
    "sync.forget_edits": ["INDEX edits_at"],
}  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """An empty database."""
    path: Path = tmp_path_factory.mktemp("plans") / "tagline.db"
    migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        yield connection


@pytest.mark.parametrize("query", sorted(SERVED_BY))
def test_each_step_of_a_query_has_its_index(library: sqlite3.Connection, query: str) -> None:
    text = queries()[query]
    parameters = dict.fromkeys(re.findall(r"(?<!:):([a-z_]\w*)", re.sub(r"'[^']*'", "", text)))
    steps = [row[3] for row in library.execute("explain query plan " + text, parameters)]
    for served in SERVED_BY[query]:
        assert any(served in step for step in steps), (served, steps)
    assert not any("TEMP B-TREE" in step for step in steps), steps
    # What is read from end to end is the page itself, which was found by the steps above.
    assert [step for step in steps if step.startswith("SCAN") and step not in ("SCAN page", "SCAN j")] == []
