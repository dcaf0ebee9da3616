"""GET /sync/changes: the whole state first, then what changes, each thing once."""

from typing import Any

from tests.house import House, behind_its_back
from tests.photos.library import add_photos, lose
from tests.sync.following import Follower, actions


async def test_a_client_that_knows_nothing_gets_the_whole_state_in_pages(house: House) -> None:
    ids = await add_photos(house, [f"{number}.jpg" for number in range(5)])
    follower = Follower(house.ana, limit=2)
    told = await follower.catch_up()
    assert set(follower.items) == set(ids)
    assert {change["action"] for change in told} == {"create"}
    assert len(told) == 5
    await follower.check()
    assert await follower.catch_up() == []


async def test_the_state_of_an_empty_library_is_empty(house: House) -> None:
    follower = Follower(house.ana)
    assert await follower.catch_up() == []
    [photo] = await add_photos(house, ["a.jpg"])
    assert actions(await follower.catch_up()) == [("create", photo)]


async def test_a_change_says_what_by_whom_and_on_what_device(home: House) -> None:
    [photo] = await add_photos(home, ["a.jpg"])
    follower = Follower(home.ana)
    [new] = await follower.catch_up()
    assert (new["by"], new["device"], new["version"]) == (None, "tagline", 1)
    edited = (await home.ben.patch(f"/photos/{photo}/metadata", {"description": "By ben"})).json
    [change] = await follower.catch_up()
    ben = change["by"]["id"]
    assert change == {
        "seq": change["seq"], "entity": "photo", "entity_id": photo, "action": "update", "version": 2,
        "at": change["at"], "by": {"id": ben, "name": "ben"}, "device": "ben's phone", "data": edited,
    }  # fmt: skip
    assert change["seq"] > new["seq"]
    assert edited["last_modified"][:23] == change["at"][:23]
    assert change["at"].endswith("Z")
    assert len(change["at"]) == 27


async def test_a_thing_that_changed_often_is_told_once_as_it_is_now(house: House) -> None:
    one, other = await add_photos(house, ["a.jpg", "b.jpg"])
    follower = Follower(house.ana)
    await follower.catch_up()
    for number in range(3):
        for photo in (one, other):
            await house.ana.patch(f"/photos/{photo}/metadata", {"description": f"Line {number}"})
    await house.ana.patch(f"/photos/{one}/metadata", {"favourite": True})
    told = await follower.catch_up()
    assert actions(told) == [("update", other), ("update", one)], "in the order of their newest changes"
    assert [change["version"] for change in told] == [4, 5]
    await follower.check()


async def test_what_was_made_behind_the_cursor_is_new_however_often_it_changed_and_on_whatever_page(
    house: House,
) -> None:
    follower = Follower(house.ana, limit=2)
    await follower.catch_up()
    ids = await add_photos(house, [f"{number}.jpg" for number in range(6)])
    for photo in ids[:3]:
        await house.ana.patch(f"/photos/{photo}/metadata", {"description": "x"})
    told = await follower.catch_up()
    assert actions(told) == [("create", photo) for photo in [*ids[3:], *ids[:3]]]
    await house.ana.patch(f"/photos/{ids[0]}/metadata", {"description": "y"})
    assert actions(await follower.catch_up()) == [("update", ids[0])]


async def test_the_trash_and_what_is_missing_are_told_with_their_flags(house: House) -> None:
    trashed, missing = await add_photos(house, ["a.jpg", "b.jpg"])
    await house.ana.delete(f"/photos/{trashed}")
    await lose(house.db, "b.jpg", missing)
    follower = Follower(house.ana)
    await follower.catch_up()
    assert [follower.items[photo]["trashed"] for photo in (trashed, missing)] == [True, False]
    assert [follower.items[photo]["missing"] for photo in (trashed, missing)] == [False, True]
    await house.ana.post(f"/photos/{trashed}/restore")
    assert [change["data"]["trashed"] for change in await follower.catch_up()] == [False]


async def test_what_is_deleted_for_good_is_told_without_its_data(house: House) -> None:
    known, unknown = await add_photos(house, ["a.jpg", "b.jpg"])
    for name in ("a.jpg", "b.jpg"):
        await lose(house.db, name, known if name == "a.jpg" else unknown)
    follower = Follower(house.ana)
    await follower.catch_up()
    assert (await house.ana.delete(f"/photos/{known}?permanently=true")).status == 204
    told = await follower.catch_up()
    assert [(change["action"], change["version"], change["data"]) for change in told] == [("delete", 2, None)]
    assert set(follower.items) == {unknown}


