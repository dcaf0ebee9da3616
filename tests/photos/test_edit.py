"""PATCH /photos/{id}/metadata: lines, keywords and what else people write, safely."""

import io
import sqlite3
import unicodedata
import uuid
from datetime import datetime
from typing import Any

import msgspec
import pytest

from tagline.db import Tx
from tagline.photos import lines
from tagline.photos.lines import Based, LineEdit
from tests.house import Answer, House
from tests.photos.library import ANA, add_photos, lose, peek

MODIFIED = "Photo has been modified since last retrieval"


@pytest.fixture
async def photo(house: House) -> str:
    """One photo, without a line."""
    [photo_id] = await add_photos(house, [{"key": "a/lake.jpg", "taken": "2024-07-01T16:02:11.25+02:00"}])
    return photo_id


async def edit(house: House, photo_id: str, **change: Any) -> Answer:
    """An edit by ana."""
    return await house.ana.patch(f"/photos/{photo_id}/metadata", change)


async def feed(house: House, photo_id: str) -> list[dict[str, Any]]:
    """The rows of the change feed about a photo."""
    rows = await house.db.rows("changes.since", seq=0, limit=10_000)
    return [dict(row) for row in rows if row["entity_id"] == photo_id]


async def test_a_line_is_trimmed_composed_stored_and_answered(house: House, photo: str) -> None:
    answer = await edit(house, photo, description=" \n Zoe\u0308 at the lake\t\u3000")
    assert answer.status == 200
    assert answer.json["description"] == answer.json["metadata"]["description"] == "Zoë at the lake"
    assert answer.json["version"] == 2
    assert answer.headers["ETag"] == '"2"'
    assert (await house.ana.get(f"/photos/{photo}")).json == answer.json


async def test_ten_thousand_characters_are_the_most(house: House, photo: str) -> None:
    longest = "ü" * 10_000
    assert (await edit(house, photo, description=f"  {longest}  ")).json["description"] == longest
    assert (await edit(house, photo, description="u\u0308" * 10_000)).json["version"] == 2, "composed, it is the same"
    answer = await edit(house, photo, description="x" * 10_001)
    assert answer.status == 422
    assert answer.json["errors"][0]["field"] == "description"
    assert (await edit(house, photo, description="x" * 65_536)).status == 422
    larger = io.BytesIO(msgspec.json.encode({"description": "x" * (1 << 20)}))
    headers = {"Content-Type": "application/json"}
    assert (await house.ana.ask("PATCH", f"/photos/{photo}/metadata", data=larger, headers=headers)).status == 413
    assert (await house.ana.get(f"/photos/{photo}")).json["version"] == 2


async def test_an_empty_line_is_allowed_and_means_untold(house: House, photo: str) -> None:
    await edit(house, photo, description="something")
    assert await house.photos("untold=true") == []
    assert (await edit(house, photo, description="   ")).json["description"] == ""
    assert len(await house.photos("untold=true")) == 1


async def test_what_an_edit_does_not_name_stays(house: House, photo: str) -> None:
    await edit(
        house,
        photo,
        description="The lake",
        keywords=["lake"],
        favourite=True,
        needs_line=False,
        location={"lat": 1, "lon": 2},
    )
    before = (await house.ana.get(f"/photos/{photo}")).json
    after = (await edit(house, photo, favourite=False)).json
    for same in (before, after):
        for changing in ("version", "last_modified"):
            same.pop(changing)
        same["metadata"].pop("favourite")
    assert after == before


async def test_an_edit_that_changes_nothing_is_no_new_version(house: House, photo: str) -> None:
    first = (
        await edit(house, photo, description="The lake", keywords=["lake"], location={"lat": 1.5, "lon": 2.5})
    ).json
    again = {
        "description": " The lake ",
        "keywords": ["lake", "lake"],
        "location": {"lat": 1.5, "lon": 2.5},
        "favourite": False,
        "needs_line": True,
        "taken_at": first["metadata"]["taken_at"],
    }
    repeats: list[dict[str, Any]] = [{}, again, {"metadata": again}, {"metadata": {}}]
    for change in repeats:
        answer = await edit(house, photo, **change)
        assert answer.status == 200
        assert answer.json == first, "taken_at said again is still the camera's"
    assert len(await feed(house, photo)) == 2
    assert (await house.ana.get(f"/photos/{photo}/history")).json["total"] == 1


