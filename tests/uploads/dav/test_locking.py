"""LOCK and UNLOCK, and the header If: what litmus does not ask."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagline.errors import BadRequest, Unavailable
from tagline.uploads.dav import ifs
from tagline.uploads.dav.locks import Locked, Locks, seconds_of
from tagline.uploads.dav.share import SHARE
from tests.house import House
from tests.uploads.dav.webdav import find, hrefs, jpeg, listed, lock, move, properties, put, share, token


async def test_a_locked_file_is_written_by_who_has_the_lock_alone(house: House) -> None:
    dav = await share(house)
    await put(dav, "a.jpg", jpeg(1))
    granted = await lock(dav, "a.jpg", Timeout="Second-100, Infinite")
    assert granted.status == 200
    assert b"Second-100" in granted.body
    for answer in (
        await put(dav, "a.jpg", jpeg(2)),
        await dav.delete("/dav/a.jpg"),
        await move(dav, "a.jpg", "b.jpg"),
        await lock(dav, "a.jpg"),
        await lock(dav, "a.jpg", "shared"),
    ):
        assert (answer.status, answer.json["code"]) == (423, "locked")
    assert (await put(dav, "a.jpg", jpeg(2), If=f"({token(granted)})")).status == 204
    assert (await dav.ask("UNLOCK", "/dav/a.jpg", headers={"Lock-Token": token(granted)})).status == 204
    assert (await put(dav, "a.jpg", jpeg(3))).status == 204


async def test_the_lock_of_one_is_no_use_to_another(house: House) -> None:
    ana = await share(house)
    ben = await house.add_user("ben")
    await put(ana, "a.jpg", jpeg(1))
    granted = await lock(ana, "a.jpg")
    assert (await put(ben, "a.jpg", jpeg(2), If=f"({token(granted)})")).status == 423
    assert (await ben.ask("UNLOCK", "/dav/a.jpg", headers={"Lock-Token": token(granted)})).status == 403
    refreshed = await ben.ask("LOCK", "/dav/a.jpg", headers={"If": f"({token(granted)})"})
    assert refreshed.status == 412


async def test_a_name_that_is_locked_before_there_is_a_file_is_an_empty_file(house: House) -> None:
    dav = await share(house, "upload")
    granted = await lock(dav, "a.jpg")
    assert granted.status == 201
    assert await listed(dav) == ["a.jpg"]
    assert (await dav.get("/dav/a.jpg")).body == b""
    assert await house.photos() == []
    assert not (house.library / "a.jpg").exists()
    assert (await put(dav, "a.jpg", jpeg(1))).status == 423
    assert (await put(dav, "a.jpg", jpeg(1), If=f"({token(granted)})")).status == 204
    assert len(await house.photos()) == 1
    assert (await lock(dav, "nowhere/a.jpg")).status == 409


async def test_a_locked_folder_protects_what_is_in_it(house: House) -> None:
    dav = await share(house)
    await dav.ask("MKCOL", "/dav/a")
    await put(dav, "a/x.jpg", jpeg(1))
    granted = await lock(dav, "a")
    for answer in (
        await put(dav, "a/y.jpg", jpeg(2)),
        await put(dav, "a/x.jpg", jpeg(2)),
        await dav.ask("MKCOL", "/dav/a/b"),
        await lock(dav, "a/y.jpg"),
        await move(dav, "a", "b"),
    ):
        assert answer.status == 423
    held = f"</dav/a> ({token(granted)})"
    assert (await put(dav, "a/y.jpg", jpeg(2), If=held)).status == 201
    found = properties(await find(dav, "a/y.jpg", "0"))["lockdiscovery"]
    assert token(granted).strip("<>") in [each.text for each in found.iter("{DAV:}href")]
    assert (await dav.delete("/dav/a", headers={"If": held})).status == 204
    assert (await dav.ask("MKCOL", "/dav/a")).status == 201


async def test_a_folder_locked_alone_keeps_its_members_but_not_their_content(house: House) -> None:
    dav = await share(house)
    await dav.ask("MKCOL", "/dav/a")
    await put(dav, "a/x.jpg", jpeg(1))
    await lock(dav, "a", Depth="0")
    assert (await put(dav, "a/y.jpg", jpeg(2))).status == 423
    assert (await dav.delete("/dav/a/x.jpg")).status == 423
    assert (await put(dav, "a/x.jpg", jpeg(2))).status == 204


async def test_what_is_locked_in_a_folder_is_named(house: House) -> None:
    dav = await share(house)
    await dav.ask("MKCOL", "/dav/a")
    await put(dav, "a/x.jpg", jpeg(1))
    await lock(dav, "a/x.jpg")
    for answer in (await dav.delete("/dav/a"), await move(dav, "a", "b")):
        assert (answer.status, hrefs(answer)) == (207, ["/dav/a/x.jpg"])
        assert b"423 Locked" in answer.body
    refused = await lock(dav, "a")
    assert (refused.status, hrefs(refused)) == (207, ["/dav/a/x.jpg", "/dav/a/"])
    assert b"424 Failed Dependency" in refused.body
    assert await listed(dav, "a/") == ["x.jpg"]
    assert (await house.photo("x.jpg"))["trashed"] is False


async def test_locks_end_with_what_they_were_on_and_with_their_time(house: House) -> None:
    dav = await share(house)
    await put(dav, "a.jpg", jpeg(1))
    granted = await lock(dav, "a.jpg")
    assert (await dav.delete("/dav/a.jpg", headers={"If": f"({token(granted)})"})).status == 204
    assert (await put(dav, "a.jpg", jpeg(2))).status == 201
    granted = await lock(dav, "a.jpg", Timeout="Second-1")
    locks = house.app[SHARE].locks
    [held] = locks.on("a.jpg")
    held.ends = 0
    assert (await put(dav, "a.jpg", jpeg(3))).status == 204
    assert (await dav.ask("LOCK", "/dav/a.jpg", headers={"If": f"({token(granted)})"})).status == 412


async def test_nonsense_is_refused(house: House) -> None:
    dav = await share(house)
    await put(dav, "a.jpg", jpeg(1))
    assert (await dav.ask("LOCK", "/dav/a.jpg")).status == 412
    assert (await dav.ask("LOCK", "/dav/a.jpg", data=b"<x/>")).status == 400
    assert (await lock(dav, "a.jpg", "exclusive", Depth="1")).status == 400
    assert (await lock(dav, "a.jpg", "friendly")).status == 400
    assert (await dav.ask("UNLOCK", "/dav/a.jpg")).status == 400
    gone = await dav.ask("UNLOCK", "/dav/a.jpg", headers={"Lock-Token": "<urn:uuid:x>"})
    assert (gone.status, gone.json["code"]) == (409, "no_such_lock")
    assert (await put(dav, "a.jpg", jpeg(2), If="nonsense")).status == 400
    assert (await put(dav, "a.jpg", jpeg(2), If="(<urn:uuid:x>)")).status == 412
    assert (await lock(house.eve, "a.jpg")).status == 401


async def test_there_are_not_more_locks_than_memory_wants(house: House) -> None:
    dav = await share(house)
    locks = house.app[SHARE].locks
    for number in range(1000):
        locks.add(f"{number}", deep=False, exclusive=True, owner="", user_id="ana", seconds=60)
    await put(dav, "a.jpg", jpeg(1))
    refused = await lock(dav, "a.jpg")
    assert (refused.status, refused.json["code"]) == (503, "too_many_locks")


def test_shared_locks_that_are_told_of_together_are_few() -> None:
    locks = Locks()
    for key, deep in (("", True), *((f"a/{number}", False) for number in range(15))):
        locks.add(key, deep=deep, exclusive=False, owner="", user_id="ana", seconds=60)
    locks.add("b", deep=True, exclusive=False, owner="", user_id="ana", seconds=60)
    with pytest.raises(Unavailable):
        locks.add("a", deep=True, exclusive=False, owner="", user_id="ana", seconds=60)


def test_shared_locks_stand_beside_each_other_and_one_of_ones_own_suffices() -> None:
    locks = Locks()
    first = locks.add("a", deep=True, exclusive=False, owner="", user_id="ana", seconds=60)
    second = locks.add("a/b", deep=False, exclusive=False, owner="", user_id="ben", seconds=60)
    with pytest.raises(Locked):
        locks.add("a/b", deep=False, exclusive=True, owner="", user_id="ana", seconds=60)
    locks.check("a/b", frozenset([first.token]), "ana", member=False)
    locks.check("a/b", frozenset([second.token]), "ben", member=False)
    with pytest.raises(Locked):
        locks.check("a/b", frozenset([first.token]), "ben", member=False)


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (None, 3600),
        ("Infinite", 3600),
        ("Second-4100000000", 3600),
        ("Infinite, Second-60", 60),
        ("Second-0", 1),
        ("x", 3600),
    ],
)
def test_a_lock_lasts_an_hour_at_most(asked: str | None, granted: int) -> None:
    assert seconds_of(asked) == granted


def holds(header: str, tags: dict[str, str], locked: dict[str, str]) -> bool:
    async def etag(key: str) -> str | None:
        return tags.get(key)

    return asyncio.run(
        ifs.holds(ifs.read(header), "a", etag, lambda key, token: locked.get(key) == token)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("(<t:1>)", True), ("(<t:2>)", False), ("(Not <t:2>)", True), ("(<t:2>) (<t:1>)", True),
        ('(["e"])', True), ('(<t:1> ["e"])', True), ('(<t:1> ["f"])', False), ('(["f"] <t:1>)', False),
        ("</dav/b> (<t:2>)", True), ("<http://proxy/dav/b> (<t:1>)", False),
        ("</dav/b> (<t:1>) </dav/a> (<t:1>)", True),
        ("(<DAV:no-lock>)", False), ("(Not <DAV:no-lock>)", True), ("</elsewhere> (<t:1>)", False),
        ('(Not ["f"])', True), ("(not <t:1>)", False),
    ],
)  # fmt: skip
def test_lists_of_conditions_are_read_as_they_are_meant(header: str, expected: bool) -> None:
    assert holds(header, {"a": '"e"'}, {"a": "t:1", "b": "t:2"}) is expected


@given(st.text(alphabet='()<>[]" Not:ab/\t', max_size=60))
def test_any_header_is_read_or_refused(header: str) -> None:
    try:
        lists = ifs.read(header)
    except BadRequest:
        return
    assert lists
    assert all(each.all for each in lists)
