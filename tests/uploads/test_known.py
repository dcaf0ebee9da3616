"""POST /photos/known: of many sums, which are here, which were deleted for good, and which are to be sent."""

import hashlib
from typing import Any

import pytest

from tagline.errors import DiskFull
from tests.house import House, behind_its_back, make_photo
from tests.photos.library import add_photos
from tests.uploads.sending import jpeg, send, sha256

NOTHING: dict[str, Any] = {"known": {}, "deleted": [], "unknown": [], "pending": []}


def some_sum(number: int) -> str:
    """A sum that no photo has."""
    return hashlib.sha256(b"%d" % number).hexdigest()


async def ask(house: House, sums: list[str], **more: Any) -> Any:
    """What is known of some sums."""
    answer = await house.ana.post("/photos/known", {"sha256": sums, **more})
    assert answer.status == 200, answer
    return answer.json


@pytest.mark.parametrize("prefix", ["", "/api", "/api/v1"])
async def test_sums_are_sorted_into_what_is_here_and_what_is_not(house: House, prefix: str) -> None:
    here = (await send(house.ana, jpeg())).json
    gone = (await send(house.ana, jpeg("plum"))).json
    await house.settled()
    await house.ana.delete(f"/photos/{gone['id']}?permanently=true")
    sums = [some_sum(1), gone["sha256"], here["sha256"], some_sum(2)]
    answer = await house.ana.post(f"{prefix}/photos/known", {"sha256": sums})
    assert answer.status == 200
    assert answer.json == {
        "known": {here["sha256"]: here["id"]}, "deleted": [gone["sha256"]],
        "unknown": [some_sum(1), some_sum(2)], "pending": [],
    }  # fmt: skip
    repeated = await house.ana.post(f"{prefix}/photos/known", {"sha256": sums})
    assert repeated.json == answer.json


async def test_capitals_and_repeats_are_one_sum(house: House) -> None:
    here = (await send(house.ana, jpeg())).json
    told = await ask(house, [here["sha256"].upper(), here["sha256"], some_sum(1).upper(), some_sum(1)])
    assert told == {**NOTHING, "known": {here["sha256"]: here["id"]}, "unknown": [some_sum(1)]}


async def test_nothing_asked_is_nothing_answered(house: House) -> None:
    assert await ask(house, []) == NOTHING


async def test_a_thousand_may_be_asked_for_and_not_one_more(house: House) -> None:
    sums = [some_sum(number) for number in range(1001)]
    assert (await ask(house, sums[:1000]))["unknown"] == sums[:1000]
    answer = await house.ana.post("/photos/known", {"sha256": sums})
    assert (answer.status, answer.json["code"]) == (422, "validation_error")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"sha256": "x"},
        {"sha256": ["abc"]},
        {"sha256": ["g" * 64]},
        {"sha256": [some_sum(1) + "0"]},
        {"sha256": [None]},
        {"sha256": [], "sizes": {"x": 1}},
        {"sha256": [], "sizes": {some_sum(1): -1}},
        {"sha256": [], "sizes": []},
        {"sha256": [], "other": 1},
    ],
)
async def test_what_is_no_sum_is_refused(house: House, body: Any) -> None:
    answer = await house.ana.post("/photos/known", body)
    assert (answer.status, answer.json["code"]) == (422, "validation_error")


async def test_who_may_send_may_ask(house: House) -> None:
    question = {"sha256": [some_sum(1)]}
    assert (await (await house.key("upload")).post("/photos/known", question)).status == 200
    assert (await (await house.key("read")).post("/photos/known", question)).status == 403
    assert (await house.eve.post("/photos/known", question)).status == 401
    assert (await house.ana.ask("PUT", "/photos/known")).status == 405


async def test_what_is_in_the_trash_is_here(house: House) -> None:
    here = (await send(house.ana, jpeg())).json
    await house.ana.delete(f"/photos/{here['id']}")
    assert (await ask(house, [here["sha256"]]))["known"] == {here["sha256"]: here["id"]}