async def test_the_same_inside_metadata_is_understood_and_what_is_outside_goes_before_it(
    house: House, photo: str
) -> None:
    nested = (await edit(house, photo, metadata={"description": "Inside", "keywords": ["in"], "favourite": True})).json
    assert nested["description"] == "Inside"
    assert nested["metadata"]["keywords"] == ["in"]
    both = (
        await edit(house, photo, description="Outside", metadata={"description": "Inside too", "favourite": False})
    ).json
    assert (both["description"], both["metadata"]["favourite"], both["version"]) == ("Outside", False, 3)
    based = await edit(house, photo, metadata={"description": "x", "last_modified": nested["last_modified"]})
    assert based.status == 409
    assert (await edit(house, photo, metadata={"description": "x", "version": 3})).json["version"] == 4


async def test_an_edit_based_on_the_current_state_is_applied(house: House, photo: str) -> None:
    current = (await house.ana.get(f"/photos/{photo}")).json
    by_time = await edit(house, photo, description="1", last_modified=current["last_modified"])
    assert by_time.status == 200
    # Browsers keep milliseconds, and another zone is the same moment.
    short = datetime.fromisoformat(by_time.json["last_modified"]).isoformat(timespec="milliseconds")
    assert (await edit(house, photo, description="2", last_modified=short)).status == 200
    assert (await edit(house, photo, description="3", version=3)).status == 200
    for tag in ('"4"', 'W/"5"', '"x", "6"', "7", "*", ' "9" '):
        answer = await house.ana.patch(f"/photos/{photo}/metadata", {"description": tag}, headers={"If-Match": tag})
        assert answer.status == 200, tag
    assert answer.json["version"] == 10


async def test_an_edit_based_on_an_older_state_changes_nothing_and_is_told_the_current_one(
    house: House, photo: str
) -> None:
    old = (await house.ana.get(f"/photos/{photo}")).json
    current = (await edit(house, photo, description="By somebody else")).json
    before = await feed(house, photo)
    refusals = [
        (409, {"last_modified": old["last_modified"]}, {}),
        (409, {"last_modified": "1999-01-01T00:00:00Z"}, {}),
        (409, {"version": 1}, {}),
        (409, {"version": 3}, {}),
        (409, {"version": 10**30}, {}),
        (409, {"version": 2, "last_modified": old["last_modified"]}, {}),
        (409, {"last_modified": old["last_modified"]}, {"If-Match": '"2"'}),
        (409, {"last_modified": old["last_modified"]}, {"If-Match": "*"}),
        (412, {}, {"If-Match": '"1"'}),
        (412, {}, {"If-Match": 'W/"1"'}),
        (412, {}, {"If-Match": '"1", "3"'}),
        (412, {}, {"If-Match": '"two"'}),
        (412, {}, {"If-Match": ""}),
        (412, {"last_modified": current["last_modified"]}, {"If-Match": '"1"'}),
    ]
    for status, base, headers in refusals:
        change = {"description": "Mine", "favourite": True, **base}
        answer = await house.ana.patch(f"/photos/{photo}/metadata", change, headers=headers)
        assert answer.status == status, (base, headers)
        assert answer.json["detail"] == answer.json["error"] == answer.json["message"] == MODIFIED
        assert answer.json["code"] == "version_conflict"
        assert answer.json["current"] == current
    assert (await house.ana.get(f"/photos/{photo}")).json == current
    assert await feed(house, photo) == before


async def test_an_equal_edit_based_on_an_older_state_is_refused_as_well(house: House, photo: str) -> None:
    await edit(house, photo, description="Same")
    assert (await edit(house, photo, description="Same", version=1)).status == 409


async def test_a_base_that_is_no_time_or_version_is_a_wrong_value(house: House, photo: str) -> None:
    for value in ("yesterday", "", "2024-07-01", "2024-02-30T00:00:00Z", "0001-01-01T00:00:00", 5, None):
        answer = await edit(house, photo, description="x", last_modified=value)
        assert answer.status == 422, value
        assert answer.json["errors"][0]["field"] == "last_modified"
    for extreme in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        assert (await edit(house, photo, description="x", last_modified=extreme)).status == 409
    assert (await edit(house, photo, description="x", version="1")).status == 422


