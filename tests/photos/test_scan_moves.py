"""The scan: moved, renamed and copied files are the photos that they were."""

import os
import shutil
from typing import Any

from tests.house import House
from tests.photos.files import large, photo, poke, swap, touch, write


async def ids(house: House) -> dict[str, str]:
    """The photo at each path."""
    return {found["object_key"]: found["id"] for found in await house.photos("limit=500")}


async def paths(house: House, photo_id: str) -> list[str]:
    """Every path at which a photo's content lies."""
    return [row["path"] for row in await house.db.rows("photos.paths", photo_id=photo_id)]


async def scanned(house: House, count: int = 6) -> dict[str, str]:
    """A library of some photos, so that the loss of one is nothing odd."""
    for number in range(count):
        photo(house.library / f"{number}.jpg", number, (40 + number, 40))
    await house.scan()
    return await ids(house)


async def line(house: House, photo_id: str) -> Any:
    """A line for a photo."""
    return (await house.ana.patch(f"/photos/{photo_id}/metadata", {"description": "Ana at the lake"})).json


async def test_a_renamed_file_keeps_id_line_and_history(house: House) -> None:
    known = await scanned(house)
    before = await line(house, known["0.jpg"])
    (house.library / "0.jpg").rename(house.library / "Zoë.jpg")
    result = await house.scan()
    assert (result["moved"], result["imported_count"], result["missing"], result["updated"]) == (1, 0, 0, 0)
    after = await house.photo("Zoë.jpg")
    assert (after["id"], after["description"], after["version"]) == (before["id"], "Ana at the lake", before["version"])
    assert (await house.ana.get(f"/photos/{after['id']}/history")).json["total"] == 1
    assert [found["id"] for found in await house.photos("q=zoe")] == [after["id"]]
    assert (await house.ana.get(after["links"]["image"])).status == 200


async def test_a_renamed_file_is_known_without_reading_it(house: House) -> None:
    known = await scanned(house)
    path = house.library / "0.jpg"
    poke(path, 0, keep_time=True)  # whoever reads it finds no photo
    path.rename(house.library / "moved.jpg")
    assert (await house.scan())["moved"] == 1
    assert (await ids(house))["moved.jpg"] == known["0.jpg"]


async def test_a_renamed_folder_takes_its_photos_along(house: House) -> None:
    for number in range(5):
        photo(house.library / f"2024/lake/{number}.jpg", number)
    await house.scan()
    before = await ids(house)
    (house.library / "2024").rename(house.library / "2025")
    result = await house.scan()
    assert (result["moved"], result["missing"], result["imported_count"]) == (5, 0, 0)
    assert await ids(house) == {path.replace("2024", "2025"): found for path, found in before.items()}
    albums = (await house.ana.get("/albums")).json["items"]
    assert [(album["folder"], album["photos"]) for album in albums] == [("2025/lake/", 5)]


async def test_a_file_moved_from_another_disk_is_known_by_its_content(house: House) -> None:
    known = await scanned(house)
    shutil.copyfile(house.library / "0.jpg", house.library / "elsewhere.jpg")
    touch(house.library / "elsewhere.jpg")
    (house.library / "0.jpg").unlink()
    result = await house.scan()
    assert (result["moved"], result["imported_count"], result["missing"]) == (1, 0, 0)
    assert (await ids(house))["elsewhere.jpg"] == known["0.jpg"]


async def test_two_files_that_exchange_their_names_stay_the_photos_that_they_are(house: House) -> None:
    known = await scanned(house)
    swap(house.library / "0.jpg", house.library / "1.jpg")
    result = await house.scan()
    after = await ids(house)
    assert (after["0.jpg"], after["1.jpg"]) == (known["1.jpg"], known["0.jpg"])
    assert (result["imported_count"], result["updated"], result["missing"]) == (0, 0, 0)
    assert len(after) == len(known)
    assert (await house.scan())["unchanged"] == len(known)