async def test_sign_ins_keys_users_and_jobs_are_nobodys_business(house: House) -> None:
    follower = Follower(house.ana)
    await follower.catch_up()
    await house.key("read")
    await house.add_user("ben")
    await house.scan()
    cursor = follower.cursor
    assert await follower.catch_up() == []
    assert follower.cursor != cursor, "they are passed over for good"


async def test_a_long_history_of_what_nobody_follows_ends_in_an_empty_page_and_not_in_many(house: House) -> None:
    follower = Follower(house.ana, limit=1)
    await follower.catch_up()
    behind_its_back(
        house,
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 2500) "
        "insert into changes (at, entity, entity_id, action, version) select 1, 'job', i, 'update', 1 from n",
    )
    [photo] = await add_photos(house, ["a.jpg"])
    assert await follower.read() is False
    assert list(follower.items) == [photo]


async def test_photos_whose_changes_were_purged_belong_to_the_whole_state_all_the_same(house: House) -> None:
    [photo] = await add_photos(house, ["a.jpg"])
    behind_its_back(house, "delete from changes where entity = 'photo'")
    [change] = await Follower(house.ana).catch_up()
    assert (change["seq"], change["entity_id"], change["by"], change["device"]) == (0, photo, None, "")
    assert change["at"] == change["data"]["last_modified"]


async def test_a_person_who_is_gone_is_named_no_more(home: House) -> None:
    [photo] = await add_photos(home, ["a.jpg"])
    await home.ben.patch(f"/photos/{photo}/metadata", {"description": "By ben"})
    behind_its_back(home, "update changes set actor = 'gone' where actor is not null")
    assert [change["by"] for change in await Follower(home.ana).catch_up()] == [None]


async def test_names_and_devices_with_quotes_and_line_ends_stay_what_they_are(house: House) -> None:
    [photo] = await add_photos(house, ["a.jpg"])
    name = 'Ann "the\nquick"\\ ,\n'
    ann = await house.add_user(name)
    follower = Follower(house.ana)
    await follower.catch_up()
    await ann.patch(f"/photos/{photo}/metadata", {"description": 'A "line",\nof two'})
    [change] = await follower.catch_up()
    assert (change["by"]["name"], change["data"]["description"]) == (name, 'A "line",\nof two')


async def test_readers_may_follow_and_strangers_may_not(house: House) -> None:
    await add_photos(house, ["a.jpg"])
    reader = await house.key("read")
    for path in ("/api/sync/changes", "/api/v1/sync/changes"):
        assert len((await reader.get(path)).json["changes"]) == 1
        assert (await house.eve.get(path)).status == 401
        for method in ("POST", "PUT", "DELETE"):
            answer = await house.ana.ask(method, path)
            assert (answer.status, answer.headers["Allow"]) == (405, "GET,HEAD")
    assert (await reader.get("/sync/changes")).status == 404


async def test_limits_and_waits_out_of_range_are_refused(house: House) -> None:
    for wrong in ("limit=0", "limit=1001", "limit=x", "wait=-1", "wait=61", "wait=1.5", "cursor=x&limit=1"):
        answer = await house.ana.get(f"/api/sync/changes?{wrong}")
        assert (answer.status, answer.json["code"]) == (400, "validation_error"), wrong
        assert answer.json["errors"][0]["field"] == wrong.partition("=")[0]


async def test_a_page_is_compressed_for_who_takes_that(house: House) -> None:
    await add_photos(house, [f"{number}.jpg" for number in range(50)])

    async def asked(accept: str) -> Any:
        answer = await house.ana.get("/api/sync/changes", headers={"Accept-Encoding": accept})
        assert len(answer.json["changes"]) == 50
        assert answer.headers["Vary"] == "Accept-Encoding"
        return answer.headers.get("Content-Encoding"), int(answer.headers["Content-Length"])

    plain = await asked("identity")
    assert plain[0] is None
    for accept in ("gzip", "br, gzip", "deflate;q=0.5, GZIP ;q=0.8", "gzip;q=0.1"):
        encoding, length = await asked(accept)
        assert encoding == "gzip", accept
        assert length < plain[1] / 4
    for accept in ("gzip;q=0", "br, gzip; q=0.0, identity", "x-gzipped", "deflate"):
        assert await asked(accept) == plain, accept
