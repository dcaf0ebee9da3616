"""Many clients, one photo: each edit is applied or told 412, and the history has exactly the applied ones."""

import asyncio

from tests.house import House
from tests.photos.library import add_photos

CLIENTS, EDITS = 16, 6


async def test_sixteen_clients_editing_one_photo_lose_nothing_and_see_no_other_ones_edit_undone(house: House) -> None:
    [photo] = await add_photos(house, ["a.jpg"])
    applied: dict[int, str] = {}
    refused = 0

    async def write(client: int) -> None:
        nonlocal refused
        version = 1
        for number in range(EDITS):
            line = f"client {client}, line {number}"
            answer = await house.ana.patch(
                f"/photos/{photo}/metadata", {"description": line}, headers={"If-Match": f'"{version}"'}
            )
            if answer.status == 200:
                version = answer.json["version"]
                assert version not in applied
                assert answer.json["description"] == line
                applied[version] = line
            else:
                assert answer.status == 412
                refused += 1
                version = answer.json["current"]["version"]

    await asyncio.gather(*(write(client) for client in range(CLIENTS)))
    assert len(applied) + refused == CLIENTS * EDITS
    assert refused > 0
    assert sorted(applied) == list(range(2, len(applied) + 2)), "one version an edit, none left out"
    history = (await house.ana.get(f"/photos/{photo}/history")).json["items"]
    assert {line["version"]: line["description"] for line in history} == applied
    current = (await house.ana.get(f"/photos/{photo}")).json
    assert (current["version"], current["description"]) == (max(applied), applied[max(applied)])
    feed = [row for row in await house.db.rows("changes.since", seq=0, limit=1000) if row["entity_id"] == photo]
    assert [row["version"] for row in feed] == [1, *sorted(applied)]
    assert [item["id"] for item in await house.photos(f'q="{current["description"]}"')] == [photo]


async def test_edits_without_a_base_are_all_applied(house: House) -> None:
    [photo] = await add_photos(house, ["a.jpg"])
    answers = await asyncio.gather(
        *(house.ana.patch(f"/photos/{photo}/metadata", {"description": f"line {number}"}) for number in range(CLIENTS))
    )
    assert sorted(answer.json["version"] for answer in answers) == list(range(2, CLIENTS + 2))
    assert len({answer.json["last_modified"] for answer in answers}) == CLIENTS
    assert (await house.ana.get(f"/photos/{photo}/history")).json["total"] == CLIENTS


async def test_lists_read_while_photos_are_written_are_whole(house: House) -> None:
    ids = await add_photos(house, [f"{number}.jpg" for number in range(40)])

    async def read() -> None:
        for _ in range(10):
            page = (await house.ana.get("/photos?limit=500")).json
            assert page["photo_ids"] == ids[::-1]
            assert page["total"] == 40

    async def write() -> None:
        for photo_id in ids:
            await house.ana.patch(f"/photos/{photo_id}/metadata", {"description": "told", "keywords": ["a", "b"]})

    await asyncio.gather(read(), write(), read())
    assert (await house.ana.get("/photos?q=told&keyword=a&untold=false&limit=1")).json["total"] == 40
