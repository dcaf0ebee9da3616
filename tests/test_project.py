"""What lies around the code: packaging, make, the unit file, vendored files, and the pages' promises."""

import ast
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest

import tagline

ROOT = Path(__file__).parent.parent
WEB = ROOT / "tagline/web"
VENDOR = WEB / "vendor"
UNIT = ROOT / "tagline.service"

PAGES = sorted(WEB.glob("*.html"))
OWN_FILES = sorted(path for path in WEB.rglob("*") if path.is_file() and VENDOR not in path.parents)
VENDORED = sorted(path for path in VENDOR.iterdir() if path.is_dir())
TARGETS = ["help", "run", "test", "check", "lint", "format", "bench", "clean"]

# Names by which a file may speak of the outside without asking it for anything: XML namespaces, and the
# address of the user's own machine in an example.
NOT_FETCHED = ("http://www.w3.org/2000/svg", "http://raspberrypi.local:8000")


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`command` at the root of the tree, with its output as text."""
    # These tests run under `make test` themselves, and make tells a make inside it what to do.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=inherited | environment,
    )


# Packaging


def stated_in_setup(name: str) -> object:
    """The literal that setup.py assigns to `name`, read without running it."""
    for statement in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name:
            return ast.literal_eval(statement.value)
    raise LookupError(f"setup.py does not state {name}")


def requirements() -> list[str]:
    """Every requirement of setup.py, those of the extras too."""
    needed, extras = stated_in_setup("REQUIRES"), stated_in_setup("EXTRAS")
    assert isinstance(needed, list)
    assert isinstance(extras, dict)
    return [*needed, *(one for extra in extras.values() for one in extra)]


REQUIREMENTS = requirements()


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_a_requirement_has_a_lower_bound_and_no_upper_one(requirement: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]+>=[0-9.]+", requirement)


def test_every_requirement_has_its_one_line_in_the_docs_and_the_docs_have_no_other() -> None:
    page = (ROOT / "docs/dependencies.md").read_text()
    listed = page.partition("## To run")[2].partition("## Vendored")[0]
    rows = re.findall(r"^\| ([a-z0-9-]+) \| ", listed, re.MULTILINE)
    rows = [name for name in rows if name not in ("package", "---")]
    assert sorted(rows) == sorted(requirement.partition(">=")[0] for requirement in REQUIREMENTS)


def test_pyproject_configures_tools_and_describes_no_package() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(settings) == {"build-system", "tool"}
    assert set(settings["tool"]) == {"ruff", "mypy", "pytest", "coverage"}
    assert settings["tool"]["mypy"]["strict"] is True
    assert settings["tool"]["pytest"]["ini_options"]["filterwarnings"][0] == "error"
    assert settings["tool"]["coverage"]["report"]["fail_under"] >= 90


def test_the_installed_package_finds_its_sql_and_its_pages() -> None:
    sql = files("tagline.sql")
    migrations = {entry.name for entry in (sql / "migrations").iterdir() if entry.name.endswith(".sql")}
    assert migrations == {path.name for path in (ROOT / "sql/migrations").glob("*.sql")} != set()
    assert any(entry.name.endswith(".sql") for entry in (sql / "queries").iterdir())
    assert (files("tagline") / "web/index.html").is_file()


@pytest.mark.slow
def test_what_gets_installed_holds_the_code_the_sql_and_the_pages(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for part in ("tagline", "sql"):
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.py", tree)
    shutil.copy(ROOT / "pyproject.toml", tree)
    # The step of a build that gathers the files; a whole build would fetch its own setuptools.
    built = tmp_path / "built"
    subprocess.run(
        [sys.executable, "-W", "ignore", "setup.py", "-q", "build_py", "--build-lib", str(built)],
        cwd=tree,
        check=True,
        capture_output=True,
        timeout=60,
    )
    packed = {str(path.relative_to(built)) for path in built.rglob("*") if path.is_file()}
    source = {str(path.relative_to(tree)) for path in (tree / "tagline").rglob("*") if path.is_file()}
    sql = {f"tagline/{path.relative_to(tree)}" for path in (tree / "sql").rglob("*") if path.is_file()}
    assert packed == source | sql


def test_the_version_is_one_that_releases_can_carry() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", tagline.__version__)


# Make, continuous integration, hooks


@pytest.mark.parametrize("target", TARGETS)
def test_make_explains_the_target(target: str) -> None:
    lines = [line for line in run("make", "help").stdout.splitlines() if line.startswith(f"  make {target} ")]
    assert len(lines) == 1
    assert len(lines[0].split()) > 4


@pytest.mark.parametrize("target", TARGETS)
def test_make_knows_how_to_make_the_target(target: str) -> None:
    answer = run("make", "--dry-run", target)
    assert answer.returncode == 0, answer.stderr


def test_make_alone_shows_the_help() -> None:
    assert run("make").stdout == run("make", "help").stdout


def test_make_run_hands_its_variables_on(tmp_path: Path) -> None:
    """A copy of the Makefile with a `tagline` that tells what it was given."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("setup.py", "pyproject.toml", ".venv/.made", ".venv/.installed", ".venv/bin/tagline"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    program = tmp_path / ".venv/bin/tagline"
    program.write_text('#!/bin/sh\necho "$1|$PHOTO_STORAGE_PATH|$PORT|$TAGLINE_DATA_DIR"\n')
    program.chmod(0o755)

    def told(*variables: str) -> str:
        clean = dict.fromkeys(("PHOTOS", "PORT", "DATA", "TAGLINE_DATA_DIR", "PHOTO_STORAGE_PATH"), "")
        return run(
            "make", "--no-print-directory", "-C", str(tmp_path), "run", *variables, HOME="/home/ana", **clean
        ).stdout.strip()

    assert told() == f"serve|||{tmp_path}/data"
    assert told("PHOTOS=~/My Pictures", "PORT=8123", "DATA=/srv/t") == "serve|/home/ana/My Pictures|8123|/srv/t"
    assert told("PHOTOS=~") == f"serve|/home/ana||{tmp_path}/data"


