"""POST /sync/edits: answered one by one, and always the same."""

import asyncio
import uuid
from typing import Any

import msgspec
import pytest

from tagline.api import Identity
from tagline.db import Tx
from tagline.photos.lines import BATCH_STEP
from tagline.sync.edits import merge
from tests.house import House, behind_its_back
from tests.photos.library import add_photos, peek
from tests.sync.editing import AT, edit, history, new_photo, send

DAY = 24 * 3600 * 1_000_000


async def test_an_edit_is_applied_as_any_other(house: House) -> None:
    photo = await new_photo(house)
    sent = edit(photo, 1, description="  At the lake ", keywords=["lake", "lake", " a  b "], favourite=True,
                needs_line=False)  # fmt: skip
    [result] = await send(house.ana, sent)
    now = (await house.ana.get(f"/photos/{photo}")).json
    assert result == {
        "edit_id": sent["edit_id"], "status": "applied", "photo": now, "kept": None, "detail": None,
    }  # fmt: skip
    assert (now["version"], now["description"]) == (2, "At the lake")
    metadata = now["metadata"]
    assert (metadata["keywords"], metadata["favourite"], metadata["needs_line"]) == (["lake", "a b"], True, False)
    assert await history(house.ana, photo) == [(2, "At the lake", "edit", True)]
    assert [found["id"] for found in await house.photos("q=lake")] == [photo]


async def test_an_edit_that_says_what_is_so_already_makes_no_version(house: House) -> None:
    photo = await new_photo(house, caption="As it is")
    [result] = await send(house.ana, edit(photo, 1, description="As it is", favourite=False))
    assert (result["status"], result["photo"]["version"]) == ("applied", 1)
    [result] = await send(house.ana, edit(photo, 1))
    assert (result["status"], result["photo"]["version"]) == ("applied", 1)


async def test_ids_may_be_in_capitals(house: House) -> None:
    photo = await new_photo(house)
    sent = edit(photo.upper(), 1, description="x")
    sent["edit_id"] = sent["edit_id"].upper()
    [result] = await send(house.ana, sent)
    assert (result["status"], result["edit_id"]) == ("applied", sent["edit_id"].lower())
    sent["edit_id"] = sent["edit_id"].lower()
    assert await send(house.ana, sent) == [result]


WRONG: list[tuple[Any, str]] = [
    ({"photo_id": "x"}, "photo_id: is not a UUID"),
    ({"photo_id": None}, "photo_id"),
    ({"base_version": 0}, "base_version"),
    ({"base_version": "1"}, "base_version"),
    ({"base_version": 2**60}, "base_version"),
    ({"description": "x" * 10_001}, "description: is longer than 10000 characters"),
    ({"description": "a\x00b"}, "description: contains a NUL character"),
    ({"description": None}, "description"),
    ({"description": 5}, "description"),
    ({"keywords": "lake"}, "keywords"),
    ({"keywords": ["x" * 201]}, "keywords: has one of more than 200 characters"),
    ({"keywords": [f"{number}" for number in range(101)]}, "keywords: are more than 100"),
    ({"favourite": "yes"}, "favourite: is neither true nor false"),
    ({"needs_line": None}, "needs_line"),
    ({"edited_at": "yesterday"}, "edited_at: not an RFC 3339 time"),
    ({"edited_at": 5}, "edited_at"),
    ({"taken_at": AT}, "taken_at: is not known here"),
]


@pytest.mark.parametrize(("wrong", "told"), WRONG, ids=lambda value: str(value)[:40])
async def test_a_wrong_edit_is_told_so_and_stops_no_other(house: House, wrong: Any, told: str) -> None:
    photo = await new_photo(house, caption="Before")
    before = (await house.ana.get(f"/photos/{photo}")).json
    bad = {**edit(photo, 1, favourite=True), **wrong}
    good = edit(await new_photo(house), 1, description="Good")
    first, second = await send(house.ana, bad, good)
    assert (first["edit_id"], first["status"], first["kept"]) == (bad["edit_id"], "invalid", None)
    assert first["detail"].startswith(told)
    assert first["photo"] in (None, before)
    assert second["status"] == "applied"
    assert (await house.ana.get(f"/photos/{photo}")).json == before
    [again] = await send(house.ana, bad)
    assert again == first


