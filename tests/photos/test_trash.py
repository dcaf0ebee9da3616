"""DELETE /photos/{id}: into the trash, out of it, and for good."""

import uuid
from pathlib import Path

from tests.house import House, make_photo, running
from tests.photos.library import add_photos, peek


async def test_a_photo_goes_into_the_trash_and_comes_back_as_it_was(home: House) -> None:
    make_photo(home.library / "a/lake.jpg", caption="The lake", taken="2024:07:01 16:02:11")
    await home.scan()
    before = await home.photo("lake.jpg")
    binned = await home.ben.delete(f"/photos/{before['id']}")
    assert binned.status == 200
    assert (binned.json["trashed"], binned.json["version"]) == (True, 2)
    assert binned.json["last_modified"] > before["last_modified"]
    assert (home.library / "a/lake.jpg").exists()
    assert await home.photos() == []
    assert await home.photos("trashed=true") == [binned.json]
    assert (await home.ana.get("/albums")).json["total"] == 0
    assert (await home.ana.get(f"/photos/{before['id']}/image")).status == 200
    again = await home.ben.delete(f"/photos/{before['id']}")
    assert (again.status, again.json) == (200, binned.json), "a repeat changes nothing"
    await home.scan()
    assert await home.photos() == [], "a scan does not bring it back"
    back = await home.ana.post(f"/photos/{before['id']}/restore")
    assert (back.status, back.json["trashed"], back.json["version"]) == (200, False, 3)
    assert (await home.ana.post(f"/photos/{before['id']}/restore")).json == back.json
    [after] = await home.photos("q=lake")
    assert {name: value for name, value in after.items() if name not in ("version", "last_modified")} == {
        name: value for name, value in before.items() if name not in ("version", "last_modified")
    }


async def test_the_feed_tells_of_the_trash(house: House) -> None:
    [photo] = await add_photos(house, ["a.jpg"])
    await house.ana.delete(f"/photos/{photo}")
    await house.ana.post(f"/photos/{photo}/restore")
    rows = await house.db.rows("changes.since", seq=0, limit=100)
    assert [(row["action"], row["version"]) for row in rows if row["entity_id"] == photo] == [
        ("create", 1), ("update", 2), ("update", 3),
    ]  # fmt: skip


async def test_for_good_takes_the_file_its_copies_and_every_trace_but_a_tombstone(home: House) -> None:
    path = make_photo(home.library / "a/lake.jpg", caption="The lake")
    (home.library / "b").mkdir()
    (home.library / "b/copy.jpg").write_bytes(path.read_bytes())
    make_photo(home.library / "stays.jpg", "red")
    await home.scan()
    [photo] = await home.photos("q=lake")
    assert (await home.ana.delete(f"/photos/{photo['id']}?permanently=true")).status == 204
    assert sorted(file.name for file in home.library.rglob("*.jpg")) == ["stays.jpg"]
    for address in ("", "/history", "/image", "/thumbnail"):
        assert (await home.ana.get(f"/photos/{photo['id']}{address}")).status == 404
    assert (await home.ana.delete(f"/photos/{photo['id']}?permanently=true")).status == 404, "a repeat finds nothing"
    for query in ("q=lake", "trashed=true", "missing=true"):
        assert await home.photos(query) == []
    [deleted] = [row for row in await home.db.rows("changes.since", seq=0, limit=100) if row["action"] == "delete"]
    assert (deleted["entity_id"], deleted["version"]) == (photo["id"], photo["version"] + 1)

    assert peek(home.db, "select sha256, photo_id from tombstones") == [(photo["sha256"], photo["id"])]
    assert peek(home.db, "select count(*) from lines union all select count(*) from files") == [(0,), (1,)]
    assert (await home.scan())["missing"] == 0
    assert [item["object_key"] for item in await home.photos()] == ["stays.jpg"]


