"""POST /photos/batch: one change to many photos, with what became of each."""

import uuid
from typing import Any

from tests.house import House
from tests.photos.library import add_photos
from tests.test_db import full_disk


async def test_a_change_reaches_every_photo_and_each_is_reported_in_order(home: House) -> None:
    ids = await add_photos(home, [{"key": f"{number}.jpg", "keywords": ["old"]} for number in range(120)])
    nobody = str(uuid.uuid4())
    await home.ana.patch(
        f"/photos/{ids[7]}/metadata", {"keywords": ["old", "lake"], "description": "By the lake", "favourite": True}
    )
    asked = [*ids[:10], nobody, ids[0].upper(), *ids[10:]]
    answer = await home.ben.post(
        "/photos/batch",
        {"photo_ids": asked, "add_keywords": ["lake"], "description": " By the lake ", "favourite": True},
    )
    assert answer.status == 200
    assert answer.json["applied"] == 119
    results = answer.json["results"]
    assert [result["photo_id"] for result in results] == [photo_id.lower() for photo_id in asked]
    assert results[0] == {"photo_id": ids[0], "status": "applied", "version": 2, "detail": None}
    assert results[7] == {"photo_id": ids[7], "status": "unchanged", "version": 2, "detail": None}
    assert results[10] == {"photo_id": nobody, "status": "not_found", "version": None, "detail": None}
    assert results[11] == {"photo_id": ids[0], "status": "unchanged", "version": 2, "detail": None}
    photos = await home.photos("limit=500&q=lake&keyword=lake&favourite=true")
    assert len(photos) == 120
    assert {tuple(photo["metadata"]["keywords"]) for photo in photos} == {("old", "lake")}
    assert {photo["description"] for photo in photos} == {"By the lake"}


async def test_keywords_are_added_taken_away_or_replaced(house: House) -> None:
    one, two = await add_photos(
        house, [{"key": "1.jpg", "keywords": ["a", "b"]}, {"key": "2.jpg", "keywords": ["b", "c"]}]
    )

    async def after(**change: Any) -> list[list[str]]:
        answer = await house.ana.post("/photos/batch", {"photo_ids": [one, two], **change})
        assert answer.status == 200, answer
        return [(await house.ana.get(f"/photos/{photo}")).json["metadata"]["keywords"] for photo in (one, two)]

    assert await after(add_keywords=[" d ", "b"], remove_keywords=["a"]) == [["b", "d"], ["b", "c", "d"]]
    assert await after(remove_keywords=["c", "nothing"]) == [["b", "d"], ["b", "d"]]
    assert await after(keywords=["x"], add_keywords=["y"]) == [["x", "y"], ["x", "y"]]
    assert await after(keywords=[]) == [[], []]


async def test_a_photo_that_would_have_too_many_keywords_is_refused_and_the_others_are_not(house: House) -> None:
    full, empty = await add_photos(
        house, [{"key": "1.jpg", "keywords": [str(number) for number in range(100)]}, "2.jpg"]
    )
    answer = await house.ana.post("/photos/batch", {"photo_ids": [full, empty], "add_keywords": ["lake"]})
    assert answer.status == 200
    refused, applied = answer.json["results"]
    assert (refused["status"], refused["version"]) == ("refused", 1)
    assert "100" in refused["detail"]
    assert applied["status"] == "applied"
    assert len((await house.ana.get(f"/photos/{full}")).json["metadata"]["keywords"]) == 100


async def test_each_applied_change_has_its_row_in_the_feed(house: House) -> None:
    ids = await add_photos(house, ["1.jpg", "2.jpg"])
    before = len(await house.db.rows("changes.since", seq=0, limit=1000))
    await house.ana.post("/photos/batch", {"photo_ids": ids, "favourite": True})
    await house.ana.post("/photos/batch", {"photo_ids": ids, "favourite": True})
    rows = (await house.db.rows("changes.since", seq=0, limit=1000))[before:]
    assert [(row["entity_id"], row["action"], row["version"]) for row in rows] == [
        (ids[0], "update", 2),
        (ids[1], "update", 2),
    ]


async def test_what_no_photo_could_take_is_refused_as_a_whole(house: House) -> None:
    [photo] = await add_photos(house, ["1.jpg"])
    bodies: list[dict[str, Any]] = [
        {}, {"photo_ids": []}, {"photo_ids": ["x"]}, {"photo_ids": [str(uuid.uuid4())] * 1001}, {"photo_ids": "x"},
    ]  # fmt: skip
    changes: list[dict[str, Any]] = [
        {"favourite": "yes"}, {"description": "x" * 10_001}, {"keywords": ["k" * 201]}, {"add_keywords": ["a\x00"]},
        {"remove_keywords": 1}, {"add_keywords": [str(number) for number in range(101)]}, {"taken_at": "x"},
        {"location": {"lat": 99, "lon": 0}}, {"nonsense": 1}, {"last_modified": "2024-07-01T10:00:00Z"},
    ]  # fmt: skip
    for body in [*bodies, *({"photo_ids": [photo], "favourite": True, **change} for change in changes)]:
        answer = await house.ana.post("/photos/batch", body)
        assert answer.status == 422, (body, answer)
    assert (await house.ana.get(f"/photos/{photo}")).json["version"] == 1


async def test_a_batch_without_a_change_changes_nothing(house: House) -> None:
    ids = await add_photos(house, ["1.jpg", "2.jpg"])
    answer = await house.ana.post("/photos/batch", {"photo_ids": ids})
    assert [result["status"] for result in answer.json["results"]] == ["unchanged", "unchanged"]


async def test_members_may_and_strangers_and_readers_may_not(home: House) -> None:
    body = {"photo_ids": await add_photos(home, ["1.jpg"]), "favourite": True}
    assert (await home.eve.post("/photos/batch", body)).status == 401
    assert (await (await home.key("read")).post("/photos/batch", body)).status == 403
    assert (await home.ben.post("/photos/batch", body)).status == 200
    # `batch` is no id, so that the address takes no other method.
    assert (await home.ana.get("/photos/batch")).status in (405, 422)


async def test_when_the_disk_fills_up_on_the_way_what_was_done_is_told_apart_from_what_was_not(house: House) -> None:
    ids = await add_photos(house, [f"{number}.jpg" for number in range(400)])
    data = [path for path in house.config.data_dir.glob("*.db*") if path.is_file()]
    with full_disk(max(path.stat().st_size for path in data) + 6_000_000):
        body = {"photo_ids": ids, "description": "a line that finds no room " * 380}
        answer = await house.ana.post("/photos/batch", body)
    assert answer.status == 200
    results = answer.json["results"]
    assert [result["photo_id"] for result in results] == ids
    applied = answer.json["applied"]
    assert applied % 50 == 0
    assert 0 < applied < len(ids)
    assert [result["status"] for result in results] == ["applied"] * applied + ["refused"] * (len(ids) - applied)
    assert all("disk" in result["detail"] for result in results[applied:])
    for photo, description in ((ids[applied - 1], body["description"]), (ids[applied], "")):
        assert (await house.ana.get(f"/photos/{photo}")).json["description"] == str(description).strip()
