"""The scan: what vanished is missing and keeps everything; a library that looks emptied is not believed."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tagline.storage.provider import STORAGE, Entry, Unreadable
from tests.house import House, running
from tests.photos.files import photo, write


async def library(house: House, count: int = 6) -> list[Any]:
    """Some photos, scanned."""
    for number in range(count):
        photo(house.library / f"{number}.jpg", number)
    await house.scan()
    return await house.photos()


async def lost(house: House, name: str) -> Any:
    """A photo with a line, whose file vanished and was looked for."""
    found = await house.photo(name)
    await house.ana.patch(f"/photos/{found['id']}/metadata", {"description": "Ana at the lake", "favourite": True})
    (house.library / name).unlink()
    result = await house.scan()
    assert (result["status"], result["missing"]) == ("ok", 1)
    return (await house.ana.get(f"/photos/{found['id']}")).json


async def test_a_vanished_file_is_missing_and_its_photo_keeps_everything(house: House) -> None:
    await library(house)
    gone = await lost(house, "0.jpg")
    assert gone["missing"] is True
    assert (gone["description"], gone["metadata"]["favourite"]) == ("Ana at the lake", True)
    assert gone["id"] not in [found["id"] for found in await house.photos()]
    assert gone["id"] not in [found["id"] for found in await house.photos("q=lake")]
    assert [found["id"] for found in await house.photos("missing=true")] == [gone["id"]]
    assert (await house.ana.get(f"/photos/{gone['id']}/history")).json["total"] == 1
    for picture in ("image", "thumbnail"):
        answer = await house.ana.get(gone["links"][picture])
        assert (answer.status, answer.json["code"]) == (410, "file_missing")
    assert (await house.scan())["missing"] == 0


async def test_it_comes_back_at_the_same_path(house: House) -> None:
    await library(house)
    whole = (house.library / "0.jpg").read_bytes()
    gone = await lost(house, "0.jpg")
    write(house.library / "0.jpg", whole)
    result = await house.scan()
    assert (result["found"], result["imported_count"]) == (1, 0)
    back = await house.photo("0.jpg")
    assert (back["id"], back["description"], back["missing"]) == (gone["id"], "Ana at the lake", False)
    assert (await house.ana.get(back["links"]["thumbnail"])).status == 200


async def test_it_comes_back_under_another_name_and_in_another_folder(house: House) -> None:
    await library(house)
    for name, path in (("0.jpg", "renamed.jpg"), ("1.jpg", "2024/07/1.jpg")):
        whole = (house.library / name).read_bytes()
        gone = await lost(house, name)
        write(house.library / path, whole)
        assert (await house.scan())["found"] == 1
        back = await house.photo(path)
        assert (back["id"], back["description"]) == (gone["id"], "Ana at the lake")
        assert back["id"] in [found["id"] for found in await house.photos("q=lake")]


async def test_what_comes_back_changed_is_another_photo(house: House) -> None:
    await library(house)
    gone = await lost(house, "0.jpg")
    photo(house.library / "0.jpg", 99)
    result = await house.scan()
    assert (result["imported_count"], result["found"]) == (1, 0)
    assert (await house.photo("0.jpg"))["id"] != gone["id"]
    assert [found["id"] for found in await house.photos("missing=true")] == [gone["id"]]


async def test_what_vanished_before_it_was_hashed_is_known_again(house: House) -> None:
    for number in range(40):
        photo(house.library / f"IMG_20240101_1200{number:02}.jpg", number, (300, 200))
    await house.ana.post("/rescan")
    before = await house.photo("120000.jpg")
    assert before["sha256"] is None
    path = house.library / "IMG_20240101_120000.jpg"
    whole = path.read_bytes()
    path.unlink()
    assert (await house.scan())["missing"] == 1
    assert (await house.ana.get(f"/photos/{before['id']}")).json["sha256"] is None
    write(house.library / "found again.jpg", whole)
    result = await house.scan()
    assert (result["found"], result["imported_count"]) == (1, 0)
    back = await house.photo("found again.jpg")
    assert back["id"] == before["id"]
    assert back["sha256"]


async def test_two_copies_that_vanish_and_come_back_are_one_photo(house: House) -> None:
    await library(house)
    whole = (house.library / "0.jpg").read_bytes()
    write(house.library / "copy.jpg", whole)
    await house.scan()
    before = await house.photo("0.jpg")
    for name in ("0.jpg", "copy.jpg"):
        (house.library / name).unlink()
    assert (await house.scan(params={"accept_missing": "true"}))["missing"] == 1
    for name in ("x.jpg", "y.jpg"):
        write(house.library / name, whole)
    result = await house.scan()
    assert (result["found"], result["duplicates"], result["imported_count"]) == (1, 1, 0)
    assert (await house.photo("x.jpg"))["id"] == before["id"]


async def expect_disbelief(house: House, count: int = 6) -> Any:
    """A scan that warns, and marks nothing missing."""
    result = await house.scan()
    assert (result["status"], result["missing"]) == ("warning", 0)
    assert "accept_missing" in result["warning"]
    assert "--accept-missing" in result["warning"]
    assert len(await house.photos()) == count
    return result


async def test_a_library_that_is_gone_is_not_believed_to_be_empty(house: House) -> None:
    await library(house)
    aside = house.library.rename(house.library.with_name("aside"))
    await expect_disbelief(house)
    aside.rename(house.library)
    assert (await house.scan())["unchanged"] == 6


async def test_a_library_that_is_empty_is_not_believed(house: House) -> None:
    await library(house)
    for path in house.library.iterdir():
        path.unlink()
    await expect_disbelief(house)


async def test_an_empty_mount_point_is_not_believed(house: House) -> None:
    await library(house)
    aside = house.library.rename(house.library.with_name("aside"))
    house.library.mkdir()
    await expect_disbelief(house)
    house.library.rmdir()
    aside.rename(house.library)
    assert (await house.scan())["unchanged"] == 6


async def test_a_library_without_its_marker_is_not_believed(house: House) -> None:
    await library(house)
    (house.library / ".tagline-library").unlink()
    (house.library / "0.jpg").unlink()
    await expect_disbelief(house)


async def test_a_library_with_the_marker_of_another_is_not_believed(house: House) -> None:
    await library(house)
    marker = house.library / ".tagline-library"
    ours = marker.read_text()
    marker.write_text("another library's\n")
    (house.library / "0.jpg").unlink()
    photo(house.library / "new.jpg", 50)
    result = await expect_disbelief(house)
    assert result["imported_count"] == 0
    marker.write_text(ours)
    again = await house.scan()
    assert (again["status"], again["imported_count"], again["missing"]) == ("ok", 1, 1)


async def test_a_marker_accepted_to_be_missing_is_made_again(house: House) -> None:
    await library(house)
    marker = house.library / ".tagline-library"
    marker.unlink()
    assert (await house.scan(params={"accept_missing": "true"}))["status"] == "ok"
    assert marker.is_file()
    assert (await house.scan())["status"] == "ok"


async def test_more_than_a_fifth_gone_at_once_is_not_believed_and_what_is_new_is_taken_in(house: House) -> None:
    await library(house, 10)
    for number in range(3):
        (house.library / f"{number}.jpg").unlink()
    photo(house.library / "new.jpg", 50)
    result = await expect_disbelief(house, 11)
    assert result["imported_count"] == 1


async def test_just_a_fifth_gone_is_believed(house: House) -> None:
    await library(house, 10)
    for number in range(2):
        (house.library / f"{number}.jpg").unlink()
    result = await house.scan()
    assert (result["status"], result["missing"]) == ("ok", 2)


async def test_how_much_is_believed_can_be_set(tmp_path: Path) -> None:
    async with running(tmp_path, TAGLINE_MAX_MISSING_PERCENT="50") as house:
        await library(house, 10)
        for number in range(5):
            (house.library / f"{number}.jpg").unlink()
        assert (await house.scan())["missing"] == 5


async def test_what_is_really_gone_can_be_accepted(house: House) -> None:
    await library(house)
    for path in house.library.glob("*.jpg"):
        path.unlink()
    await expect_disbelief(house)
    result = await house.scan(params={"accept_missing": "true"})
    assert (result["status"], result["missing"]) == ("ok", 6)
    assert await house.photos() == []
    assert len(await house.photos("missing=true")) == 6
    photo(house.library / "new.jpg", 50)
    assert (await house.scan())["imported_count"] == 1


async def test_a_folder_renamed_with_most_of_the_library_is_no_loss(house: House) -> None:
    for number in range(8):
        photo(house.library / f"2024/{number}.jpg", number)
    photo(house.library / "one.jpg", 50)
    await house.scan()
    shutil.move(house.library / "2024", house.library / "Summer")
    result = await house.scan()
    assert (result["status"], result["moved"], result["missing"]) == ("ok", 8, 0)


async def test_a_library_that_was_restored_with_all_times_changed_is_known(house: House) -> None:
    before = {found["id"] for found in await library(house)}
    aside = house.library.with_name("aside")
    shutil.copytree(house.library, aside, copy_function=shutil.copyfile)
    shutil.rmtree(house.library)
    aside.rename(house.library)
    result = await house.scan()
    assert (result["status"], result["imported_count"], result["missing"]) == ("ok", 0, 0)
    assert {found["id"] for found in await house.photos()} == before


async def test_a_missing_photo_can_still_be_told(house: House) -> None:
    await library(house)
    gone = await lost(house, "0.jpg")
    edited = await house.ana.patch(f"/photos/{gone['id']}/metadata", {"description": "now with Ben"})
    assert edited.status == 200
    assert edited.json["missing"] is True


async def test_what_is_sent_while_a_scan_walks_is_not_taken_for_gone(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The walk has passed the folder that uploads land in meanwhile; they would be more than 20 percent, too."""
    photo(house.library / "old.jpg", 1)
    await house.scan()
    pictures = [photo(house.config.data_dir / "phone" / f"{number}.jpg", 10 + number) for number in range(3)]
    storage = house.app[STORAGE]
    walk = storage.walk

    async def walk_and_send(below: str = "") -> AsyncIterator[list[Entry | Unreadable]]:
        async for batch in walk(below):
            yield batch
        for picture in pictures:
            assert (await house.ana.post("/photos", data=picture.read_bytes())).status == 201

    monkeypatch.setattr(storage, "walk", walk_and_send)
    result = await house.scan()
    assert (result["status"], result["missing"]) == ("ok", 0)
    assert len(await house.photos()) == 4
