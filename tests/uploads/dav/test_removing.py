"""DELETE: photos go to the trash, and everything else out of sight. Nothing is deleted for good."""

import pytest

from tests.house import House
from tests.uploads.dav.webdav import find, jpeg, listed, move, on_disk, put, share


async def test_a_photo_that_is_deleted_is_in_the_trash_and_its_file_stays(house: House) -> None:
    dav = await share(house)
    await put(dav, "a.jpg", jpeg(1))
    photo = await house.photo("a.jpg")
    assert (await dav.delete("/dav/a.jpg")).status == 204
    assert (await dav.delete("/dav/a.jpg")).status == 404
    assert (await dav.get("/dav/a.jpg")).status == 404
    assert (await find(dav, "a.jpg", "0")).status == 404
    assert await listed(dav) == []
    [trashed] = await house.photos("trashed=true")
    assert (trashed["id"], trashed["object_key"]) == (photo["id"], "a.jpg")
    assert on_disk(house) == ["a.jpg"]
    await house.ana.post(f"/photos/{photo['id']}/restore")
    assert (await dav.get("/dav/a.jpg")).body == jpeg(1)


async def test_of_two_paths_of_a_photo_one_can_be_deleted_and_the_photo_stays(house: House) -> None:
    dav = await share(house)
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        await put(dav, name, jpeg(1))
    photo = await house.photo("a.jpg")
    assert (await dav.delete("/dav/b.jpg")).status == 204
    assert await listed(dav) == ["a.jpg", "c.jpg"]
    # Its own path goes: it lives on in the copy.
    assert (await dav.delete("/dav/a.jpg")).status == 204
    assert (await house.photo("c.jpg"))["id"] == photo["id"]
    assert on_disk(house) == [".tagline-trash/a.jpg", ".tagline-trash/b.jpg", "c.jpg"]
    assert (await dav.delete("/dav/c.jpg")).status == 204
    assert [each["id"] for each in await house.photos("trashed=true")] == [photo["id"]]
    assert (await house.scan())["unchanged"] == 1


async def test_what_is_no_photo_goes_out_of_sight_and_is_kept(house: House) -> None:
    dav = await share(house)
    await dav.ask("MKCOL", "/dav/a")
    await put(dav, "a/notes.txt", b"notes")
    assert (await dav.delete("/dav/a/notes.txt")).status == 204
    assert on_disk(house) == [".tagline-trash/a/notes.txt"]
    assert await listed(dav, "a/") == []
    await put(dav, "a/notes.txt", b"notes")
    assert (await dav.delete("/dav/a/notes.txt")).status == 204
    assert on_disk(house) == [".tagline-trash/a/notes.txt", ".tagline-trash/a/notes.txt"]
    scan = await house.scan()
    assert (scan["skipped"], scan["error_count"]) == (0, 0)


async def test_a_folder_is_deleted_with_all_that_is_in_it_and_nothing_is_lost(house: House) -> None:
    dav = await share(house)
    for folder in ("a", "a/b", "a/b/c", "a/empty"):
        assert (await dav.ask("MKCOL", f"/dav/{folder}")).status == 201
    for number in range(45):
        await put(dav, f"a/b/{number}.jpg", jpeg(number))
    await put(dav, "a/copy.jpg", jpeg(0))
    await put(dav, "a/notes.txt", b"notes")
    await put(dav, "a/waiting.jpg", b"")
    (house.library / "a/new.jpg").write_bytes(jpeg(99))
    assert (await dav.delete("/dav/a")).status == 204
    assert await listed(dav) == []
    assert (await dav.get("/dav/a/")).status == 404
    assert (await house.photos()) == []
    assert len(await house.photos("trashed=true&limit=100")) == 46
    kept = on_disk(house)
    assert ".tagline-trash/a/notes.txt" in kept
    assert len([name for name in kept if name.endswith(".jpg")]) == 47
    assert not (house.library / "a/b/c").exists()
    # The name can be had again.
    assert (await dav.ask("MKCOL", "/dav/a")).status == 201
    assert await listed(dav) == ["a/"]
    assert await listed(dav, "a/") == []
    scan = await house.scan()
    assert (scan["imported_count"], scan["missing"]) == (0, 0)


async def test_a_folder_in_which_only_hidden_things_are_left_goes_along(house: House) -> None:
    dav = await share(house)
    await dav.ask("MKCOL", "/dav/a")
    (house.library / "a/Thumbs.db").write_bytes(b"x")
    assert (await dav.delete("/dav/a")).status == 204
    assert on_disk(house) == [".tagline-trash/a/Thumbs.db"]
    assert await listed(dav) == []


async def test_a_folder_with_nothing_but_trash_is_not_shown_and_an_empty_one_is(house: House) -> None:
    dav = await share(house)
    (house.library / "a/deep").mkdir(parents=True)
    (house.library / "empty").mkdir()
    (house.library / "a/deep/x.jpg").write_bytes(jpeg(1))
    await house.scan()
    assert await listed(dav) == ["a/", "empty/"]
    photo = await house.photo("x.jpg")
    await house.ana.delete(f"/photos/{photo['id']}")
    assert await listed(dav) == ["empty/"]
    assert (await find(dav, "a/")).status == 404
    (house.library / "a/other").mkdir()
    assert await listed(dav) == ["a/", "empty/"]
    assert await listed(dav, "a/") == ["other/"]


async def test_a_folder_that_was_emptied_piece_by_piece_can_still_be_used(house: House) -> None:
    dav = await share(house)
    await dav.ask("MKCOL", "/dav/a")
    await put(dav, "a/x.jpg", jpeg(1))
    await dav.delete("/dav/a/x.jpg")
    assert await listed(dav) == ["a/"]
    assert (await put(dav, "a/y.jpg", jpeg(2))).status == 201
    assert await listed(dav, "a/") == ["y.jpg"]


@pytest.mark.parametrize("path", ["", "nothing", "nothing/at/all"])
async def test_the_library_itself_and_what_is_not_there_cannot_be_deleted(house: House, path: str) -> None:
    dav = await share(house)
    assert (await dav.delete(f"/dav/{path}")).status == (404 if path else 403)


async def test_a_folder_is_not_deleted_with_a_depth_of_nothing(house: House) -> None:
    dav = await share(house)
    await dav.ask("MKCOL", "/dav/a")
    assert (await dav.delete("/dav/a", headers={"Depth": "0"})).status == 400
    assert (await dav.delete("/dav/a", headers={"Depth": "infinity"})).status == 204


async def test_a_stranger_deletes_nothing(house: House) -> None:
    await put(await share(house), "a.jpg", jpeg(1))
    assert (await house.eve.delete("/dav/a.jpg")).status == 401
    assert (await move(house.eve, "a.jpg", "b.jpg")).status == 401
    assert len(await house.photos()) == 1