def test_continuous_integration_runs_make_test_and_ends_in_time() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert run("bash", "-n", str(script)).returncode == 0
    limit = re.search(r"^exec timeout .*\b(\d+) make test$", script.read_text(), re.MULTILINE)
    assert limit is not None
    assert int(limit.group(1)) < 25 * 60


def test_the_hooks_need_no_network() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert re.findall(r"repo: (.*)", hooks) == ["local"]
    assert set(re.findall(r"language: (.*)", hooks)) == {"system"}
    assert all(entry.startswith(".venv/bin/") for entry in re.findall(r"entry: (.*)", hooks))


# The unit file


def unit_settings() -> dict[str, str]:
    """The unit's settings by name; the last of several wins."""
    lines = [line for line in UNIT.read_text().splitlines() if re.match(r"[A-Za-z]+=", line)]
    return dict(line.split("=", 1) for line in lines)


def test_the_unit_keeps_the_service_small_and_apart() -> None:
    unit = unit_settings()
    assert unit["Type"] == "exec"
    assert unit["User"] == "tagline"
    assert unit["ProtectSystem"] == "strict"
    assert unit["ProtectHome"] == "read-only"
    assert unit["ReadWritePaths"] == "%S/tagline"
    assert unit["NoNewPrivileges"] == "yes"
    assert unit["CapabilityBoundingSet"] == ""
    assert unit["Restart"] == "on-failure"
    # Requests in flight get 10 seconds before that.
    assert int(unit["TimeoutStopSec"]) == 15


SYSTEMD_ANALYZE = shutil.which("systemd-analyze")

if SYSTEMD_ANALYZE:

    def test_systemd_finds_nothing_wrong_in_the_unit(tmp_path: Path) -> None:
        copy = tmp_path / UNIT.name
        # The program must exist for the check to pass, and need not be installed here.
        copy.write_text(UNIT.read_text().replace("/opt/tagline/bin/tagline", "/bin/true"))
        answer = run("systemd-analyze", "verify", str(copy))
        assert (answer.returncode, answer.stdout + answer.stderr) == (0, "")

    def test_systemd_counts_the_unit_as_hardened() -> None:
        # The threshold is in tenths: 2.0 of 10, where 0 is best.
        answer = run("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", str(UNIT))
        assert answer.returncode == 0, answer.stdout


# Vendored files


