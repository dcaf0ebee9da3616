"""The scan: folders and files that Tagline may not read, and libraries that it may not write. From the command line."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tagline.commands.serve import data_directory
from tests.house import running
from tests.photos.files import photo
from tests.robustness.service import WITHOUT_RIGHTS, tagline

pytestmark = pytest.mark.slow

BOUND = ("-c", WITHOUT_RIGHTS)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Path]:
    """Eight photos in two folders; what was forbidden is allowed again at the end."""
    folder = tmp_path / "data/photos"
    for number in range(4):
        photo(folder / f"open/{number}.jpg", number)
        photo(folder / f"closed/{number}.jpg", 10 + number)
    yield folder
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)


async def scan(library: Path, *arguments: str) -> tuple[int | None, str, str]:
    """Scan as somebody who is bound by permissions."""
    return await tagline(library.parent, "scan", *arguments, before=BOUND)


async def shown(library: Path) -> set[str]:
    """What is in the list."""
    async with running(library.parent) as house:
        return {found["object_key"] for found in await house.photos("limit=100")}


@pytest.mark.parametrize("mode", [0o000, 0o444], ids=["not to be read", "not to be entered"])
async def test_photos_in_a_folder_that_cannot_be_read_are_unknown_not_gone(library: Path, mode: int) -> None:
    assert (await scan(library))[0] == 0
    (library / "closed").chmod(mode)
    (library / "open/3.jpg").unlink()
    status, out, err = await scan(library)
    assert (status, err) == (0, f"Library: {library.parent}\n")
    assert "1 missing" in out
    assert "not_readable" in out
    assert await shown(library) == {f"closed/{n}.jpg" for n in range(4)} | {f"open/{n}.jpg" for n in range(3)}
    (library / "closed").chmod(0o755)
    status, out, err = await scan(library)
    assert (status, err) == (0, f"Library: {library.parent}\n")
    assert out.startswith("7 unchanged")


async def test_a_file_that_cannot_be_read_is_told_until_it_can(library: Path) -> None:
    (library / "open/0.jpg").chmod(0o000)
    status, out, _ = await scan(library)
    assert status == 0
    assert out.startswith("7 imported")
    assert "open/0.jpg: The file may not be read" in out
    (library / "open/0.jpg").chmod(0o644)
    _, out, _ = await scan(library)
    assert out.startswith("1 imported, 7 unchanged")


async def test_a_known_photo_that_cannot_be_read_any_more_keeps_its_row(library: Path) -> None:
    assert (await scan(library))[0] == 0
    path = library / "open/0.jpg"
    os.utime(path, (1_000_000_000, 1_000_000_000))
    path.chmod(0o000)
    _, out, _ = await scan(library)
    assert "open/0.jpg" in out
    assert "missing" not in out
    assert "open/0.jpg" in await shown(library)


async def test_a_library_that_cannot_be_written_is_scanned_without_a_marker(library: Path) -> None:
    os.chmod(library, 0o555)
    status, out, err = await scan(library)
    assert (status, err) == (0, f"Library: {library.parent}\n")
    assert out.startswith("8 imported")
    assert not (library / ".tagline-library").exists()
    status, out, _ = await scan(library)
    assert (status, out.split(" (")[0]) == (0, "8 unchanged")


async def test_an_emptied_library_needs_a_word_at_the_command_line(library: Path) -> None:
    assert (await scan(library))[0] == 0
    shutil.rmtree(library / "closed")
    status, out, err = await scan(library)
    assert status == 1
    assert "4 of 8 known files are gone" in err
    assert "--accept-missing" in err
    assert "4 missing" not in out
    assert len(await shown(library)) == 8
    status, out, _ = await scan(library, "--accept-missing")
    assert status == 0
    assert "4 missing" in out
    assert len(await shown(library)) == 4


async def test_the_command_scans_through_the_service_where_that_runs(library: Path) -> None:
    async with running(library.parent, PHOTO_STORAGE_PATH=str(library)) as house:
        # `serve` holds this lock; the house of tests does not.
        with data_directory(house.config):
            status, out, err = await tagline(library.parent, "scan")
        assert (status, err) == (0, f"Library: {library.parent}\n")
        assert out.startswith("8 imported")
        assert all(found["sha256"] for found in await house.photos())
