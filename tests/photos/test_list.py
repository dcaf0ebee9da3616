"""GET /photos: its shape, every filter, every order, pages by offset and by cursor, totals."""

import base64
import uuid
from typing import Any

import msgspec
import pytest

from tests.house import House
from tests.photos.library import add_photos, lose

SORTS = ["taken_at", "-taken_at", "imported_at", "-imported_at", "last_modified", "-last_modified", "name", "-name"]


async def names(house: House, **query: Any) -> list[str]:
    """The file names of a list, in order; its total has to agree."""
    answer = await house.ana.get("/photos", params={"limit": 500, **query})
    assert answer.status == 200, answer
    assert answer.json["total"] == len(answer.json["items"])
    return [item["object_key"].rpartition("/")[2] for item in answer.json["items"]]


async def refused(house: House, field: str, **query: Any) -> None:
    """The query is refused with 422, naming the field."""
    answer = await house.ana.get("/photos", params=query)
    assert answer.status == 422, (query, answer)
    assert answer.json["code"] == "validation_error"
    assert [error["field"] for error in answer.json["errors"]] == [field], query


async def walk(house: House, **query: Any) -> list[str]:
    """All ids of a list, page by page along its cursors."""
    ids: list[str] = []
    cursor: str | None = None
    while True:
        page = (await house.ana.get("/photos", params={**query, **({"cursor": cursor} if cursor else {})})).json
        assert len(page["items"]) == page["limit"] or page["next_cursor"] is None
        ids += page["photo_ids"]
        cursor = page["next_cursor"]
        if cursor is None:
            return ids


def day(number: int) -> str:
    """Noon of a day."""
    return f"2024-{number // 28 + 1:02}-{number % 28 + 1:02}T12:00:00+00:00"


async def test_a_list_has_the_shape_that_clients_rely_on(house: House) -> None:
    [photo_id] = await add_photos(
        house,
        [
            {
                "key": "2024/07/IMG_0042.jpg",
                "caption": "Ana at the lake",
                "keywords": ["lake"],
                "lat": 46.1,
                "lon": 9.2,
                "taken": "2024-07-01T16:02:11+02:00",
                "sha256": "a" * 64,
            }
        ],
    )
    answer = await house.ana.get("/photos")
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    page = answer.json
    [item] = page.pop("items")
    assert page == {"total": 1, "limit": 50, "offset": 0, "photo_ids": [photo_id], "next_cursor": None}
    modified = item.pop("last_modified")
    assert item.pop("imported_at") == modified
    assert modified.endswith("000Z")
    assert item == {
        "id": photo_id,
        "object_key": "2024/07/IMG_0042.jpg",
        "description": "Ana at the lake",
        "version": 1,
        "metadata": {
            "description": "Ana at the lake",
            "keywords": ["lake"],
            "width": 4000,
            "height": 3000,
            "duration": None,
            "taken_at": "2024-07-01T16:02:11+02:00",
            "taken_at_source": "exif",
            "camera": None,
            "lens": None,
            "exposure": None,
            "f_number": None,
            "iso": None,
            "location": {"lat": 46.1, "lon": 9.2},
            "place": None,
            "favourite": False,
            "needs_line": True,
        },
        "mime_type": "image/jpeg",
        "size": 1000,
        "sha256": "a" * 64,
        "kind": "photo",
        "placeholder": None,
        "problem": None,
        "missing": False,
        "trashed": False,
        "links": {"image": f"/photos/{photo_id}/image", "thumbnail": f"/photos/{photo_id}/thumbnail"},
    }


async def test_an_empty_library_is_an_empty_list(house: House) -> None:
    empty = {"total": 0, "limit": 50, "offset": 0, "photo_ids": [], "items": [], "next_cursor": None}
    for path in ("/photos", "/api/photos", "/api/v1/photos"):
        assert (await house.ana.get(path)).json == empty


async def test_the_list_needs_credentials_and_takes_no_other_method(house: House) -> None:
    assert (await house.eve.get("/photos")).status == 401
    refusal = await house.ana.ask("PUT", "/photos")
    assert refusal.status == 405
    assert "GET" in refusal.headers["Allow"]


async def test_the_newest_capture_comes_first_and_the_later_found_of_equal_ones(house: House) -> None:
    taken = ["2024-07-01T10:00:00+00:00", "2024-07-03T10:00:00+00:00", "2024-07-02T10:00:00+00:00"]
    await add_photos(house, [{"key": f"{number}.jpg", "taken": text} for number, text in enumerate(taken)])
    await add_photos(house, [{"key": "3.jpg", "taken": taken[2]}])
    assert await names(house) == ["1.jpg", "3.jpg", "2.jpg", "0.jpg"]