async def test_two_files_of_one_size_and_time_that_exchange_their_names_are_told_apart(house: House) -> None:
    paths = [large(house.library / name, number) for number, name in enumerate(("a.bmp", "b.bmp"))]
    for path in paths:
        os.utime(path, (1_700_000_000, 1_700_000_000))
    await house.scan()
    before = {found["object_key"]: found for found in await house.photos()}
    swap(*paths)
    await house.scan()
    after = {found["object_key"]: found for found in await house.photos()}
    assert (after["a.bmp"]["id"], after["b.bmp"]["id"]) == (before["b.bmp"]["id"], before["a.bmp"]["id"])
    assert after["a.bmp"]["sha256"] == before["b.bmp"]["sha256"]


async def test_a_chain_of_renames_is_followed(house: House) -> None:
    known = await scanned(house)
    (house.library / "1.jpg").rename(house.library / "2 was 1.jpg")
    (house.library / "0.jpg").rename(house.library / "1.jpg")
    result = await house.scan()
    after = await ids(house)
    assert (after["1.jpg"], after["2 was 1.jpg"]) == (known["0.jpg"], known["1.jpg"])
    assert (result["imported_count"], result["updated"], result["missing"]) == (0, 0, 0)
    assert len(after) == len(known)


async def test_a_ring_of_renames_is_followed(house: House) -> None:
    known = await scanned(house)
    (house.library / "2.jpg").rename(house.library / ".aside")
    (house.library / "1.jpg").rename(house.library / "2.jpg")
    (house.library / "0.jpg").rename(house.library / "1.jpg")
    (house.library / ".aside").rename(house.library / "0.jpg")
    await house.scan()
    after = await ids(house)
    assert after == {**known, "1.jpg": known["0.jpg"], "2.jpg": known["1.jpg"], "0.jpg": known["2.jpg"]}


async def test_of_a_file_moved_over_another_the_moved_one_stays_and_the_other_is_missing(house: House) -> None:
    known = await scanned(house)
    (house.library / "0.jpg").rename(house.library / "1.jpg")
    result = await house.scan()
    assert (result["moved"], result["missing"], result["imported_count"]) == (1, 1, 0)
    assert (await ids(house))["1.jpg"] == known["0.jpg"]
    [missing] = await house.photos("missing=true")
    assert missing["id"] == known["1.jpg"]


async def test_a_copy_is_another_path_of_the_same_photo(house: House) -> None:
    known = await scanned(house)
    shutil.copyfile(house.library / "0.jpg", house.library / "copy.jpg")
    result = await house.scan()
    assert (result["duplicates"], result["imported_count"], result["moved"]) == (1, 0, 0)
    assert await ids(house) == known
    assert await paths(house, known["0.jpg"]) == ["0.jpg", "copy.jpg"]
    assert (await house.scan())["unchanged"] == len(known) + 1


async def test_a_photo_that_is_touched_and_copied_stays_where_it_is(house: House) -> None:
    known = await scanned(house)
    shutil.copyfile(house.library / "5.jpg", house.library / "0 copy.jpg")
    touch(house.library / "5.jpg")
    result = await house.scan()
    assert (result["duplicates"], result["moved"]) == (1, 0)
    assert await ids(house) == known


async def test_copies_that_are_new_together_are_one_photo(house: House) -> None:
    first = photo(house.library / "a.jpg", 1)
    for name in ("b.jpg", "c/d.jpg"):
        write(house.library / name, first.read_bytes())
    result = await house.scan()
    assert (result["imported_count"], result["duplicates"]) == (1, 2)
    assert len(await house.photos()) == 1


async def test_a_hard_link_is_another_path_of_the_same_photo(house: House) -> None:
    known = await scanned(house)
    os.link(house.library / "0.jpg", house.library / "linked.jpg")
    result = await house.scan()
    assert (result["duplicates"], result["imported_count"], result["moved"]) == (1, 0, 0)
    assert await ids(house) == known
    assert await paths(house, known["0.jpg"]) == ["0.jpg", "linked.jpg"]