async def test_last_modified_moves_forward_in_whole_milliseconds(house: House, photo: str) -> None:
    times = [(await house.ana.get(f"/photos/{photo}")).json["last_modified"]]
    for number in range(30):
        times.append((await edit(house, photo, description=str(number))).json["last_modified"])
    assert times == sorted(set(times))
    assert all(len(time) == len("2025-07-01T18:22:03.120000Z") and time.endswith("000Z") for time in times)


async def test_last_modified_moves_forward_though_the_clock_was_set_back(house: House, photo: str) -> None:
    def from_the_future(tx: Tx) -> None:
        tx._connection.execute("update photos set last_modified = 4102444800000000")

    await house.db.write(from_the_future)
    assert (await edit(house, photo, description="x")).json["last_modified"] == "2100-01-01T00:00:00.001000Z"
    assert (await house.ana.delete(f"/photos/{photo}")).json["last_modified"] == "2100-01-01T00:00:00.002000Z"


async def test_a_new_capture_time_moves_the_photo_in_every_list(house: House, photo: str) -> None:
    other, _ = await add_photos(
        house,
        [
            {"key": "b.jpg", "taken": "2024-08-01T10:00:00+00:00"},
            {"key": "c.jpg", "taken": "2024-05-01T10:00:00+00:00"},
        ],
    )
    await edit(house, photo, keywords=["lake"], description="lake")
    moved = (await edit(house, photo, taken_at="2024-08-01T12:00:00.5+02:00")).json
    assert moved["metadata"]["taken_at"] == "2024-08-01T12:00:00.5+02:00"
    assert moved["metadata"]["taken_at_source"] == "edit"
    assert [item["id"] for item in await house.photos()][:2] == [photo, other]
    for query in ("q=lake", "keyword=lake", "from=2024-08-01T10:00:00Z&q=lake", "from=2024-08-01&to=2024-08-01&q=lake"):
        assert [item["id"] for item in await house.photos(query)] == [photo], query
    assert {day["date"] for day in (await house.ana.get("/photos/timeline")).json["items"]} == {
        "2024-08-01",
        "2024-05-01",
    }
    # The offset alone is a change of the day: the same moment, on another wall.
    assert (await edit(house, photo, taken_at="2024-08-02T00:00:00.5+14:00")).json["version"] == 4
    assert [item["id"] for item in await house.photos("from=2024-08-02")] == [photo]
    assert (await edit(house, photo, taken_at="2024-08-01T10:00:00Z")).json["metadata"][
        "taken_at"
    ] == "2024-08-01T10:00:00Z"


async def test_capture_times_that_no_photograph_has_are_refused(house: House, photo: str) -> None:
    for value in (
        "1825-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
        "2024-07-01",
        "2024-07-01T10:00:00",
        "now",
        "",
        5,
        None,
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "2024-07-01T10:00:00+24:00",
    ):
        answer = await edit(house, photo, taken_at=value)
        assert answer.status == 422, value
        assert answer.json["errors"][0]["field"] == "taken_at"
    assert (await edit(house, photo, taken_at="1826-01-01T00:00:00Z")).json["metadata"][
        "taken_at"
    ] == "1826-01-01T00:00:00Z"


async def test_a_location_can_be_set_and_taken_away(house: House, photo: str) -> None:
    assert (await edit(house, photo, location={"lat": -17, "lon": 180})).json["metadata"]["location"] == {
        "lat": -17.0,
        "lon": 180.0,
    }
    assert len(await house.photos("bbox=170,-20,-170,-10")) == 1
    assert (await edit(house, photo, location=None)).json["metadata"]["location"] is None
    assert await house.photos("bbox=-180,-90,180,90") == []
    for value in (
        {"lat": 91, "lon": 0},
        {"lat": 0, "lon": -181},
        {"lat": 1},
        {},
        [1, 2],
        "1,2",
        {"lat": 1, "lon": 2, "alt": 3},
    ):
        answer = await edit(house, photo, location=value)
        assert answer.status == 422, value
        assert answer.json["errors"][0]["field"].startswith("location")


