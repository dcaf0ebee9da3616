"""The watcher: what happens in the library's folder is in the list within seconds."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from watchfiles import Change

from tagline.photos.watch import folders_of, matters
from tests.house import House, running, until
from tests.photos.files import photo

pytestmark = pytest.mark.slow


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[House]:
    """A house with eight photos that watches its library, and has noticed a first one."""
    library = tmp_path / "data/photos"
    for number in range(8):
        photo(library / f"{number}.jpg", number)
    async with running(tmp_path / "data", TAGLINE_WATCH="on") as house:
        await house.scan()
        number = 100

        async def noticed() -> bool:
            # Nobody tells when the watches stand: try until one is noticed.
            nonlocal number
            number += 1
            photo(house.library / "first.jpg", number)
            return "first.jpg" in await keys(house)

        await until(noticed, 20)
        yield house


async def keys(house: House, query: str = "") -> set[str]:
    """Where the photos are."""
    return {found["object_key"] for found in await house.photos(f"limit=500&{query}")}


async def shown(house: House, *wanted: str) -> None:
    """Wait until these are in the list."""

    async def condition() -> bool:
        return set(wanted) <= await keys(house)

    await until(condition, 20)


async def test_a_copied_file_appears(watched: House) -> None:
    photo(watched.library / "new.jpg", 200)
    await shown(watched, "new.jpg")


async def test_a_file_in_a_folder_that_was_just_made_appears(watched: House) -> None:
    photo(watched.library / "2025/12/24/new.jpg", 200)
    await shown(watched, "2025/12/24/new.jpg")
    photo(watched.library / "2025/12/24/another.jpg", 201)
    await shown(watched, "2025/12/24/another.jpg")


async def test_a_deleted_file_is_missing(watched: House) -> None:
    (watched.library / "0.jpg").unlink()

    async def missing() -> bool:
        return await keys(watched, "missing=true") == {"0.jpg"}

    await until(missing, 20)


async def test_a_renamed_folder_takes_its_photos_along(watched: House) -> None:
    photo(watched.library / "2024/a.jpg", 200)
    await shown(watched, "2024/a.jpg")
    before = (await watched.photo("2024/a.jpg"))["id"]
    (watched.library / "2024").rename(watched.library / "Summer")
    await shown(watched, "Summer/a.jpg")
    assert (await watched.photo("Summer/a.jpg"))["id"] == before


async def test_a_hard_link_in_another_folder_leaves_the_photo_where_it_is(watched: House) -> None:
    before = (await watched.photo("0.jpg"))["id"]
    (watched.library / "links").mkdir()
    os.link(watched.library / "0.jpg", watched.library / "links/a.jpg")

    async def noticed() -> bool:
        return await watched.db.row("library.file", path="links/a.jpg") is not None

    await until(noticed, 20)
    assert "0.jpg" in await keys(watched)
    paths = [row["path"] for row in await watched.db.rows("photos.paths", photo_id=before)]
    assert paths == ["0.jpg", "links/a.jpg"]


async def test_an_emptied_library_is_not_believed(watched: House) -> None:
    before = await keys(watched)
    for path in watched.library.glob("[0-7].jpg"):
        path.unlink()
    photo(watched.library / "after.jpg", 200)
    await shown(watched, "after.jpg")
    assert await keys(watched) == before | {"after.jpg"}


@pytest.mark.parametrize("path", ["a.jpg", "2024/07/a.jpg", "2024", ".taglineignore", "2024/.taglineignore", ""])
def test_what_a_scan_would_see_matters(path: str) -> None:
    root = Path("/home/ana/.photos")
    assert matters(root, Change.added, str(root / path))


@pytest.mark.parametrize(
    "path",
    [".tagline-incoming", ".tagline-incoming/part", ".tagline-incoming/a/b.jpg", "2024/.trash/a.jpg",
     ".x/.taglineignore", ".tagline-library", "2024/.a.jpg", "@eaDir/a.jpg"],
)  # fmt: skip
def test_what_lies_in_a_hidden_folder_does_not_matter(path: str) -> None:
    assert not matters(Path("/photos"), Change.added, f"/photos/{path}")


def test_folders_are_told_once_and_without_those_below(tmp_path: Path) -> None:
    for folder in ("a/b", "c"):
        (tmp_path / folder).mkdir(parents=True)
    changes = {
        (Change.added, str(tmp_path / "a/x.jpg")),
        (Change.added, str(tmp_path / "a/b/y.jpg")),
        (Change.deleted, str(tmp_path / "c/z.jpg")),
    }
    assert folders_of(tmp_path, changes) == ["a/", "c/"]
    assert folders_of(tmp_path, {(Change.added, str(tmp_path / "a"))}) == [""]
    assert folders_of(tmp_path, {(Change.deleted, str(tmp_path))}) == [""]


def test_of_many_folders_all_is_looked_at(tmp_path: Path) -> None:
    changes = {(Change.added, str(tmp_path / f"{number}/a.jpg")) for number in range(60)}
    assert folders_of(tmp_path, changes) == [""]


async def test_a_library_that_was_exchanged_is_watched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tagline.photos.watch.AGAIN_AFTER", 0.1)
    monkeypatch.setattr("tagline.photos.watch.LOOK_EVERY_MS", 100)
    library = tmp_path / "data/photos"
    for number in range(8):
        photo(library / f"{number}.jpg", number)
    async with running(tmp_path / "data", TAGLINE_WATCH="on") as house:
        await house.scan()
        shutil.copytree(library, tmp_path / "other disk")
        library.rename(tmp_path / "away")
        (tmp_path / "other disk").rename(library)
        # It was there before anybody watched.
        photo(library / "missed.jpg", 200)
        await shown(house, "missed.jpg")
        photo(library / "new.jpg", 201)
        await shown(house, "new.jpg")