@pytest.mark.parametrize("folder", VENDORED, ids=lambda path: path.name)
def test_a_vendored_library_states_version_licence_and_sums(folder: Path) -> None:
    note = (folder / "VERSION").read_text()
    name, version = note.splitlines()[0].split()
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert f"| {name} | {version} |" in (ROOT / "docs/dependencies.md").read_text()
    assert (folder / "LICENSE").stat().st_size > 500
    sums = dict(reversed(line.split()) for line in re.findall(r"^[0-9a-f]{64}  \S+$", note, re.MULTILINE))
    code = [path for path in folder.iterdir() if path.suffix in (".js", ".mjs", ".css")]
    assert sums == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in code}


@pytest.mark.parametrize("folder", VENDORED, ids=lambda path: path.name)
def test_a_vendored_library_names_no_source_map(folder: Path) -> None:
    code = [path for path in folder.iterdir() if path.suffix in (".js", ".mjs", ".css")]
    assert [path.name for path in code if b"sourceMappingURL" in path.read_bytes()] == []


# The pages


class Markup(HTMLParser):
    """Gathers what a content security policy without 'unsafe-inline' would block, and every address."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)
        for name, value in given.items():
            if name == "style" or name.startswith("on"):
                self.inline.append(f"{tag} {name}")
            if name in ("href", "src", "action", "srcset", "poster", "formaction"):
                self.addresses.append(value or "")
            if name == "id":
                self.ids.append(value or "")
            if name in ("for", "aria-describedby", "aria-labelledby"):
                self.references += (value or "").split()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_has_no_inline_script_style_or_handler(page: Path) -> None:
    assert Markup(page.read_text()).inline == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_asks_only_this_server_and_what_it_asks_for_exists(page: Path) -> None:
    addresses = Markup(page.read_text()).addresses
    assert all(re.match(r"/(?!/)", address) for address in addresses)
    for address in addresses:
        if address.startswith("/static/"):
            assert (WEB / address.removeprefix("/static/")).is_file(), address


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_says_its_language_title_and_width_and_labels_refer_to_what_is_there(page: Path) -> None:
    text = page.read_text()
    assert text.startswith('<!doctype html>\n<html lang="en">')
    assert re.search(r"<title>[^<]+</title>", text)
    assert "width=device-width" in text
    markup = Markup(text)
    assert len(markup.ids) == len(set(markup.ids))
    assert set(markup.references) <= set(markup.ids)


@pytest.mark.parametrize("path", OWN_FILES, ids=lambda path: path.name)
def test_no_file_of_ours_names_an_address_outside(path: Path) -> None:
    text = path.read_text()
    for name in NOT_FETCHED:
        text = text.replace(name, "")
    assert re.findall(r"(?:https?|wss?):?//[^\s\"'<>]+|@import|url\(", text) == []


def test_the_docs_page_asks_no_validator_outside() -> None:
    """Swagger UI's own default sends the document's address to one."""
    assert re.search(r"validatorUrl: null", (WEB / "docs.js").read_text())


# Contrast (WCAG 2.2, 1.4.3 and 1.4.11)


def palettes() -> list[dict[str, str]]:
    """The colours of site.css by name: the light ones, then the dark ones."""
    blocks = re.findall(r":root \{(.*?)\}", (WEB / "site.css").read_text(), re.DOTALL)
    return [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block)) for block in blocks]


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, 0 to 1 (WCAG 2.2, "relative luminance")."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colours", palettes(), ids=["light", "dark"])
@pytest.mark.parametrize(
    ("front", "back", "least"),
    [
        ("ink", "paper", 4.5),
        ("ink", "sheet", 4.5),
        ("soft", "paper", 4.5),
        ("accent", "paper", 4.5),
        ("on-accent", "accent", 4.5),
        ("wrong", "wrong-sheet", 4.5),
        ("field", "sheet", 3.0),
        ("field", "paper", 3.0),
        ("wrong", "sheet", 3.0),
    ],
)
def test_colours_can_be_told_apart(colours: dict[str, str], front: str, back: str, least: float) -> None:
    bright, dark = sorted((luminance(colours[front]), luminance(colours[back])), reverse=True)
    assert (bright + 0.05) / (dark + 0.05) >= least