async def test_from_the_trash_for_good(home: House) -> None:
    path = make_photo(home.library / "lake.jpg")
    await home.scan()
    photo = await home.photo("lake.jpg")
    await home.ben.delete(f"/photos/{photo['id']}")
    assert (await home.ana.delete(f"/photos/{photo['id']}?permanently=true")).status == 204
    assert not path.exists()
    assert await home.photos("trashed=true") == []


async def test_a_missing_photo_can_be_deleted_for_good(house: House) -> None:
    path = make_photo(house.library / "lake.jpg")
    make_photo(house.library / "stays.jpg", "red")
    await house.scan()
    photo = await house.photo("lake.jpg")
    path.unlink()
    await house.ana.post("/rescan?accept_missing=true")
    assert [item["id"] for item in await house.photos("missing=true")] == [photo["id"]]
    assert (await house.ana.delete(f"/photos/{photo['id']}?permanently=true")).status == 204
    assert await house.photos("missing=true") == []


async def test_only_the_owner_deletes_for_good(home: House) -> None:
    path = make_photo(home.library / "lake.jpg")
    await home.scan()
    photo = await home.photo("lake.jpg")
    address = f"/photos/{photo['id']}?permanently=true"
    assert (await home.eve.delete(address)).status == 401
    assert (await (await home.key("read")).delete(address)).status == 403
    assert (await (await home.key("write")).delete(address)).status == 403
    refusal = await home.ben.delete(address)
    assert (refusal.status, refusal.json["code"]) == (403, "forbidden")
    assert path.exists()
    assert await home.photo("lake.jpg") == photo
    assert (await (await home.key("admin")).delete(address)).status == 204


async def test_a_read_only_library_keeps_its_files(tmp_path: Path) -> None:
    async with running(tmp_path / "data", PHOTO_STORAGE_BACKEND="memory") as house:
        [photo] = await add_photos(house, ["a.jpg"])
        house.memory.writable = False
        refusal = await house.ana.delete(f"/photos/{photo}?permanently=true")
        assert (refusal.status, refusal.json["code"]) == (403, "read_only_library")
        assert (await house.ana.delete(f"/photos/{photo}")).json["trashed"] is True


async def test_what_is_not_there_cannot_be_deleted(house: House) -> None:
    nobody = uuid.uuid4()
    for method, address in (("DELETE", ""), ("DELETE", "?permanently=true"), ("POST", "/restore")):
        answer = await house.ana.ask(method, f"/photos/{nobody}{address}")
        assert (answer.status, answer.json["detail"]) == (404, "Photo not found")
    assert (await house.ana.delete(f"/photos/{nobody}?permanently=perhaps")).status == 422
    assert (await house.ana.get(f"/photos/{nobody}/restore")).status == 405


async def test_what_is_based_on_an_older_state_changes_nothing_and_is_told_the_current_one(house: House) -> None:
    path = make_photo(house.library / "lake.jpg")
    await house.scan()
    photo = await house.photo("lake.jpg")
    current = (await house.ana.patch(f"/photos/{photo['id']}/metadata", {"favourite": True})).json
    for method, address in (("DELETE", ""), ("DELETE", "?permanently=true"), ("POST", "/restore")):
        for tag in ('"1"', 'W/"1"', '"3", "4"', ""):
            answer = await house.ana.ask(method, f"/photos/{photo['id']}{address}", headers={"If-Match": tag})
            assert (answer.status, answer.json["code"]) == (412, "version_conflict"), (method, address, tag)
            assert answer.json["current"] == current
    assert path.exists()
    assert (await house.ana.get(f"/photos/{photo['id']}")).json == current
    binned = await house.ana.delete(f"/photos/{photo['id']}", headers={"If-Match": '"2"'})
    assert (binned.json["trashed"], binned.headers["ETag"]) == (True, '"3"')
    back = await house.ana.post(f"/photos/{photo['id']}/restore", headers={"If-Match": binned.headers["ETag"]})
    assert (back.json["trashed"], back.headers["ETag"]) == (False, '"4"')
    gone = await house.ana.delete(f"/photos/{photo['id']}?permanently=true", headers={"If-Match": "*"})
    assert gone.status == 204