STRANGE = [
    "<script>alert('x')</script> & \"quotes\" 'single' \\ back",
    "\u202eright to left\u202c \u2066isolate\u2069 \u200fmarks\u200b",
    'AND OR NOT NEAR("a" b, 5) ^col: words:x * " - + {a} (((',
    "line one\nline two\r\n\ttab\u2028separator\u2029end",
    "'; drop table photos; --",
    "%s %d {0} {x} $1 :q ?",
    "👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301\u0301\u0301 ﷽ \U0010fffd \ufffe",
    "\x01\x1b[31mred\x1b[0m\x7f",
    "null",
    "[]",
    "{}",
    "\\u0000",
    "\ufeffBOM",
]


async def test_strange_lines_are_kept_as_they_are(house: House, photo: str) -> None:
    for line in STRANGE:
        answer = await edit(house, photo, description=line, keywords=[line])
        assert answer.status == 200, line
        assert answer.json["description"] == unicodedata.normalize("NFC", line)
        assert (await house.ana.get("/photos")).json["items"] == [answer.json]
        history = (await house.ana.get(f"/photos/{photo}/history")).json["items"]
        assert history[0]["description"] == answer.json["description"]
        assert (await house.ana.get("/photos", params={"q": line})).status == 200


async def test_what_is_no_text_is_refused_with_a_reason(house: House, photo: str) -> None:
    for text in (b'"a\\u0000b"', b'"\\ud800"', b'"\\udc00x"', b'"\xff"', b'"\xed\xa0\x80"'):
        for body in (b'{"description": %s}' % text, b'{"keywords": [%s]}' % text):
            answer = await send(house, photo, body)
            assert answer.status in (400, 422), body
            assert answer.json["code"] in ("malformed_json", "validation_error")
    assert (await house.ana.get(f"/photos/{photo}")).json["version"] == 1


async def send(house: House, photo_id: str, body: bytes, content_type: str = "application/json") -> Answer:
    """A body as it is."""
    headers = {"Content-Type": content_type}
    return await house.ana.ask("PATCH", f"/photos/{photo_id}/metadata", data=body, headers=headers)


async def test_a_body_that_is_no_edit_is_refused(house: House, photo: str) -> None:
    for body in (b"", b"{", b"not json", b'{"description": "x"} {}', b"\xff\xfe{\x00}\x00"):
        answer = await send(house, photo, body)
        assert (answer.status, answer.json["status"], answer.json["code"]) == (400, 400, "malformed_json"), body
        assert "errors" not in answer.json
    for body, field in (
        (b"[" * 100_000, ""),
        (b"[]", ""),
        (b"null", ""),
        (b'"x"', ""),
        (b'{"metadata": {"width": 3}}', "metadata.width"),
        (b'{"description": null}', "description"),
        (b'{"description": 5}', "description"),
        (b'{"favourite": "yes"}', "favourite"),
        (b'{"favourite": 1}', "favourite"),
        (b'{"keywords": "lake"}', "keywords"),
        (b'{"keywords": [1]}', "keywords[0]"),
        (b'{"metadata": null}', "metadata"),
        (b'{"location": "x"}', "location"),
    ):
        answer = await send(house, photo, body)
        assert (answer.status, answer.json["status"]) == (422, 422), body
        assert [error["field"] for error in answer.json["errors"]] == [field], body
    assert (await send(house, photo, b"description=x", "text/plain")).status == 415
    assert (await send(house, photo, b'{"description": "x"}', "application/merge-patch+json")).status == 200


async def test_an_unknown_field_is_named(house: House, photo: str) -> None:
    assert (await edit(house, photo, descripton="x")).json["errors"] == [
        {"field": "descripton", "message": "is not known here"}
    ]
    [error] = (await edit(house, photo, metadata={"widht": 1})).json["errors"]
    assert error["field"] == "metadata.widht"


