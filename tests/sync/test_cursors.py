"""Cursors that are no good: forged, ancient, from another server, from after a copy that was put back."""

import shutil
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest

from tests.house import House, behind_its_back, running
from tests.photos.library import add_photos
from tests.sync.following import Follower, actions, cursor_of


async def refused(house: House, cursor: str | None) -> None:
    assert cursor is not None
    answer = await house.ana.get("/api/sync/changes", params={"cursor": cursor})
    assert (answer.status, answer.json["code"]) == (410, "cursor_expired"), answer
    assert "without a cursor" in answer.json["detail"]


MALFORMED = [
    "x", "é", "=", "====", "null", "W10", urlsafe_b64encode(b"\xff\xfe[").decode(),
    cursor_of(), cursor_of("changes"), cursor_of("changes", 1), cursor_of("changes", 1, 2),
    cursor_of("changes", "1", 2, 3), cursor_of("changes", 1.5, 2, 3), cursor_of("changes", -1, 2, 3),
    cursor_of("changes", 2**63, 2, 3), cursor_of("changes", 1, 2**64, 3), cursor_of("photos", 1, 2, 3),
    cursor_of("state", 1, 2, "photo"), cursor_of("state", 1, 2, "photo", "x"), cursor_of("state", 1, 2, 3, 4),
    cursor_of("-taken_at", 1, 1), cursor_of(None, 1, 1, 1),
]  # fmt: skip


async def test_an_empty_cursor_is_none_as_in_every_list(house: House) -> None:
    await add_photos(house, ["a.jpg"])
    answer = await house.ana.get("/api/sync/changes?cursor=")
    assert [change["action"] for change in answer.json["changes"]] == ["create"]


@pytest.mark.parametrize("cursor", MALFORMED)
async def test_what_is_no_cursor_is_refused(house: House, cursor: str) -> None:
    answer = await house.ana.get("/api/sync/changes", params={"cursor": cursor})
    assert (answer.status, answer.json["errors"][0]["field"]) == (400, "cursor")


async def test_forged_cursors_hold_only_where_they_name_a_row_that_there_is(house: House) -> None:
    [photo] = await add_photos(house, ["a.jpg"])
    [(seq, at)] = behind_its_back(house, "select seq, at from changes order by seq desc limit 1")
    forged: list[tuple[Any, ...]] = [
        ("changes", seq, at + 1, seq), ("changes", seq + 1, at, seq), ("changes", 2**63 - 1, at, 0),
        ("changes", 0, at, 0), ("state", seq, at + 1, "photo", 2**63 - 1), ("state", seq, at, "users", 0),
        ("state", seq, at, "", 0),
    ]  # fmt: skip
    for parts in forged:
        await refused(house, cursor_of(*parts))
    # Whoever guesses right reads what everybody may read.
    for parts in (("changes", seq, at, 2**63 - 1), ("changes", 0, 0, 0), ("state", seq, at, "photo", 2**63 - 1)):
        answer = await house.ana.get("/api/sync/changes", params={"cursor": cursor_of(*parts)})
        assert answer.status == 200, parts
        assert [change["entity_id"] for change in answer.json["changes"]] in ([], [photo])


async def test_a_cursor_of_another_server_is_refused(house: House, tmp_path: Path) -> None:
    async with running(tmp_path / "other") as other:
        for each in (house, other):
            await add_photos(each, ["a.jpg", "b.jpg"])
        follower = Follower(other.ana, limit=1)
        await follower.read()
        in_the_middle = follower.cursor
        await follower.catch_up()
        await refused(house, in_the_middle)
        await refused(house, follower.cursor)


async def test_a_cursor_from_before_a_purge_is_refused(house: House) -> None:
    await add_photos(house, ["a.jpg"])
    follower = Follower(house.ana)
    await follower.catch_up()
    [photo] = await add_photos(house, ["b.jpg"])
    kept = Follower(house.ana)
    await kept.catch_up()
    behind_its_back(house, "delete from changes where seq < (select max(seq) from changes)")
    await refused(house, follower.cursor)
    await refused(house, cursor_of("changes", 0, 0, 0))
    assert await kept.catch_up() == []
    await house.ana.patch(f"/photos/{photo}/metadata", {"favourite": True})
    assert actions(await kept.catch_up()) == [("update", photo)]


async def test_a_feed_without_any_row_has_a_cursor_too(house: House) -> None:
    behind_its_back(house, "delete from changes")
    behind_its_back(house, "delete from sqlite_sequence where name = 'changes'")
    follower = Follower(house.ana)
    assert await follower.catch_up() == []
    assert follower.cursor == cursor_of("changes", 0, 0, 0)
    assert await follower.catch_up() == []
    [photo] = await add_photos(house, ["a.jpg"])
    assert actions(await follower.catch_up()) == [("create", photo)]


@pytest.mark.slow
async def test_after_an_older_copy_was_put_back_clients_begin_anew(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy.db"
    async with running(data) as house:
        [photo] = await add_photos(house, ["a.jpg"])
        early = Follower(house.ana)
        await early.catch_up()
        early_cursor = early.cursor
    shutil.copy(data / "tagline.db", copy)
    async with running(data) as house:
        await add_photos(house, ["b.jpg", "c.jpg"])
        late = Follower(house.ana)
        await late.catch_up()
        late_cursor = late.cursor
        middle = Follower(house.ana, limit=1)
        await middle.read()
    for beside in ("tagline.db-wal", "tagline.db-shm"):
        (data / beside).unlink(missing_ok=True)
    shutil.copy(copy, data / "tagline.db")
    async with running(data) as house:
        await refused(house, late_cursor)
        await refused(house, middle.cursor)
        # The feed grows past the number that the late one has seen: it is not the same change.
        for number in range(10):
            await house.ana.patch(f"/photos/{photo}/metadata", {"description": f"Line {number}"})
        await refused(house, late_cursor)
        early = Follower(house.ana)
        early.cursor = early_cursor
        assert actions(await early.catch_up()) == [("update", photo)], "what both have seen holds on"
        anew = Follower(house.ana)
        assert actions(await anew.catch_up()) == [("create", photo)]
        await anew.check()
