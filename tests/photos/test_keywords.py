"""GET /keywords: what people call things, with counts."""

from tests.house import House
from tests.photos.library import add_photos, lose


async def test_keywords_come_with_their_counts_from_a_to_z(house: House) -> None:
    await add_photos(
        house,
        [
            {"key": "1.jpg", "keywords": ["lake", "ana"]},
            {"key": "2.jpg", "keywords": ["lake", "Été", "Lake"]},
            {"key": "3.jpg"},
        ],
    )
    assert (await house.ana.get("/keywords")).json == {
        "total": 4, "limit": 50, "offset": 0, "next_cursor": None,
        "items": [
            {"keyword": "Lake", "count": 1}, {"keyword": "ana", "count": 1}, {"keyword": "lake", "count": 2},
            {"keyword": "Été", "count": 1},
        ],
    }  # fmt: skip


async def test_a_prefix_leaves_those_that_start_so(house: House) -> None:
    await add_photos(
        house,
        [
            {
                "key": "1.jpg",
                "keywords": ["la", "lake", "lakeside", "lb", "l%", "l_", "été", "\U0010fffdx", "l\U0010fffd"],
            }
        ],
    )

    async def starting(prefix: str) -> list[str]:
        page = (await house.ana.get("/keywords", params={"prefix": prefix})).json
        assert page["total"] == len(page["items"])
        return [item["keyword"] for item in page["items"]]

    assert await starting("la") == ["la", "lake", "lakeside"]
    assert await starting("lake") == ["lake", "lakeside"]
    assert await starting("l%") == ["l%"]
    assert await starting("l") == ["l%", "l_", "la", "lake", "lakeside", "lb", "l\U0010fffd"]
    assert await starting("e\u0301") == ["été"]
    assert await starting("z") == []


async def test_counts_follow_every_write(house: House) -> None:
    ids = await add_photos(house, [{"key": f"{number}.jpg", "keywords": ["lake"]} for number in range(3)])

    async def counts() -> dict[str, int]:
        page = (await house.ana.get("/keywords")).json
        assert page["total"] == len(page["items"])
        return {item["keyword"]: item["count"] for item in page["items"]}

    assert await counts() == {"lake": 3}
    await house.ana.delete(f"/photos/{ids[0]}")
    assert await counts() == {"lake": 2}
    await lose(house.db, "1.jpg", ids[1])
    assert await counts() == {"lake": 1}
    await house.ana.patch(f"/photos/{ids[2]}/metadata", {"keywords": ["sea"], "taken_at": "1999-01-01T00:00:00Z"})
    assert await counts() == {"sea": 1}
    await house.ana.post(f"/photos/{ids[0]}/restore")
    assert await counts() == {"lake": 1, "sea": 1}


async def test_pages_are_complete(house: House) -> None:
    words = [f"{number:02}" for number in range(10)]
    await add_photos(house, [{"key": "1.jpg", "keywords": words}, {"key": "2.jpg", "keywords": words[::2]}])
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await house.ana.get(f"/keywords?limit=3&prefix=0&cursor={cursor}")).json
        seen += [item["keyword"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == words
    page = (await house.ana.get("/keywords?limit=3&offset=8")).json
    assert [item["keyword"] for item in page["items"]] == words[8:]


async def test_strangers_and_what_makes_no_sense_are_refused(house: House) -> None:
    assert (await house.eve.get("/keywords")).status == 401
    assert (await house.ana.post("/keywords")).status == 405
    for query in ("limit=0", "limit=501", "cursor=x", "cursor=WyJhbGJ1bXMiLCJhIl0", "prefix=" + "x" * 201):
        assert (await house.ana.get(f"/keywords?{query}")).status == 422, query