async def test_what_cannot_be_told_apart_is_invalid_too(house: House) -> None:
    results = await send(house.ana, {}, None, 5, "x", [], {"edit_id": "x"}, {"edit_id": None}, {"edit_id": 5})
    assert {result["status"] for result in results} == {"invalid"}
    assert {(result["edit_id"], result["photo"]) for result in results} == {(None, None)}
    assert all(result["detail"] for result in results)
    missing = {name: value for name, value in edit(str(uuid.uuid4()), 1).items() if name != "edited_at"}
    [result] = await send(house.ana, missing)
    assert (result["status"], result["detail"]) == ("invalid", "edited_at: is missing")


async def test_a_photo_that_is_not_there_is_not_found(house: House) -> None:
    gone = edit(str(uuid.uuid4()), 1, description="x")
    [result] = await send(house.ana, gone)
    assert result == {
        "edit_id": gone["edit_id"], "status": "not_found", "photo": None, "kept": None, "detail": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    "body", [{}, {"edits": None}, {"edits": {}}, {"edits": [], "more": 1}, {"edits": [{}] * 1001}, [], 5, "x"]
)
async def test_only_a_body_of_another_shape_is_refused(house: House, body: Any) -> None:
    answer = await house.ana.post("/api/sync/edits", body)
    assert (answer.status, answer.json["code"]) == (400, "validation_error")