async def test_capture_times_are_ordered_as_moments_and_told_as_on_the_wall(house: House) -> None:
    taken = [
        "2024-07-01T23:30:00-08:00",
        "2024-07-02T08:00:00+00:00",
        "2024-07-02T16:59:59.250+09:00",
        "2024-07-02T08:00:00.0005",
    ]
    await add_photos(house, [{"key": f"{number}.jpg", "taken": text} for number, text in enumerate(taken)])
    items = (await house.ana.get("/photos?sort=taken_at")).json["items"]
    assert [item["metadata"]["taken_at"] for item in items] == [
        "2024-07-01T23:30:00-08:00",
        "2024-07-02T16:59:59.25+09:00",
        "2024-07-02T08:00:00+00:00",
        "2024-07-02T08:00:00.0005Z",
    ]


async def test_times_before_1970_keep_their_fraction_and_day(house: House) -> None:
    await add_photos(house, [{"key": "old.jpg", "taken": "1912-02-29T23:59:59.75-00:30"}])
    [photo] = await house.photos("from=1912-02-29&to=1912-02-29")
    assert photo["metadata"]["taken_at"] == "1912-02-29T23:59:59.75-00:30"


async def test_each_filter_leaves_in_what_it_names_and_nothing_else(house: House) -> None:
    ids = await add_photos(
        house,
        [
            {"key": "a/told.jpg", "caption": "By the river", "taken": day(1)},
            {"key": "a/untold.jpg", "taken": day(2)},
            {"key": "b/lake.jpg", "keywords": ["lake", "été"], "taken": day(3)},
            {"key": "b/film.mp4", "kind": "video", "taken": day(4)},
            {"key": "here.jpg", "lat": 46.1, "lon": 9.2, "taken": day(5)},
            {"key": "loved.jpg", "taken": day(6)},
            {"key": "silent.jpg", "taken": day(7)},
            {"key": "gone.jpg", "taken": day(8)},
            {"key": "binned.jpg", "taken": day(9)},
        ],
    )
    by_name = dict(
        zip(["told", "untold", "lake", "film", "here", "loved", "silent", "gone", "binned"], ids, strict=True)
    )
    await house.ana.patch(f"/photos/{by_name['loved']}/metadata", {"favourite": True})
    await house.ana.patch(f"/photos/{by_name['silent']}/metadata", {"needs_line": False})
    await lose(house.db, "gone.jpg", by_name["gone"])
    await house.ana.delete(f"/photos/{by_name['binned']}")
    everything = ["silent.jpg", "loved.jpg", "here.jpg", "film.mp4", "lake.jpg", "untold.jpg", "told.jpg"]
    albums = {album["folder"]: album["id"] for album in (await house.ana.get("/albums")).json["items"]}
    expected: list[tuple[dict[str, str], list[str]]] = [
        ({}, everything),
        ({"q": "river"}, ["told.jpg"]),
        ({"q": ""}, everything),
        ({"untold": "true"}, ["loved.jpg", "here.jpg", "film.mp4", "lake.jpg", "untold.jpg"]),
        ({"untold": "false"}, ["silent.jpg", "told.jpg"]),
        ({"keyword": "lake"}, ["lake.jpg"]),
        ({"keyword": " e\u0301te\u0301"}, ["lake.jpg"]),  # decomposed, as a Mac may type it
        ({"keyword": "lak"}, []),
        ({"album": albums["a/"]}, ["untold.jpg", "told.jpg"]),
        ({"album": albums["b/"].upper()}, ["film.mp4", "lake.jpg"]),
        ({"album": albums[""]}, ["silent.jpg", "loved.jpg", "here.jpg"]),
        ({"album": str(uuid.uuid4())}, []),
        ({"favourite": "true"}, ["loved.jpg"]),
        ({"favourite": "false"}, [name for name in everything if name != "loved.jpg"]),
        ({"kind": "video"}, ["film.mp4"]),
        ({"kind": "photo"}, [name for name in everything if name != "film.mp4"]),
        ({"bbox": "9,46,10,47"}, ["here.jpg"]),
        ({"bbox": "9.2,46.1,9.2,46.1"}, ["here.jpg"]),
        ({"bbox": "10,46,9,47"}, []),
        ({"missing": "true"}, ["gone.jpg"]),
        ({"trashed": "true"}, ["binned.jpg"]),
        ({"missing": "false", "trashed": "false"}, everything),
        ({"from": "2024-01-06"}, ["silent.jpg", "loved.jpg", "here.jpg"]),
        ({"to": "2024-01-03"}, ["untold.jpg", "told.jpg"]),
        ({"kind": "photo", "untold": "true", "from": "2024-01-04", "to": "2024-01-06"}, ["here.jpg", "lake.jpg"]),
        ({"q": "lake", "keyword": "lake", "album": albums["b/"], "favourite": "false"}, ["lake.jpg"]),
        ({"q": "lake", "keyword": "lake", "album": albums["a/"]}, []),
        ({"trashed": "true", "q": "binned", "untold": "true"}, ["binned.jpg"]),
    ]
    for query, wanted in expected:
        assert await names(house, **query) == wanted, query
        for sort in SORTS:
            assert sorted(await names(house, sort=sort, **query)) == sorted(wanted), (sort, query)