async def test_two_hard_links_that_are_renamed_together_stay_one_photo(house: House) -> None:
    known = await scanned(house)
    os.link(house.library / "0.jpg", house.library / "linked.jpg")
    await house.scan()
    (house.library / "0.jpg").rename(house.library / "x.jpg")
    (house.library / "linked.jpg").rename(house.library / "y.jpg")
    result = await house.scan()
    assert (result["imported_count"], result["missing"]) == (0, 0)
    assert await paths(house, known["0.jpg"]) == ["x.jpg", "y.jpg"]
    assert (await ids(house)).get("x.jpg", (await ids(house)).get("y.jpg")) == known["0.jpg"]


async def test_when_the_original_is_removed_the_photo_lives_on_at_its_copy(house: House) -> None:
    known = await scanned(house)
    shutil.copyfile(house.library / "0.jpg", house.library / "copy.jpg")
    await house.scan()
    (house.library / "0.jpg").unlink()
    result = await house.scan()
    assert (result["missing"], result["imported_count"]) == (0, 0)
    found = await house.photo("copy.jpg")
    assert found["id"] == known["0.jpg"]
    assert (await house.ana.get(found["links"]["image"])).status == 200
    assert (await house.ana.get(found["links"]["thumbnail"])).status == 200


async def test_a_file_like_another_but_for_its_middle_is_another_photo(house: House) -> None:
    first = large(house.library / "a.bmp", 1)
    other = write(house.library / "b.bmp", first.read_bytes())
    poke(other, other.stat().st_size // 2)
    assert (await house.scan())["imported_count"] == 2
    one, two = await house.photo("a.bmp"), await house.photo("b.bmp")
    assert one["sha256"] != two["sha256"]


async def test_a_copy_of_the_old_content_of_an_edited_file_is_no_copy_of_the_new(house: House) -> None:
    await scanned(house)
    whole = (house.library / "0.jpg").read_bytes()
    photo(house.library / "0.jpg", 77)
    await house.scan()
    write(house.library / "as it was.jpg", whole)
    result = await house.scan()
    assert (result["imported_count"], result["duplicates"]) == (1, 0)


async def test_a_file_moved_before_it_was_hashed_is_known_by_inode_size_and_time(house: House) -> None:
    for number in range(40):
        photo(house.library / f"{number:02}.jpg", number, (300, 200))
    await house.ana.post("/rescan")
    before = await ids(house)
    unhashed = [found["object_key"] for found in await house.photos("limit=100") if not found["sha256"]]
    assert unhashed
    for key in unhashed:
        (house.library / key).rename(house.library / f"moved {key}")
    result = await house.scan()
    assert (result["moved"], result["imported_count"], result["missing"]) == (len(unhashed), 0, 0)
    after = await ids(house)
    assert {after[f"moved {key}"] for key in unhashed} == {before[key] for key in unhashed}
    assert all(found["sha256"] for found in await house.photos("limit=100"))


async def test_a_file_copied_away_before_it_was_hashed_is_known_by_its_fingerprint(house: House) -> None:
    for number in range(40):
        photo(house.library / f"IMG_20240101_1200{number:02}.jpg", number, (300, 200))
    await house.ana.post("/rescan")
    # The oldest is the last that the background comes to.
    oldest = await house.photo("120000.jpg")
    assert oldest["sha256"] is None
    path = house.library / "IMG_20240101_120000.jpg"
    shutil.copyfile(path, house.library / "elsewhere.jpg")
    path.unlink()
    result = await house.scan()
    assert (result["moved"], result["imported_count"], result["missing"]) == (1, 0, 0)
    assert (await house.photo("elsewhere.jpg"))["id"] == oldest["id"]


async def test_a_moved_and_edited_file_is_another_photo_and_the_old_one_is_missing(house: House) -> None:
    known = await scanned(house)
    (house.library / "0.jpg").unlink()
    photo(house.library / "edited.jpg", 99)
    result = await house.scan()
    assert (result["imported_count"], result["missing"], result["moved"]) == (1, 1, 0)
    assert (await ids(house))["edited.jpg"] not in known.values()
