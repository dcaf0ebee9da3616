"""GET /photos/untold: the queue of photos that still have no line."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.house import House
from tests.photos.library import add_photos, lose


def second(number: int, day: int = 1) -> str:
    """A time in UTC, so many seconds after ten."""
    return (datetime(2024, 7, day, 10, tzinfo=UTC) + timedelta(seconds=number)).isoformat()


async def told(house: House, query: str = "") -> Any:
    """The queue."""
    answer = await house.ana.get(f"/photos/untold?{query}")
    assert answer.status == 200, answer
    for group in answer.json["groups"]:
        assert group["count"] == len(group["photos"])
        assert group["to"] == group["photos"][0]["metadata"]["taken_at"]
        assert group["from"] == group["photos"][-1]["metadata"]["taken_at"]
    return answer.json


def keys(queue: Any) -> list[list[str]]:
    """The groups by file name."""
    return [[photo["object_key"] for photo in group["photos"]] for group in queue["groups"]]


async def test_photos_of_a_burst_stand_together_newest_first(house: House) -> None:
    await add_photos(
        house,
        [
            {"key": "a.jpg", "taken": second(0)},
            {"key": "b.jpg", "taken": second(120)},
            {"key": "c.jpg", "taken": second(240)},
            {"key": "d.jpg", "taken": second(361)},
            {"key": "e.jpg", "taken": second(0, day=3)},
        ],
    )
    queue = await told(house)
    assert keys(queue) == [["e.jpg"], ["d.jpg"], ["c.jpg", "b.jpg", "a.jpg"]]
    assert queue["total"] == 5
    assert queue["next_cursor"] is None
    group = {name: value for name, value in queue["groups"][2].items() if name != "photos"}
    assert group == {
        "day": "2024-07-01",
        "from": "2024-07-01T10:00:00+00:00",
        "to": "2024-07-01T10:04:00+00:00",
        "count": 3,
    }
    assert queue["groups"][0]["photos"][0] == (await house.photos())[0]


async def test_a_burst_ends_at_midnight_where_it_was_taken(house: House) -> None:
    await add_photos(
        house,
        [
            {"key": "before.jpg", "taken": "2024-07-01T23:59:30+09:00"},
            {"key": "after.jpg", "taken": "2024-07-02T00:00:30+09:00"},
            {"key": "x.jpg", "taken": "2024-07-05T23:59:30+00:00"},
            {"key": "y.jpg", "taken": "2024-07-06T02:00:30+02:00"},
        ],
    )
    queue = await told(house)
    assert keys(queue) == [["y.jpg"], ["x.jpg"], ["after.jpg"], ["before.jpg"]]
    assert [group["day"] for group in queue["groups"]] == ["2024-07-06", "2024-07-05", "2024-07-02", "2024-07-01"]


async def test_a_burst_is_kept_whole_over_pages_where_it_fits(house: House) -> None:
    # Three bursts of 4, 3 and 5, ten minutes apart.
    photos = [
        {"key": f"{burst}{number}.jpg", "taken": second(600 * burst + number)}
        for burst, size in enumerate((5, 3, 4))
        for number in range(size)
    ]
    await add_photos(house, photos)
    pages, cursor = [], ""
    while True:
        queue = await told(house, f"limit=6&cursor={cursor}")
        assert queue["total"] == 12
        pages.append([len(group) for group in keys(queue)])
        if queue["next_cursor"] is None:
            break
        cursor = queue["next_cursor"]
    assert pages == [[4], [3], [5]]


async def test_a_burst_larger_than_a_page_goes_on_on_the_next(house: House) -> None:
    await add_photos(house, [{"key": f"{number:02}.jpg", "taken": second(number)} for number in range(10)])
    seen, cursor = [], ""
    for _ in range(4):
        queue = await told(house, f"limit=3&cursor={cursor}")
        [group] = keys(queue)
        seen += group
        cursor = queue["next_cursor"] or ""
    assert seen == [f"{number:02}.jpg" for number in reversed(range(10))]
    assert cursor == ""


async def test_pages_are_complete_while_lines_are_written(house: House) -> None:
    ids = await add_photos(house, [{"key": f"{number:02}.jpg", "taken": second(600 * number)} for number in range(9)])
    seen, cursor = [], ""
    while True:
        queue = await told(house, f"limit=2&cursor={cursor}")
        seen += [photo["id"] for group in queue["groups"] for photo in group["photos"]]
        for photo_id in seen[-2:]:
            await house.ana.patch(f"/photos/{photo_id}/metadata", {"description": "told"})
        if queue["next_cursor"] is None:
            break
        cursor = queue["next_cursor"]
    assert seen == ids[::-1]
    rest = await told(house)
    assert (rest["groups"], rest["total"]) == ([], 0)


async def test_years_tell_the_progress_of_the_whole_library(house: House) -> None:
    ids = await add_photos(
        house,
        [
            {"key": "a.jpg", "taken": "2023-12-31T23:30:00-05:00"},
            {"key": "b.jpg", "taken": "2024-01-01T10:00:00+00:00", "caption": "x"},
            {"key": "c.jpg", "taken": "2024-01-01T10:00:00+00:00"},
            {"key": "d.jpg", "taken": "1950-01-01T10:00:00"},
            {"key": "e.jpg"},
            {"key": "f.jpg"},
        ],
    )
    await house.ana.delete(f"/photos/{ids[4]}")
    await lose(house.db, "f.jpg", ids[5])
    years = [
        {"year": 2024, "photos": 2, "untold": 1},
        {"year": 2023, "photos": 1, "untold": 1},
        {"year": 1950, "photos": 1, "untold": 1},
    ]
    queue = await told(house)
    assert (queue["years"], queue["total"]) == (years, 3)
    page = await told(house, "limit=1")
    assert (page["years"], page["total"]) == (years, 3)


async def test_a_line_and_the_answer_that_none_is_needed_both_take_a_photo_out(house: House) -> None:
    one, two = await add_photos(house, [{"key": "1.jpg", "taken": second(0)}, {"key": "2.jpg", "taken": second(1)}])
    await house.ana.patch(f"/photos/{one}/metadata", {"needs_line": False})
    assert keys(await told(house)) == [["2.jpg"]]
    await house.ana.post("/photos/batch", {"photo_ids": [one, two], "description": "One line for both"})
    queue = await told(house)
    assert (queue["groups"], queue["total"], queue["years"]) == ([], 0, [{"year": 2024, "photos": 2, "untold": 0}])
    await house.ana.patch(f"/photos/{two}/metadata", {"description": ""})
    assert keys(await told(house)) == [["2.jpg"]]


async def test_what_makes_no_sense_is_refused(house: House) -> None:
    await add_photos(house, [{"key": f"{number}.jpg", "taken": second(600 * number)} for number in range(3)])
    other = (await house.ana.get("/photos?limit=1")).json["next_cursor"]
    for query in (
        "limit=0",
        "limit=501",
        f"cursor={other}",
        "cursor=x",
        "cursor=--5",
        "cursor=-",
        "cursor=" + "9" * 5000,
        "cursor=5",
    ):
        assert (await house.ana.get(f"/photos/untold?{query}")).status == 422, query[:40]
    assert (await house.eve.get("/photos/untold")).status == 401
    assert (await house.ana.post("/photos/untold")).status == 405
    assert (await (await house.key("read")).get("/photos/untold")).status == 200