async def test_days_are_those_of_the_photos_own_place_and_the_last_one_is_included(house: House) -> None:
    await add_photos(
        house,
        [
            {"key": "tokyo.jpg", "taken": "2024-07-02T00:10:00+09:00"},  # 1 July in UTC
            {"key": "hawaii.jpg", "taken": "2024-07-01T23:50:00-10:00"},  # 2 July in UTC
            {"key": "nowhere.jpg", "taken": "2024-07-01T23:59:59.999999"},
        ],
    )
    assert await names(house, **{"from": "2024-07-02"}) == ["tokyo.jpg"]
    assert await names(house, to="2024-07-01") == ["hawaii.jpg", "nowhere.jpg"]
    assert await names(house, **{"from": "2024-07-01", "to": "2024-07-02"}) == [
        "hawaii.jpg",
        "nowhere.jpg",
        "tokyo.jpg",
    ]


async def test_times_bound_moments_from_the_first_up_to_but_without_the_last(house: House) -> None:
    await add_photos(
        house, [{"key": f"{hour}.jpg", "taken": f"2024-07-01T{hour}:00:00+02:00"} for hour in ("10", "11", "12")]
    )
    assert await names(house, **{"from": "2024-07-01T09:00:00Z"}) == ["12.jpg", "11.jpg"]
    assert await names(house, **{"to": "2024-07-01T11:00:00+02:00"}) == ["10.jpg"]
    assert await names(house, **{"from": "2024-07-01t08:30:00z", "to": "2024-07-01"}) == ["12.jpg", "11.jpg"]
    unencoded = await house.ana.get("/photos?from=2024-07-01T11:00:00+02:00")
    assert unencoded.json["total"] == 2, "a + that was not encoded is a space by the time it arrives"


async def test_a_box_may_lie_across_the_date_line(house: House) -> None:
    await add_photos(
        house,
        [
            {"key": "fiji.jpg", "lat": -17.0, "lon": 178.5},
            {"key": "samoa.jpg", "lat": -13.8, "lon": -172.0},
            {"key": "lima.jpg", "lat": -12.0, "lon": -77.0},
            {"key": "nowhere.jpg"},
        ],
    )
    assert sorted(await names(house, bbox="170,-20,-170,-10")) == ["fiji.jpg", "samoa.jpg"]
    assert sorted(await names(house, bbox="-180,-90,180,90")) == ["fiji.jpg", "lima.jpg", "samoa.jpg"]


async def test_what_makes_no_sense_is_refused_naming_the_field(house: House) -> None:
    for limit in ("0", "501", "-1", "ten", "1.5", "", "99999999999999999999"):
        await refused(house, "limit", limit=limit)
    for offset in ("-1", "x", "9999999999999999999999"):
        await refused(house, "offset", offset=offset)
    for album in ("x", "../..", "0" * 32, ""):
        await refused(house, "album", album=album)
    for moment in (
        "yesterday",
        "2024-13-01",
        "2024-02-30",
        "2024-07-01T25:00:00Z",
        "2024-07-01T10:00:00",
        "0000-01-01",
        "",
    ):
        await refused(house, "from", **{"from": moment})
        await refused(house, "to", to=moment)
    for bbox in ("", "1,2,3", "1,2,3,4,5", "a,b,c,d", "nan,0,1,1", "0,0,inf,1", "-181,0,1,1", "0,2,1,1", "0,0,0,91"):
        await refused(house, "bbox", bbox=bbox)
    await refused(house, "kind", kind="painting")
    await refused(house, "sort", sort="size")
    await refused(house, "untold", untold="maybe")
    await refused(house, "q", q="x" * 1001)


