"""Deleting for good: file and row are gone, and a tombstone remembers that it was wanted so."""

import shutil

from tests.house import House, behind_its_back
from tests.photos.files import large, open_files, photo, poke, write


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


def thumbnails(house: House, content_hash: str) -> int:
    """How many thumbnails of a content are on the disk."""
    return len(list((house.config.data_dir / "cache").rglob(f"*{content_hash}*")))


async def test_its_thumbnails_of_all_sizes_and_formats_are_gone_as_well(house: House) -> None:
    photo(house.library / "a.jpg", 1, (600, 400))
    await house.scan()
    found = await house.photo("a.jpg")
    for accept in ("image/webp", "image/jpeg"):
        await house.ana.get(f"{found['links']['thumbnail']}?size=512", headers={"Accept": accept})
    assert thumbnails(house, found["sha256"]) == 4
    await house.ana.delete(f"/photos/{found['id']}?permanently=true")
    assert thumbnails(house, found["sha256"]) == 0
    assert not [path for path in open_files() if found["sha256"] in path]


async def test_thumbnails_that_another_photo_shows_stay(house: House) -> None:
    first, other = photo(house.library / "a.jpg", 1), photo(house.library / "b.jpg", 2)
    await house.scan()
    # Edited to be the same as the other.
    write(first, other.read_bytes())
    assert (await house.scan())["updated"] == 1
    kept = await house.photo("b.jpg")
    assert (await house.ana.delete(f"/photos/{(await house.photo('a.jpg'))['id']}?permanently=true")).status == 204
    assert thumbnails(house, kept["sha256"]) == 1
    await house.ana.delete(f"/photos/{kept['id']}?permanently=true")
    assert thumbnails(house, kept["sha256"]) == 0
