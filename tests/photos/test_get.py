"""GET /photos/{id}."""

import uuid

from tests.house import House
from tests.photos.library import add_photos, lose

MALFORMED = ["x", "0", "...", "00000000-0000-0000-0000-00000000000", "g" * 8 + "-0000-0000-0000-000000000000",
             "0" * 32, "00000000-0000-0000-0000-000000000000%0A", "%00", "é"]  # fmt: skip


async def test_a_photo_is_what_the_list_says_of_it(house: House) -> None:
    [photo_id] = await add_photos(house, [{"key": "a/ä b.jpg", "caption": "Zoë"}])
    for prefix in ("", "/api", "/api/v1"):
        answer = await house.ana.get(f"{prefix}/photos/{photo_id}")
        assert answer.status == 200
        assert [answer.json] == await house.photos()
        assert answer.headers["ETag"] == '"1"'
    assert (await house.ana.get(f"/photos/{photo_id.upper()}")).json["id"] == photo_id


async def test_photos_in_the_trash_and_missing_ones_can_still_be_asked_for(house: House) -> None:
    gone, binned = await add_photos(house, ["gone.jpg", "binned.jpg"])
    await lose(house.db, "gone.jpg", gone)
    await house.ana.delete(f"/photos/{binned}")
    assert (await house.ana.get(f"/photos/{gone}")).json["missing"] is True
    assert (await house.ana.get(f"/photos/{binned}")).json["trashed"] is True


async def test_no_such_photo_is_told_in_the_words_that_clients_know(house: House) -> None:
    for path in ("", "/history", "/image", "/thumbnail"):
        answer = await house.ana.get(f"/photos/{uuid.uuid4()}{path}")
        assert answer.status == 404, path
        assert answer.json["detail"] == answer.json["error"] == answer.json["message"] == "Photo not found"
        assert answer.headers["Content-Type"].startswith("application/problem+json")


async def test_a_malformed_id_is_a_wrong_value(house: House) -> None:
    for photo_id in MALFORMED:
        for method, path in (
            ("GET", ""), ("GET", "/history"), ("PATCH", "/metadata"), ("POST", "/restore"), ("DELETE", ""),
            ("POST", "/history/1/restore"),
        ):  # fmt: skip
            answer = await house.ana.ask(method, f"/photos/{photo_id}{path}", {} if method == "PATCH" else None)
            assert answer.status == 422, (method, photo_id, path)
            assert answer.json["errors"] == [{"field": "photo_id", "message": "is not a UUID"}]


async def test_strangers_and_wrong_methods_are_refused(house: House) -> None:
    [photo_id] = await add_photos(house, ["a.jpg"])
    assert (await house.eve.get(f"/photos/{photo_id}")).status == 401
    assert (await house.ana.ask("PUT", f"/photos/{photo_id}")).status == 405
    assert (await (await house.key("read")).get(f"/photos/{photo_id}")).status == 200
