"""Deleting for good: file and row are gone, and a tombstone remembers that it was wanted so."""

import shutil

from tests.house import House, behind_its_back
from tests.photos.files import large, photo, poke, write


def tombstones(house: House) -> set[str]:
    """The hashes of what was deleted for good."""
    return {row[0] for row in behind_its_back(house, "select sha256 from tombstones")}


async def test_file_copies_and_row_are_gone_and_the_hash_is_remembered(house: House) -> None:
    path = photo(house.library / "a.jpg", 1)
    shutil.copyfile(path, house.library / "copy.jpg")
    kept = photo(house.library / "b.jpg", 2)
    await house.scan()
    found = await house.photo("a.jpg")
    answer = await house.ana.delete(f"/photos/{found['id']}?permanently=true")
    assert (answer.status, answer.body) == (204, b"")
    assert sorted(entry.name for entry in house.library.glob("[!.]*")) == [kept.name]
    assert tombstones(house) == {found["sha256"]}
    for address in (f"/photos/{found['id']}", found["links"]["image"], found["links"]["thumbnail"]):
        assert (await house.ana.get(address)).status == 404
    result = await house.scan()
    assert (result["status"], result["missing"], result["imported_count"]) == ("ok", 0, 0)


async def test_one_that_was_never_hashed_is_remembered_as_well(house: House) -> None:
    for number in range(40):
        photo(house.library / f"IMG_20240101_1200{number:02}.jpg", number, (300, 200))
    await house.ana.post("/rescan")
    oldest = await house.photo("120000.jpg")
    assert oldest["sha256"] is None
    assert (await house.ana.delete(f"/photos/{oldest['id']}?permanently=true")).status == 204
    assert len(tombstones(house)) == 1
    await house.settled()


async def test_a_missing_photo_whose_path_another_has_taken_costs_the_other_nothing(house: House) -> None:
    for number in range(6):
        photo(house.library / f"{number}.jpg", number)
    await house.scan()
    gone = await house.photo("0.jpg")
    (house.library / "0.jpg").unlink()
    await house.scan()
    other = photo(house.library / "0.jpg", 99)
    await house.scan()
    assert (await house.ana.delete(f"/photos/{gone['id']}?permanently=true")).status == 204
    assert other.is_file()
    assert (await house.photo("0.jpg"))["id"] != gone["id"]
    assert tombstones(house) == {gone["sha256"]}


async def test_content_that_somebody_puts_back_into_the_folder_is_wanted_again(house: House) -> None:
    path = photo(house.library / "a.jpg", 1)
    photo(house.library / "b.jpg", 2)
    await house.scan()
    whole = path.read_bytes()
    found = await house.photo("a.jpg")
    await house.ana.delete(f"/photos/{found['id']}?permanently=true")
    write(house.library / "again.jpg", whole)
    assert (await house.scan())["imported_count"] == 1
    assert (await house.photo("again.jpg"))["id"] != found["id"]
    assert tombstones(house) == set()


async def test_a_file_that_only_looks_like_a_deleted_one_is_another_photo(house: House) -> None:
    path = large(house.library / "a.bmp", 1)
    photo(house.library / "b.jpg", 2)
    await house.scan()
    whole = path.read_bytes()
    found = await house.photo("a.bmp")
    await house.ana.delete(f"/photos/{found['id']}?permanently=true")
    write(path, whole)
    poke(path, len(whole) // 2)
    assert (await house.scan())["imported_count"] == 1
    assert tombstones(house) == {found["sha256"]}
