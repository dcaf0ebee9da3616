"""The documents tell the truth: every setting, table, error code and command that there is."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tagline import errors
from tagline.__main__ import parser
from tagline.config import SETTINGS
from tagline.migrations import migrate

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_lists_every_setting_and_no_other() -> None:
    table = README.split("<!-- settings -->")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)`", table, re.M) == [setting.name for setting in SETTINGS]


@pytest.mark.parametrize(
    "command", ["serve", "scan", "sync", "user password", "user list", "key add", "config", "openapi"]
)
def test_the_readme_names_commands_that_there_are(command: str) -> None:
    assert f"tagline {command}" in README
    further = {"key add": ["name"], "sync": ["DIR", "--server", "http://localhost:8000"]}
    arguments = [*command.split(), *further.get(command, [])]
    assert parser().parse_args(arguments).command == command.split()[0]


def test_the_database_page_names_every_table_and_column(tmp_path: Path) -> None:
    page = (ROOT / "docs/database.md").read_text(encoding="utf-8")
    migrate(tmp_path / "tagline.db")
    with closing(sqlite3.connect(tmp_path / "tagline.db")) as connection:
        tables = connection.execute("select name, sql from sqlite_master where type = 'table'").fetchall()
        names = [name for name, _ in tables if not re.match(r"_?yoyo|sqlite_|search_", name)]
        for table in names:
            assert f"**{table}**" in page
            for column in connection.execute(f"pragma table_xinfo({table})"):
                if table != "search":
                    assert f"`{column[1]}`" in page, f"{table}.{column[1]}"


def codes() -> set[str]:
    """Every error code that the program can give: those of the classes, and literals where one is raised."""
    classes = {
        kind.code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.Problem)
    }
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tagline").rglob("*.py"))
    literal = re.findall(r'\bcode\s*=\s*"([a-z_]+)"', source)
    media = re.findall(r'MediaError\(\s*"([a-z_]+)"', source) + re.findall(r'WorkerFailed\(\s*"([a-z_]+)"', source)
    return classes | set(literal) | set(media)


def test_the_errors_page_has_every_code() -> None:
    page = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    assert {code for code in codes() if f"`{code}`" not in page} == set()


def test_links_between_the_documents_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