async def test_what_is_missing_is_to_be_sent(house: House) -> None:
    for number in range(6):
        make_photo(house.library / f"{number}.jpg", "navy", (10 + number, 10))
    await house.scan()
    lost = await house.photo("3.jpg")
    (house.library / "3.jpg").unlink()
    await house.scan()
    assert await ask(house, [lost["sha256"]]) == {**NOTHING, "unknown": [lost["sha256"]]}


async def test_an_edited_file_is_known_by_what_it_was_and_by_what_it_is(house: House) -> None:
    """A phone has the one that it sent, the computer the one that it turned."""
    path = make_photo(house.library / "a.jpg")
    await house.scan()
    before = await house.photo("a.jpg")
    make_photo(path, "plum")
    await house.scan()
    after = await house.photo("a.jpg")
    assert (after["id"], after["sha256"]) == (before["id"], before["sha256"])
    now = sha256(path.read_bytes())
    told = await ask(house, [before["sha256"], now])
    assert told["known"] == {before["sha256"]: before["id"], now: before["id"]}
    for content in (jpeg("plum", (320, 240)), path.read_bytes()):
        sent = await send(house.ana, content)
        assert (sent.status, sent.json["id"]) == (200, before["id"])


def unread(house: House) -> None:
    """As if the background had not come to any file yet."""
    behind_its_back(house, "update photos set sha256 = null, content_hash = null, unread = 1")


async def test_a_few_files_that_nobody_has_hashed_yet_are_hashed_at_once(house: House) -> None:
    for number in range(3):
        make_photo(house.library / f"{number}.jpg", "navy", (10 + number, 10))
    await house.scan()
    unread(house)
    content = (house.library / "1.jpg").read_bytes()
    told = await ask(house, [sha256(content), some_sum(1)])
    assert (list(told["known"]), told["unknown"], told["pending"]) == ([sha256(content)], [some_sum(1)], [])


async def test_with_sizes_only_those_that_it_could_be_are_hashed(house: House) -> None:
    for number in range(12):
        make_photo(house.library / f"{number}.jpg", "navy", (40 + 20 * number, 40 + 30 * number))
    await house.scan()
    unread(house)
    content = (house.library / "7.jpg").read_bytes()
    sizes = {sha256(content): len(content), some_sum(1): 7_000_000, some_sum(2).upper(): 7_000_001}
    told = await ask(house, [sha256(content), some_sum(1), some_sum(2)], sizes=sizes)
    assert (list(told["known"]), told["unknown"], told["pending"]) == (
        [sha256(content)], [some_sum(1), some_sum(2)], [],
    )  # fmt: skip
    [(hashed,)] = behind_its_back(house, "select count(*) from photos where sha256 is not null")
    assert 1 <= hashed < 12


async def test_where_it_could_be_one_of_many_it_has_to_wait(house: House) -> None:
    """Of files that are hashed in a minute none is to be sent; a phone asks again then."""
    await add_photos(house, [{"key": f"{number}.jpg", "sha256": None, "size": 1000} for number in range(20)])
    told = await ask(house, [some_sum(1), some_sum(2)], sizes={some_sum(1): 1000, some_sum(2): 999})
    assert (told["pending"], told["unknown"]) == ([some_sum(1)], [some_sum(2)])
    assert (await ask(house, [some_sum(1), some_sum(2)]))["pending"] == [some_sum(1), some_sum(2)]


async def test_files_that_cannot_be_read_hold_nobody_up(house: House) -> None:
    await add_photos(house, [{"key": "away.jpg", "sha256": None, "size": 1000}])
    assert (await ask(house, [some_sum(1)]))["unknown"] == [some_sum(1)]


async def test_nor_does_a_full_cache(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await add_photos(house, [{"key": "some.jpg", "sha256": None, "size": 1000}])

    async def full(*_: Any) -> None:
        raise DiskFull("The disk with Tagline's cache is full.")

    monkeypatch.setattr("tagline.photos.digest.Digester.now", full)
    assert (await ask(house, [some_sum(1)]))["unknown"] == [some_sum(1)]