async def test_what_is_wrong_is_told_though_nothing_could_be_found_anyway(house: House) -> None:
    for nothing in ({"q": "!!!"}, {"album": str(uuid.uuid4())}, {"kind": "video"}):
        await refused(house, "from", **nothing, **{"from": "x"})
        await refused(house, "bbox", **nothing, bbox="x")
        await refused(house, "cursor", **nothing, cursor="x")
        assert await names(house, **nothing) == []


async def test_limits_from_1_to_500_are_taken(house: House) -> None:
    await add_photos(house, [f"{number}.jpg" for number in range(3)])
    one = (await house.ana.get("/photos?limit=1")).json
    assert (one["limit"], len(one["items"]), one["total"]) == (1, 1, 3)
    assert (await house.ana.get("/photos?limit=500")).json["limit"] == 500


async def test_every_order_is_total_both_ways_with_ties_broken_by_capture(house: House) -> None:
    keys = ["b.jpg", "a.jpg", "Z.jpg", "é.jpg", "a/x.jpg", "c.jpg"]
    await add_photos(house, [{"key": key, "taken": day(1)} for key in keys])  # one import time, one edit time
    await add_photos(house, [{"key": "later.jpg", "taken": day(0)}])
    [first] = [photo for photo in await house.photos() if photo["object_key"] == "a.jpg"]
    await house.ana.patch(f"/photos/{first['id']}/metadata", {"favourite": True})

    async def order(sort: str) -> list[str]:
        return [photo["object_key"] for photo in await house.photos(f"sort={sort}")]

    assert await order("name") == sorted([*keys, "later.jpg"], key=lambda key: key.encode())
    assert await order("taken_at") == ["later.jpg", *keys]
    assert await order("imported_at") == [*keys, "later.jpg"]
    assert await order("last_modified") == [*(key for key in keys if key != "a.jpg"), "later.jpg", "a.jpg"]
    for sort in ("name", "taken_at", "imported_at", "last_modified"):
        assert await order(f"-{sort}") == list(reversed(await order(sort)))


