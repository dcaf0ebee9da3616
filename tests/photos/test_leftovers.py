"""Corners where a photo and its file part ways."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tagline.photos.scan import SCANNER
from tests.house import House, behind_its_back, make_photo, running


async def test_a_file_that_was_replaced_since_the_scan_is_not_deleted_for_good(house: House) -> None:
    path = make_photo(house.library / "lake.jpg")
    await house.scan()
    photo = await house.photo("lake.jpg")
    make_photo(path, "green")
    refused = await house.ana.delete(f"/photos/{photo['id']}?permanently=true")
    assert (refused.status, refused.json["code"]) == (409, "file_changed")
    assert path.exists()


async def test_a_copy_of_a_photo_that_is_edited_becomes_a_photo_of_its_own(house: House) -> None:
    path = make_photo(house.library / "lake.jpg")
    shutil.copy(path, house.library / "zcopy.jpg")
    assert (await house.scan())["duplicates"] == 1
    photo = await house.photo("lake.jpg")
    make_photo(path, "green", size=(400, 300))
    # Everybody has a photo of their own, however many scans that takes.
    await house.scan()
    await house.scan()
    assert {p["object_key"] for p in await house.photos()} == {"lake.jpg", "zcopy.jpg"}
    assert (await house.photo("lake.jpg"))["id"] == photo["id"]
    assert (await house.ana.delete(f"/photos/{photo['id']}?permanently=true")).status == 204
    assert (house.library / "zcopy.jpg").exists()


async def test_accepting_missing_files_reaches_a_scan_that_is_queued_already(house: House) -> None:
    path = make_photo(house.library / "lake.jpg")
    await house.scan()
    path.unlink()
    first, second = (
        await house.ana.post("/rescan", headers={"Prefer": "respond-async"}),
        await house.ana.post("/rescan?accept_missing=true"),
    )
    assert first.status == 202
    assert second.status == 200
    assert (await house.photos("missing=true"))[0]["object_key"] == "lake.jpg"


async def test_a_video_gets_its_poster_when_ffmpeg_is_installed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = tmp_path / "photos" / "film.mp4"
    film.parent.mkdir()
    make = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=d=1:s=320x240", "-pix_fmt", "yuv420p", str(film)]
    await asyncio.to_thread(subprocess.run, make, check=True)
    with monkeypatch.context() as without:
        without.setenv("PATH", str(Path(sys.executable).parent))
        async with running(tmp_path / "data", PHOTO_STORAGE_PATH=str(film.parent)) as house:
            await house.scan()
            assert (await house.photo("film.mp4"))["problem"] == "no_ffmpeg"
    async with running(tmp_path / "data", PHOTO_STORAGE_PATH=str(film.parent)) as house:
        await house.scan()
        assert (await house.photo("film.mp4"))["problem"] is None


async def test_accepting_missing_files_reaches_a_scan_that_has_decided_already(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_photo(house.library / "lake.jpg")
    await house.scan()
    path.unlink()
    scanner = house.app[SCANNER]
    remember = scanner._remember
    joined: list[str | None] = []

    def join(folders: list[str], warning: str | None) -> None:
        """Somebody who accepts it comes when the scan is all but over."""
        remember(folders, warning)
        if not joined:
            behind_its_back(house, "update jobs set payload = '{\"accept_missing\": true}' where state = 'running'")
            joined.append(warning)

    monkeypatch.setattr(scanner, "_remember", join)
    result = (await house.ana.post("/rescan")).json
    assert (joined[0] is not None, result["status"], result["missing"]) == (True, "ok", 1)
