"""GET /albums: the library's folders."""

import uuid

from tests.house import House
from tests.photos.library import add_photos


async def test_folders_are_albums_by_path(house: House) -> None:
    ids = await add_photos(
        house,
        [
            {"key": "2024/07/a.jpg", "taken": "2024-07-01T16:02:11.5+02:00"},
            {"key": "2024/07/b.jpg", "taken": "2024-07-30T10:00:00"},
            {"key": "root.jpg"},
            {"key": "2023/x.jpg"},
            {"key": "Ünter/y.jpg"},
        ],
    )
    page = (await house.ana.get("/albums")).json
    assert {name: page[name] for name in ("total", "limit", "offset", "next_cursor")} == {
        "total": 4,
        "limit": 50,
        "offset": 0,
        "next_cursor": None,
    }
    assert [(album["folder"], album["title"], album["photos"]) for album in page["items"]] == [
        ("", "Photos", 1),
        ("2023/", "2023", 1),
        ("2024/07/", "07", 2),
        ("Ünter/", "Ünter", 1),
    ]
    july = page["items"][2]
    assert {name: value for name, value in july.items() if name != "id"} == {
        "title": "07",
        "folder": "2024/07/",
        "read_only": True,
        "photos": 2,
        "first_at": "2024-07-01T14:02:11.500000Z",
        "last_at": "2024-07-30T10:00:00.000000Z",
    }
    assert (await house.ana.get(f"/albums/{july['id']}")).json == july
    assert [photo["id"] for photo in await house.photos(f"album={july['id']}")] == ids[1::-1]


async def test_pages_by_cursor_and_by_offset_are_complete(house: House) -> None:
    await add_photos(house, ["root.jpg", *(f"{number:02}/a.jpg" for number in range(10))])
    folders = ["", *(f"{number:02}/" for number in range(10))]
    for limit in (1, 3, 11, 12):
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = (await house.ana.get(f"/albums?limit={limit}&cursor={cursor}")).json
            assert page["total"] == 11
            seen += [album["folder"] for album in page["items"]]
            cursor = page["next_cursor"]
        assert seen == folders, limit
    page = (await house.ana.get("/albums?limit=3&offset=9")).json
    assert ([album["folder"] for album in page["items"]], page["offset"], page["next_cursor"]) == (folders[9:], 9, None)


async def test_an_album_is_there_as_long_as_it_has_photos(house: House) -> None:
    one, two = await add_photos(house, ["a/1.jpg", "a/2.jpg"])
    [album] = (await house.ana.get("/albums")).json["items"]
    await house.ana.delete(f"/photos/{one}")
    assert (await house.ana.get(f"/albums/{album['id']}")).json["photos"] == 1
    await house.ana.delete(f"/photos/{two}")
    assert (await house.ana.get("/albums")).json["items"] == []
    gone = await house.ana.get(f"/albums/{album['id']}")
    assert (gone.status, gone.json["detail"]) == (404, "Album not found")
    await house.ana.post(f"/photos/{two}/restore")
    assert (await house.ana.get(f"/albums/{album['id']}")).json["photos"] == 1


async def test_what_is_not_there_or_makes_no_sense_is_refused(house: House) -> None:
    await add_photos(house, ["a/1.jpg", "b/1.jpg"])
    assert (await house.ana.get(f"/albums/{uuid.uuid4()}")).status == 404
    assert (await house.ana.get("/albums/x")).status == 422
    keywords_cursor = "WyJrZXl3b3JkcyIsImEiXQ"
    for query in ("limit=0", "limit=501", "cursor=a", f"cursor={keywords_cursor}", "offset=-1"):
        assert (await house.ana.get(f"/albums?{query}")).status == 422, query
    assert (await house.eve.get("/albums")).status == 401
    assert (await house.ana.ask("PUT", "/albums")).status == 405