async def test_any_offset_gives_the_plain_order_from_there(house: House) -> None:
    ids = await add_photos(house, [{"key": f"{number}.jpg", "taken": day(number // 3)} for number in range(23)])
    ids.reverse()
    for offset in (0, 1, 10, 11, 12, 13, 18, 21, 22, 23, 24, 1000, 2**40):
        for limit in (1, 5, 11, 12, 30):
            page = (await house.ana.get(f"/photos?offset={offset}&limit={limit}")).json
            assert page["photo_ids"] == ids[offset : offset + limit], (offset, limit)
            assert [item["id"] for item in page["items"]] == page["photo_ids"]
            assert (page["offset"], page["total"]) == (offset, 23)
            assert (page["next_cursor"] is None) == (offset + limit >= 23)
            if page["next_cursor"]:
                rest = (await house.ana.get(f"/photos?limit=500&cursor={page['next_cursor']}")).json["photo_ids"]
                assert rest == ids[offset + limit :]


@pytest.mark.parametrize("sort", SORTS)
async def test_pages_by_cursor_are_complete_and_disjoint_while_rows_come_and_go(house: House, sort: str) -> None:
    ids = await add_photos(house, [{"key": f"m{number}.jpg", "taken": day(10 + number % 4)} for number in range(20)])
    gone = set(ids[::7])
    seen: list[str] = []
    cursor = ""
    for turn in range(40):
        page = (await house.ana.get(f"/photos?sort={sort}&limit=3" + (cursor and f"&cursor={cursor}"))).json
        seen += page["photo_ids"]
        if page["next_cursor"] is None:
            break
        cursor = page["next_cursor"]
        # Rows come before, among and behind what was seen, and others go.
        if turn < 5:
            for number in (5, 11, 30):
                await add_photos(house, [{"key": f"{'ams'[number % 3]}-{turn}-{number}.jpg", "taken": day(number)}])
        if turn == 1:
            for photo_id in gone:
                await house.ana.delete(f"/photos/{photo_id}")
    else:
        pytest.fail("the pages do not end")
    assert len(seen) == len(set(seen)), "no row twice"
    assert set(ids) - gone <= set(seen), "none that was there all the time is left out"


async def test_a_cursor_is_refused_where_it_was_not_made(house: House) -> None:
    await add_photos(house, [f"{number}.jpg" for number in range(3)])

    def made(*parts: Any) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(parts)).decode()

    foreign = (await house.ana.get("/photos?limit=1&sort=name")).json["next_cursor"]
    untold = (await house.ana.get("/photos/untold?limit=1")).json["next_cursor"]
    forged = [
        "x",
        "!!!",
        "%00",
        "é",
        "null",
        "[]",
        "1",
        foreign,
        untold or "untold",
        made(),
        made("-taken_at"),
        made("-taken_at", 1),
        made("-taken_at", "a", 1),
        made("-taken_at", 1, "a"),
        made("-taken_at", 1, 2**64),
        made("-taken_at", 2**70, 1),
        made("-taken_at", 1.5, 1),
        made("-taken_at", 1, True),
        made("-taken_at", 1, None),
        made("-taken_at", 1, 1, 1),
        made("name", "a", 1),
        made("size", 1, 1),
        made({"a": 1}, 1, 1),
        "A" * 5000,
    ]
    for cursor in forged:
        await refused(house, "cursor", cursor=cursor)
    await refused(house, "cursor", sort="name", cursor=made("name", 1, 1))


async def test_a_total_is_exact_after_every_kind_of_write(house: House) -> None:
    async def totals() -> list[int]:
        queries = (
            "",
            "untold=true",
            "favourite=true",
            "keyword=lake",
            "q=lake",
            "trashed=true",
            "missing=true",
            "kind=photo&from=2024-01-01",
        )
        return [(await house.ana.get(f"/photos?limit=1&{query}")).json["total"] for query in queries]

    assert await totals() == [0, 0, 0, 0, 0, 0, 0, 0]
    ids = await add_photos(house, [f"{number}.jpg" for number in range(4)])
    assert await totals() == [4, 4, 0, 0, 0, 0, 0, 4]
    await house.ana.patch(f"/photos/{ids[0]}/metadata", {"description": "The lake", "favourite": True})
    assert await totals() == [4, 3, 1, 0, 1, 0, 0, 4]
    await house.ana.post("/photos/batch", {"photo_ids": ids[:3], "add_keywords": ["lake"]})
    assert await totals() == [4, 3, 1, 3, 3, 0, 0, 4]
    await house.ana.delete(f"/photos/{ids[0]}")
    assert await totals() == [3, 3, 0, 2, 2, 1, 0, 3]
    await lose(house.db, "3.jpg", ids[3])
    assert await totals() == [2, 2, 0, 2, 2, 1, 1, 2]
    await house.ana.post(f"/photos/{ids[0]}/restore")
    assert await totals() == [3, 2, 1, 3, 3, 0, 1, 3]
    await house.ana.post(f"/photos/{ids[0]}/history/2/restore")
    await house.ana.patch(f"/photos/{ids[0]}/metadata", {"description": "", "taken_at": "1999-01-01T00:00:00Z"})
    assert await totals() == [3, 3, 1, 3, 3, 0, 1, 2]
    assert (await house.ana.delete(f"/photos/{ids[3]}?permanently=true")).status == 204
    assert await totals() == [3, 3, 1, 3, 3, 0, 0, 2]


async def test_a_filtered_list_has_pages_as_well(house: House) -> None:
    ids = await add_photos(
        house, [{"key": f"{number}.jpg", "keywords": ["odd"] if number % 2 else ["even"]} for number in range(21)]
    )
    odd = [photo_id for number, photo_id in enumerate(ids) if number % 2]
    for query in (
        {"keyword": "odd"},
        {"q": "odd"},
        {"keyword": "odd", "untold": "true"},
        {"q": "odd", "kind": "photo"},
    ):
        for sort in SORTS:
            assert sorted(await walk(house, limit=4, sort=sort, **query)) == sorted(odd), (query, sort)
        assert await walk(house, limit=4, **query) == odd[::-1]


async def test_names_beyond_any_letter_are_listed(house: House) -> None:
    keys = ["a.jpg", "\U0010ffff\U0010ffff.jpg", "\U0010fffd.jpg"]
    await add_photos(house, keys)
    assert [photo["object_key"] for photo in await house.photos("sort=-name")] == sorted(keys, reverse=True)
