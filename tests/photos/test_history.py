"""GET /photos/{id}/history and restoring from it."""

from tests.house import House
from tests.photos.library import add_photos


async def test_every_line_is_kept_with_its_author_device_and_origin(home: House) -> None:
    [photo] = await add_photos(home, [{"key": "a.jpg", "caption": "From the file"}])
    path = f"/photos/{photo}"
    first = (await home.ana.patch(f"{path}/metadata", {"description": "By ana"})).json
    second = (await home.ben.patch(f"{path}/metadata", {"description": "By ben"})).json
    await home.ana.patch(f"{path}/metadata", {"favourite": True})  # no line
    await home.ben.post("/photos/batch", {"photo_ids": [photo], "description": ""})
    history = (await home.ana.get(f"{path}/history")).json
    assert history["total"] == 4
    seen = [
        (
            line["version"],
            line["description"],
            (line["author"] or {}).get("name"),
            line["device"],
            line["origin"],
            line["current"],
        )
        for line in history["items"]
    ]
    owner = history["items"][2]["author"]["name"]
    assert seen == [
        (5, "", "ben", "ben's phone", "batch", True),
        (3, "By ben", "ben", "ben's phone", "edit", False),
        (2, "By ana", owner, "Ana's phone", "edit", False),
        (1, "From the file", None, "", "file", False),
    ]
    for line, photo_then in zip(history["items"][2:0:-1], (first, second), strict=True):
        assert line["at"][:22] == photo_then["last_modified"][:22] or line["at"] < photo_then["last_modified"]


async def test_a_photo_that_was_never_told_has_an_empty_history(house: House) -> None:
    [photo] = await add_photos(house, ["a.jpg"])
    assert (await house.ana.get(f"/photos/{photo}/history")).json == {"items": [], "total": 0}


async def test_an_old_line_can_be_made_the_current_one(home: House) -> None:
    [photo] = await add_photos(home, [{"key": "a.jpg", "caption": "First"}])
    await home.ana.patch(f"/photos/{photo}/metadata", {"description": "Second", "favourite": True})
    answer = await home.ben.post(f"/photos/{photo}/history/1/restore")
    assert answer.status == 200
    assert (answer.json["description"], answer.json["version"]) == ("First", 3)
    assert answer.json["metadata"]["favourite"] is True, "only the line is restored"
    assert answer.headers["ETag"] == '"3"'
    again = await home.ben.post(f"/photos/{photo}/history/1/restore")
    assert again.json == answer.json, "what is current already makes no version"
    history = (await home.ana.get(f"/photos/{photo}/history")).json["items"]
    assert [(line["version"], line["description"], line["origin"]) for line in history] == [
        (3, "First", "restore"), (2, "Second", "edit"), (1, "First", "file"),
    ]  # fmt: skip
    assert len(await home.photos("q=first")) == 1
    assert await home.photos("q=second") == []


async def test_a_version_without_a_line_cannot_be_restored(house: House) -> None:
    [photo] = await add_photos(house, ["a.jpg"])
    await house.ana.patch(f"/photos/{photo}/metadata", {"favourite": True})
    for version in (1, 2, 3, 2**53):
        answer = await house.ana.post(f"/photos/{photo}/history/{version}/restore")
        assert answer.status == 404, version
        assert answer.json["code"] == "not_found"
    for wrong in ("0", "-1", "x", "1.5", str(10**30)):
        assert (await house.ana.post(f"/photos/{photo}/history/{wrong}/restore")).status == 422, wrong


async def test_strangers_readers_and_wrong_methods_are_refused(house: House) -> None:
    [photo] = await add_photos(house, [{"key": "a.jpg", "caption": "x"}])
    assert (await house.eve.get(f"/photos/{photo}/history")).status == 401
    assert (await house.eve.post(f"/photos/{photo}/history/1/restore")).status == 401
    reader = await house.key("read")
    assert (await reader.get(f"/photos/{photo}/history")).status == 200
    assert (await reader.post(f"/photos/{photo}/history/1/restore")).status == 403
    assert (await house.ana.get(f"/photos/{photo}/history/1/restore")).status == 405
    assert (await house.ana.post(f"/photos/{photo}/history")).status == 405


async def test_a_restore_that_is_based_on_an_older_state_changes_nothing(house: House) -> None:
    [photo] = await add_photos(house, [{"key": "a.jpg", "caption": "First"}])
    current = (await house.ana.patch(f"/photos/{photo}/metadata", {"description": "Second"})).json
    refused = await house.ana.post(f"/photos/{photo}/history/1/restore", headers={"If-Match": '"1"'})
    assert (refused.status, refused.json["code"], refused.json["current"]) == (412, "version_conflict", current)
    assert (await house.ana.get(f"/photos/{photo}")).json == current
    restored = await house.ana.post(f"/photos/{photo}/history/1/restore", headers={"If-Match": '"2"'})
    assert restored.json["description"] == "First"
