"""GET /photos/timeline: what a grid needs to lay itself out before it loads a photo."""

from tests.house import House
from tests.photos.library import add_photos, lose


async def test_days_are_counted_newest_first_by_the_clock_on_the_wall(house: House) -> None:
    await add_photos(
        house,
        [
            {"key": "a.jpg", "taken": "2024-07-01T23:30:00-08:00"},
            {"key": "b.jpg", "taken": "2024-07-02T00:30:00+09:00"},
            {"key": "c.jpg", "taken": "2024-07-02T12:00:00+09:00"},
            {"key": "d.jpg", "taken": "1969-12-31T23:59:59"},
        ],
    )
    answer = await house.ana.get("/photos/timeline")
    assert answer.json == {
        "by": "day",
        "total": 4,
        "items": [
            {"date": "2024-07-02", "count": 2},
            {"date": "2024-07-01", "count": 1},
            {"date": "1969-12-31", "count": 1},
        ],
    }
    assert (await house.ana.get("/photos/timeline?by=month")).json == {
        "by": "month",
        "total": 4,
        "items": [{"date": "2024-07", "count": 3}, {"date": "1969-12", "count": 1}],
    }


async def test_the_filters_are_those_of_the_list(house: House) -> None:
    ids = await add_photos(
        house,
        [
            {"key": "a/lake.jpg", "caption": "The lake", "keywords": ["lake"], "taken": "2024-07-01T10:00:00+02:00"},
            {"key": "a/boat.jpg", "taken": "2024-07-01T11:00:00+02:00", "lat": 1.0, "lon": 2.0},
            {"key": "film.mp4", "kind": "video", "taken": "2024-06-30T10:00:00+02:00"},
            {"key": "gone.jpg"},
            {"key": "binned.jpg"},
        ],
    )
    await lose(house.db, "gone.jpg", ids[3])
    await house.ana.delete(f"/photos/{ids[4]}")
    album = (await house.ana.get("/albums")).json["items"][1]["id"]
    for query in (
        "",
        "q=lake",
        "keyword=lake",
        "untold=true",
        "untold=false",
        "favourite=true",
        "kind=video",
        f"album={album}",
        "from=2024-07-01",
        "to=2024-06-30",
        "from=2024-07-01T08:30:00Z",
        "bbox=0,0,3,3",
        "missing=true",
        "trashed=true",
        "q=lake&keyword=lake&untold=false",
        "q=!!!",
        "q=nothing",
    ):
        listed = (await house.ana.get(f"/photos?{query}")).json
        counted = (await house.ana.get(f"/photos/timeline?{query}")).json
        days = [item["metadata"]["taken_at"][:10] for item in listed["items"]]
        assert counted["total"] == listed["total"], query
        assert counted["items"] == [
            {"date": day, "count": days.count(day)} for day in sorted(set(days), reverse=True)
        ], query


async def test_a_day_that_lost_its_last_photo_is_no_day(house: House) -> None:
    [photo_id] = await add_photos(house, ["a.jpg"])
    await house.ana.delete(f"/photos/{photo_id}")
    assert (await house.ana.get("/photos/timeline")).json["items"] == []
    await house.ana.post(f"/photos/{photo_id}/restore")
    assert (await house.ana.get("/photos/timeline")).json["total"] == 1


async def test_strangers_wrong_methods_and_wrong_values_are_refused(house: House) -> None:
    assert (await house.eve.get("/photos/timeline")).status == 401
    assert (await house.ana.post("/photos/timeline")).status == 405
    for query in ("by=year", "from=x", "album=x", "bbox=1"):
        assert (await house.ana.get(f"/photos/timeline?{query}")).status == 422