async def test_none_and_a_thousand_edits_are_taken(house: House) -> None:
    assert await send(house.ana) == []
    photos = await add_photos(house, [f"{number}.jpg" for number in range(50)])
    results = await send(house.ana, *(edit(photos[n % 50], 1, favourite=n // 50 % 2 == 0) for n in range(1000)))
    assert [result["photo"]["version"] for result in results] == [2 + n // 50 for n in range(1000)]


async def test_where_the_disk_becomes_full_on_the_way_what_was_written_is_answered(house: House) -> None:
    photos = await add_photos(house, [f"{number}.jpg" for number in range(120)])
    sent = [edit(photo, 1, description=f"{number} " + "x" * 9000) for number, photo in enumerate(photos)]

    def room(tx: Tx, more: int) -> None:
        [pages] = tx._connection.execute("pragma page_count").fetchone()
        tx._connection.execute(f"pragma max_page_count = {pages + more}")

    await house.db.write(room, 10)
    full = await house.ana.post("/api/sync/edits", {"edits": sent[:50]})
    assert (full.status, full.json["code"]) == (507, "disk_full")
    await house.db.write(room, 1800)
    results = (await house.ana.post("/api/sync/edits", {"edits": sent[:100]})).json["results"]
    assert [result["status"] for result in results] == ["applied"] * BATCH_STEP
    await house.db.write(room, 10**6)
    again = await send(house.ana, *sent[:100])
    assert again[:BATCH_STEP] == results
    assert {result["photo"]["version"] for result in again} == {2}


async def test_readers_and_strangers_may_not_edit(house: House) -> None:
    photo = await new_photo(house)
    body = {"edits": [edit(photo, 1, description="x")]}
    for scope in ("read", "upload"):
        assert (await (await house.key(scope)).post("/api/sync/edits", body)).status == 403
    assert (await house.eve.post("/api/sync/edits", body)).status == 401
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        answer = await house.ana.ask(method, "/api/v1/sync/edits")
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert (await house.ana.post("/api/sync/edits", data=b"x")).status == 415
    assert (await house.ana.post("/api/v1/sync/edits", body)).json["results"][0]["status"] == "applied"


async def test_an_edit_that_comes_again_gets_its_first_answer_word_for_word(home: House) -> None:
    photo = await new_photo(home)
    body = {"edits": [edit(photo, 1, description="First"), edit(str(uuid.uuid4()), 1), edit(photo, 1, keywords=["a"])]}
    first = await home.ana.post("/api/sync/edits", body)
    await home.ben.patch(f"/photos/{photo}/metadata", {"description": "Since then"})
    # Whatever it says now.
    body["edits"][0]["description"] = "Something else"
    again = await home.ana.post("/api/sync/edits", body)
    assert again.body == first.body
    assert (await home.ana.get(f"/photos/{photo}")).json["description"] == "Since then"
    assert len(await history(home.ana, photo)) == 2


async def test_the_same_id_from_another_account_is_another_edit(home: House) -> None:
    photo = await new_photo(home)
    mine = edit(photo, 1, description="By ana")
    await send(home.ana, mine)
    [result] = await send(home.ben, {**mine, "base_version": 2, "description": "By ben"})
    assert (result["status"], result["photo"]["description"]) == ("applied", "By ben")


async def test_the_same_edit_twice_in_a_batch_and_from_many_connections_is_applied_once(house: House) -> None:
    photo = await new_photo(house)
    sent = edit(photo, 1, description="Once")
    first, second = await send(house.ana, sent, sent)
    assert first == second
    other = edit(photo, 2, description="Once again")
    answers = await asyncio.gather(*(send(house.ana, other) for _ in range(16)))
    assert all(answer == answers[0] for answer in answers)
    assert (await house.ana.get(f"/photos/{photo}")).json["version"] == 3


async def test_answers_are_remembered_for_ninety_days(house: House) -> None:
    photo = await new_photo(house)
    old, older = edit(photo, 1, description="Old"), edit(photo, 1, description="Older")
    await send(house.ana, old, older)
    for sent, days in ((old, 89), (older, 91)):
        behind_its_back(house, "update edits set at = at - ? where edit_id = ?", days * DAY, sent["edit_id"])
    await send(house.ana, edit(photo, 1, favourite=True))
    kept = {row[0] for row in peek(house.db, "select edit_id from edits")}
    assert old["edit_id"] in kept
    assert older["edit_id"] not in kept


async def test_keywords_that_become_too_many_together_are_refused_with_the_photo_as_it_is(home: House) -> None:
    photo = await new_photo(home)
    await home.ben.patch(f"/photos/{photo}/metadata", {"keywords": [f"b{number}" for number in range(60)]})
    [result] = await send(home.ana, edit(photo, 1, keywords=[f"a{number}" for number in range(60)], favourite=True))
    assert (result["status"], result["detail"]) == ("invalid", "keywords: are more than 100")
    assert result["photo"] == (await home.ana.get(f"/photos/{photo}")).json
    assert result["photo"]["metadata"]["favourite"] is False


async def test_what_is_in_the_trash_can_be_edited(house: House) -> None:
    [photo] = await add_photos(house, ["a.jpg"])
    await house.ana.delete(f"/photos/{photo}")
    [result] = await send(house.ana, edit(photo, 2, description="Still mine"))
    assert (result["status"], result["photo"]["trashed"]) == ("applied", True)


async def test_half_a_character_is_no_text(house: House) -> None:
    """JSON for HTTP cannot have one; what comes over a socket may."""
    photo = await new_photo(house)
    row = await house.db.row("accounts.owner")
    assert row is not None
    who = Identity(row["id"], "owner", "admin", "A phone")
    sent = [edit(photo, 1, description="\ud800"), edit(photo, 1, keywords=["\udfff"]), edit(photo, 1, **{"\ud800": 1})]
    results = [msgspec.json.decode(result) for result in await merge(house.db, who, sent)]
    assert [result["status"] for result in results] == ["invalid"] * 3
    assert results[0]["detail"] == "description: contains half a character (a lone surrogate)"
    assert (await house.ana.get(f"/photos/{photo}")).json["version"] == 1