async def test_keywords_are_cleaned_counted_and_bounded(house: House, photo: str) -> None:
    kept = (
        await edit(
            house, photo, keywords=["  lake ", "lake", "", "  ", "e\u0301te\u0301", "été", "big\n  boat", "Lake"]
        )
    ).json
    assert kept["metadata"]["keywords"] == ["lake", "été", "big boat", "Lake"]
    assert (await edit(house, photo, keywords=["k" * 200, *(str(number) for number in range(99))])).status == 200
    for keywords in (["k" * 201], [str(number) for number in range(101)], ["a\x00b"]):
        answer = await edit(house, photo, keywords=keywords)
        assert answer.status == 422
        assert answer.json["errors"][0]["field"] == "keywords"
    assert (await edit(house, photo, keywords=[])).json["metadata"]["keywords"] == []


async def test_needs_no_line_is_an_answer(house: House, photo: str) -> None:
    assert (await edit(house, photo, needs_line=False)).json["metadata"]["needs_line"] is False
    assert await house.photos("untold=true") == []
    assert (await edit(house, photo, needs_line=True)).json["metadata"]["needs_line"] is True
    assert len(await house.photos("untold=true")) == 1


async def test_a_photo_whose_file_is_missing_can_be_told_all_the_same(house: House, photo: str) -> None:
    await lose(house.db, "a/lake.jpg", photo)
    answer = await edit(house, photo, description="It was lovely")
    assert (answer.status, answer.json["missing"], answer.json["description"]) == (200, True, "It was lovely")


async def test_every_edit_has_its_row_in_the_feed(home: House) -> None:
    [photo] = await add_photos(home, ["a.jpg"])
    await home.ben.patch(f"/photos/{photo}/metadata", {"description": "Ben was here", "favourite": True})
    await edit(home, photo, description="And ana", version=2)
    await edit(home, photo, description="Too late", version=2)
    rows = await feed(home, photo)
    assert [(row["action"], row["version"]) for row in rows] == [("create", 1), ("update", 2), ("update", 3)]
    [ben] = peek(home.db, "select id from users where name = 'ben'")
    [row] = peek(home.db, f"select actor, device, data, at from changes where entity_id = '{photo}' and version = 2")
    assert row[:2] == (ben[0], "ben's phone")
    assert msgspec.json.decode(row[2]) == {"description": ["", "Ben was here"], "favourite": [0, 1]}
    assert peek(home.db, f"select at from lines where photo_id = '{photo}' and version = 2") == [(row[3],)]


async def test_an_edit_its_history_and_its_row_in_the_feed_are_one_transaction(house: House, photo: str) -> None:
    def fail_behind(tx: Tx) -> None:
        lines.edit(tx, ANA, photo, LineEdit(description="Half done", keywords=["half"]), Based())

    # ana of the library helper does not live in this house, so the history's row is refused after the photo's.
    with pytest.raises(sqlite3.IntegrityError):
        await house.db.write(fail_behind)
    assert (await house.ana.get(f"/photos/{photo}")).json["version"] == 1
    assert len(await feed(house, photo)) == 1
    assert await house.photos("q=half") == []
    assert (await house.ana.get("/keywords")).json["items"] == []


async def test_members_may_edit_and_strangers_and_readers_may_not(home: House) -> None:
    [photo] = await add_photos(home, ["a.jpg"])
    path, change = f"/photos/{photo}/metadata", {"description": "x"}
    assert (await home.eve.patch(path, change)).status == 401
    for scope in ("read", "upload"):
        assert (await (await home.key(scope)).patch(path, change)).status == 403
    assert (await home.ben.patch(path, change)).status == 200
    assert (await (await home.key("write")).patch(path, {"description": "y"})).status == 200
    assert (await home.ana.ask("PUT", path, change)).status == 405
    assert (await home.ana.get(path)).status == 405
    missing = await home.ana.patch(f"/photos/{uuid.uuid4()}/metadata", change)
    assert (missing.status, missing.json["detail"]) == (404, "Photo not found")


async def test_the_text_of_a_conflict_is_json_of_the_whole_photo(house: House, photo: str) -> None:
    await edit(house, photo, description='"quoted" \\ and\nnew line')
    answer = await edit(house, photo, description="x", version=1)
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert msgspec.json.decode(answer.body)["current"]["description"] == '"quoted" \\ and\nnew line'
