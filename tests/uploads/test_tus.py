"""tus 1.0.0, clause by clause of its text (https://tus.io/protocols/resumable-upload), and what uploads become."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from tagline import times
from tagline.errors import DiskFull
from tagline.storage.provider import STORAGE
from tagline.uploads import accepting, tus
from tagline.uploads.routes import TUS
from tests.house import House, behind_its_back, running, until
from tests.photos.files import open_files
from tests.uploads.sending import (
    CHUNK,
    RESUMABLE,
    append,
    begun,
    checksum,
    connected,
    create,
    files,
    jpeg,
    metadata,
    offset,
    parts,
    send,
    sha256,
)

HOURS = 3600 * 1_000_000
NOBODY = "/api/uploads/00000000-0000-4000-8000-000000000000"
TAKEN = "2024:07:01 16:02:11"


async def whole(house: House, content: bytes, **said: str) -> Any:
    """Upload all at once; the last answer."""
    place = await begun(house.ana, len(content), **said)
    return await append(house.ana, place, 0, content)


def nothing_open(house: House) -> None:
    """No descriptor of a part is left open."""
    assert not [name for name in open_files() if ".tagline-incoming/" in name and "/dav" not in name]


# § Core protocol, § OPTIONS


@pytest.mark.parametrize("path", ["/api/uploads", "/api/v1/uploads"])
async def test_options_tells_what_is_understood_to_anybody(house: House, path: str) -> None:
    answer = await house.eve.ask("OPTIONS", path)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Tus-Version"] == "1.0.0"
    extensions = {"creation", "creation-with-upload", "expiration", "checksum", "termination"}
    assert set(answer.headers["Tus-Extension"].split(",")) == extensions
    assert answer.headers["Tus-Checksum-Algorithm"] == "sha1,sha256"
    assert answer.headers["Tus-Max-Size"] == str(2048 << 20)


async def test_another_version_or_none_is_refused_and_nothing_done(house: House) -> None:
    place = await begun(house.ana, 10)
    for headers in ({"Tus-Resumable": "0.2.2"}, {}):
        for method, path in (("POST", "/api/uploads"), ("HEAD", place), ("PATCH", place), ("DELETE", place)):
            more = {"Upload-Length": "10", "Upload-Offset": "0", "Content-Type": CHUNK["Content-Type"]}
            answer = await house.ana.ask(method, path, headers=more | headers)
            assert answer.status == 412, (method, answer)
            assert answer.headers["Tus-Version"] == "1.0.0"
            assert answer.headers["Tus-Resumable"] == "1.0.0"
            assert method == "HEAD" or answer.json["code"] == "tus_version"
    assert await offset(house.ana, place) == 0


async def test_every_answer_says_which_version_it_is_of(house: House) -> None:
    place = await begun(house.ana, 10)
    read = await house.key("read")
    answers = [
        await create(house.ana, 10),
        await create(house.ana, 0),
        await create(house.eve, 10),
        await create(read, 10),
        await append(house.ana, place, 0, b"x"),
        await append(house.ana, place, 7, b"x"),
        await append(house.ana, NOBODY, 0, b"x"),
        await house.ana.ask("HEAD", place, headers=RESUMABLE),
        await house.ana.get(place),
        await house.ana.ask("PUT", place),
        await house.ana.ask("PUT", "/api/uploads"),
        await house.ana.delete("/api/v1/uploads/x", headers=RESUMABLE),
        await house.ana.delete(place, headers=RESUMABLE),
    ]
    assert [answer.headers.get("Tus-Resumable") for answer in answers] == ["1.0.0"] * len(answers)
    assert [answer.status for answer in answers] == [201, 400, 401, 403, 204, 409, 404, 200, 200, 405, 405, 400, 204]
    assert "Tus-Resumable" not in (await house.ana.get("/photos")).headers


# § Creation


@pytest.mark.parametrize("path", ["/api/uploads", "/api/v1/uploads", "/api/uploads?x=1"])
async def test_an_upload_begins_with_its_length(house: House, path: str) -> None:
    answer = await house.ana.post(path, headers={**RESUMABLE, "Upload-Length": "1000"})
    assert (answer.status, answer.body, answer.headers["Upload-Offset"]) == (201, b"", "0")
    place = answer.headers["Location"]
    assert place.startswith(path.partition("?")[0] + "/")
    head = await house.ana.ask("HEAD", place, headers=RESUMABLE)
    assert (head.status, head.headers["Upload-Offset"], head.headers["Upload-Length"]) == (200, "0", "1000")
    assert head.headers["Cache-Control"] == "no-store"
    assert "Upload-Metadata" not in head.headers
    assert parts(house) == [], "a file is made for what arrives"


async def test_head_gives_the_metadata_back_as_it_was(house: House) -> None:
    told = metadata(filename="été.jpg", filetype="image/jpeg") + ",is_confidential, relativePath bnVsbA== "
    answer = await house.ana.post("/api/uploads", headers={**RESUMABLE, "Upload-Length": "9", "Upload-Metadata": told})
    head = await house.ana.ask("HEAD", answer.headers["Location"], headers=RESUMABLE)
    assert head.headers["Upload-Metadata"] == told.strip()


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 400, "malformed_header"),
        ({"Upload-Defer-Length": "1"}, 400, "malformed_header"),
        ({"Upload-Length": ""}, 400, "malformed_header"),
        ({"Upload-Length": "-1"}, 400, "malformed_header"),
        ({"Upload-Length": "+1"}, 400, "malformed_header"),
        ({"Upload-Length": "1.0"}, 400, "malformed_header"),
        ({"Upload-Length": "1e3"}, 400, "malformed_header"),
        ({"Upload-Length": "٣"}, 400, "malformed_header"),
        ({"Upload-Length": "9" * 400}, 400, "malformed_header"),
        ({"Upload-Length": "0"}, 400, "no_file"),
        ({"Upload-Length": str((2048 << 20) + 1)}, 413, "too_large"),
        ({"Upload-Length": "9" * 18}, 413, "too_large"),
        ({"Upload-Length": "9", "Upload-Metadata": "filename not-base64!"}, 400, "malformed_header"),
        ({"Upload-Length": "9", "Upload-Metadata": "filename a"}, 400, "malformed_header"),
        ({"Upload-Length": "9", "Upload-Metadata": "x" * 501}, 400, "malformed_header"),
        ({"Upload-Length": "9", "Upload-Metadata": "été YQ=="}, 400, "malformed_header"),
        ({"Upload-Length": "9", "Upload-Metadata": metadata(sha256="abc")}, 400, "validation_error"),
        ({"Upload-Length": "9", "Upload-Metadata": metadata(taken_at="yesterday")}, 400, "validation_error"),
        ({"Upload-Length": "9", "Upload-Metadata": metadata(taken_at="0001-01-01T00:00:00Z")}, 400, "validation_error"),
        ({"Upload-Length": "9", "Upload-Metadata": metadata(album="..")}, 400, "validation_error"),
        ({"Upload-Length": "9", "Upload-Metadata": metadata(album=NOBODY[-36:])}, 404, "not_found"),
    ],
)
async def test_a_beginning_that_makes_no_sense_is_refused(
    house: House, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], status: int, code: str
) -> None:
    monkeypatch.setattr(tus, "LONGEST_METADATA", 500)
    answer = await house.ana.post("/api/uploads", headers={**RESUMABLE, **headers})
    assert (answer.status, answer.json["code"]) == (status, code)
    assert behind_its_back(house, "select count(*) from uploads") == [(0,)]


async def test_metadata_that_is_no_text_at_all_is_refused(house: House) -> None:
    async with connected(house.ana) as connection:
        await connection.write(b"POST /api/uploads HTTP/1.1\r\nHost: house\r\nTus-Resumable: 1.0.0\r\n")
        await connection.write(b"Upload-Length: 9\r\nUpload-Metadata: \xff\xfe YQ==\r\nAuthorization: ")
        await connection.write(house.ana.headers["Authorization"].encode() + b"\r\n\r\n")
        assert (await connection.answer())[0] == 400


async def test_nothing_begins_where_there_is_no_room(tmp_path: Path) -> None:
    async with running(tmp_path / "data", TAGLINE_RESERVE_MB="9999999") as house:
        answer = await create(house.ana, 10)
        assert (answer.status, answer.json["code"]) == (507, "disk_full")


async def test_nothing_begins_in_a_library_that_may_only_be_read(house: House) -> None:
    place = await begun(house.ana, 10)
    house.app[STORAGE]._writable = False  # type: ignore[attr-defined]
    for answer in (await create(house.ana, 10), await append(house.ana, place, 0, b"x")):
        assert (answer.status, answer.json["code"]) == (403, "read_only_library")


async def test_content_that_was_deleted_for_good_is_not_even_begun(house: House) -> None:
    content = jpeg()
    sent = await send(house.ana, content)
    await house.settled()
    await house.ana.delete(f"/photos/{sent.json['id']}?permanently=true")
    answer = await create(house.ana, len(content), sha256=sha256(content))
    assert (answer.status, answer.json["code"]) == (410, "deleted_for_good")
    undeclared = await whole(house, content)
    assert (undeclared.status, undeclared.json["code"]) == (410, "deleted_for_good")
    assert parts(house) == []
    again = await whole(house, content, sha256=sha256(content), again="true")
    assert again.status == 204


# § Creation With Upload


async def test_an_upload_may_begin_with_its_first_chunk(house: House) -> None:
    content = jpeg(taken=TAKEN)
    headers = {**CHUNK, "Upload-Length": str(len(content)), "Upload-Metadata": metadata(filename="a.jpg")}
    answer = await house.ana.post("/api/uploads", data=content[:100], headers=headers)
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, "100")
    done = await append(house.ana, answer.headers["Location"], 100, content[100:])
    assert (done.status, files(house)) == (204, ["2024/07/a.jpg"])


async def test_an_upload_may_be_whole_at_its_beginning(house: House) -> None:
    content = jpeg()
    headers = {**CHUNK, "Upload-Length": str(len(content)), "Upload-Checksum": checksum(content)}
    answer = await house.ana.post("/api/uploads", data=content, headers=headers)
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, str(len(content)))
    assert (await house.ana.get(f"/photos/{answer.headers['Tagline-Photo']}")).status == 200


async def test_a_first_chunk_that_is_wrong_leaves_an_upload_to_go_on_with(house: House) -> None:
    content = jpeg()
    headers = {**CHUNK, "Upload-Length": str(len(content)), "Upload-Checksum": checksum(b"other")}
    answer = await house.ana.post("/api/uploads", data=content, headers=headers)
    assert (answer.status, answer.json["code"]) == (460, "checksum_mismatch")
    assert await offset(house.ana, answer.headers["Location"]) == 0
    assert (await append(house.ana, answer.headers["Location"], 0, content)).status == 204


async def test_a_body_of_another_type_is_no_first_chunk(house: House) -> None:
    answer = await house.ana.post(
        "/api/uploads", data=b"xx", headers={**RESUMABLE, "Upload-Length": "9", "Content-Type": "image/jpeg"}
    )
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, "0")


# § HEAD, § PATCH


async def test_chunks_make_a_photo_which_the_last_answer_names(house: House) -> None:
    content = jpeg(size=(320, 240), taken=TAKEN)
    place = await begun(house.ana, len(content), filename="IMG_1.jpg")
    at = 0
    while at < len(content):
        assert await offset(house.ana, place) == at
        answer = await append(house.ana, place, at, content[at : at + 1000])
        at = min(at + 1000, len(content))
        assert (answer.status, answer.headers["Upload-Offset"]) == (204, str(at))
        assert files(house) == ([] if at < len(content) else ["2024/07/IMG_1.jpg"]), "nothing is seen in halves"
    assert (house.library / "2024/07/IMG_1.jpg").read_bytes() == content
    photo = (await house.ana.get(f"/photos/{answer.headers['Tagline-Photo']}")).json
    assert (photo["sha256"], answer.headers["Tagline-Duplicate"]) == (sha256(content), "false")
    assert parts(house) == []
    nothing_open(house)


async def test_after_the_end_head_tells_which_photo_it_has_become(house: House) -> None:
    content = jpeg()
    place = await begun(house.ana, len(content), filename="a.jpg")
    done = await append(house.ana, place, 0, content)
    head = await house.ana.ask("HEAD", place, headers=RESUMABLE)
    assert (head.status, head.headers["Upload-Offset"]) == (200, str(len(content)))
    assert head.headers["Tagline-Photo"] == done.headers["Tagline-Photo"]
    assert "Upload-Expires" not in head.headers
    got = (await house.ana.get(place)).json
    assert (got["photo_id"], got["offset"], got["duplicate"]) == (done.headers["Tagline-Photo"], len(content), False)
    again = await append(house.ana, place, 0, content)
    assert (again.status, again.json["code"]) == (409, "upload_complete")
    assert again.headers["Upload-Offset"] == str(len(content))


async def test_a_duplicate_ends_with_the_photo_that_is_here(house: House) -> None:
    sent = await send(house.ana, jpeg())
    place = await begun(house.ana, len(jpeg()))
    done = await append(house.ana, place, 0, jpeg())
    assert (done.status, done.headers["Tagline-Photo"], done.headers["Tagline-Duplicate"]) == (
        204, sent.json["id"], "true",
    )  # fmt: skip
    head = await house.ana.ask("HEAD", place, headers=RESUMABLE)
    assert head.headers["Tagline-Duplicate"] == "true"
    assert len(files(house)) == 1
    assert parts(house) == []


@pytest.mark.parametrize("wrong", [0, 99, 101, 5000])
async def test_a_wrong_offset_is_refused_with_the_right_one(house: House, wrong: int) -> None:
    place = await begun(house.ana, 1000)
    await append(house.ana, place, 0, jpeg()[:100])
    answer = await append(house.ana, place, wrong, b"x" * 10)
    assert (answer.status, answer.json["code"], answer.headers["Upload-Offset"]) == (409, "wrong_offset", "100")
    assert await offset(house.ana, place) == 100


@pytest.mark.parametrize("header", [None, "", "-1", "a", "1.5", "0x10", "9" * 30])
async def test_an_offset_that_is_none_is_refused(house: House, header: str | None) -> None:
    place = await begun(house.ana, 1000)
    headers = CHUNK if header is None else {**CHUNK, "Upload-Offset": header}
    answer = await house.ana.patch(place, data=b"x", headers=headers)
    assert (answer.status, answer.json["code"]) == (400, "malformed_header")


async def test_a_body_of_another_type_is_no_chunk(house: House) -> None:
    place = await begun(house.ana, 1000)
    answer = await append(house.ana, place, 0, b"x", Content_Type="image/jpeg")
    assert (answer.status, await offset(house.ana, place)) == (415, 0)


@pytest.mark.parametrize("how", ["at once", "with a length that lies", "without a length", "one byte too many"])
async def test_more_than_was_announced_is_refused_and_counts_for_nothing(house: House, how: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x" * 300

    place = await begun(house.ana, 1000)
    await append(house.ana, place, 0, b"x" * 500)
    body: Any = {"without a length": pieces(), "one byte too many": b"x" * 501}.get(how, b"x" * 5000)
    answer = await append(house.ana, place, 500, body)
    assert answer.status == 413
    assert answer.json["code"] in ("beyond_length", "too_large")
    assert await offset(house.ana, place) == 500


async def test_an_empty_chunk_changes_nothing(house: House) -> None:
    place = await begun(house.ana, 1000)
    answer = await append(house.ana, place, 0, b"")
    assert (answer.status, answer.headers["Upload-Offset"]) == (204, "0")


async def test_chunks_without_a_length_are_taken(house: House) -> None:
    content = jpeg()

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(content), 100):
            yield content[at : at + 100]

    place = await begun(house.ana, len(content))
    assert (await append(house.ana, place, 0, pieces())).status == 204
    assert (house.library / files(house)[0]).read_bytes() == content


async def test_a_waiting_client_is_told_to_go_on_only_where_its_bytes_fit(house: House) -> None:
    content = jpeg()
    place = await begun(house.ana, len(content))
    for at, size, status in ((7, 100, 409), (0, 5000, 413), (0, len(content), 100)):
        async with connected(house.ana) as connection:
            head = {**CHUNK, "Upload-Offset": at, "Content-Length": size, "Expect": "100-continue"}
            await connection.head("PATCH", place, head)
            assert (await connection.answer())[0] == status
            if status == 100:
                await connection.write(content)
                assert (await connection.answer())[0] == 204


async def test_get_tells_people_how_far_it_is_and_disturbs_nobody(house: House) -> None:
    content = jpeg()
    place = await begun(house.ana, len(content))
    async with connected(house.ana) as connection:
        await connection.head("PATCH", place, {**CHUNK, "Upload-Offset": 0, "Content-Length": len(content)})
        await connection.write(content[:200])
        await until(lambda: arriving(house))
        got = await house.ana.get(place)
        assert (got.status, got.json["size"], got.json["photo_id"]) == (200, len(content), None)
        await connection.write(content[200:])
        assert (await connection.answer())[0] == 204


async def arriving(house: House) -> bool:
    """Whether somebody is sending right now."""
    return bool(house.app[TUS]._receiving)


# § Who


async def test_an_upload_is_its_users_own(home: House) -> None:
    place = await begun(home.ana, 1000)
    await append(home.ana, place, 0, b"x" * 10)
    for answer in (
        await home.ben.ask("HEAD", place, headers=RESUMABLE),
        await home.ben.get(place),
        await append(home.ben, place, 10, b"x"),
        await home.ben.delete(place, headers=RESUMABLE),
    ):
        assert answer.status == 404
    assert (await append(home.ben, place, 10, b"x")).json["code"] == "upload_unknown"
    assert await offset(home.ana, place) == 10
    assert (await append(home.eve, place, 10, b"x")).status == 401
    assert await offset(await home.key("upload"), place) == 10, "another device of the same person"
    assert (await create(await home.key("read"), 10)).status == 403


@pytest.mark.parametrize("name", ["x", "..%2f..%2fetc", "0" * 36, "%00"])
async def test_an_id_that_is_none_is_refused(house: House, name: str) -> None:
    answer = await house.ana.ask("HEAD", f"/api/uploads/{name}", headers=RESUMABLE)
    assert answer.status in (400, 404)


# § Checksum


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
async def test_a_checksum_that_is_wrong_throws_the_chunk_away(house: House, algorithm: str) -> None:
    content = jpeg()
    place = await begun(house.ana, len(content))
    first = await append(house.ana, place, 0, content[:100], Upload_Checksum=checksum(content[:100], algorithm))
    assert first.status == 204
    for damaged in (content[100:200][:-1] + b"?", b"", content[100:150]):
        answer = await append(house.ana, place, 100, damaged, Upload_Checksum=checksum(content[100:200], algorithm))
        assert (answer.status, answer.json["code"], answer.json["title"]) == (
            460, "checksum_mismatch", "Checksum Mismatch",
        )  # fmt: skip
        assert await offset(house.ana, place) == 100
    rest = await append(house.ana, place, 100, content[100:], Upload_Checksum=checksum(content[100:], algorithm))
    assert rest.status == 204
    assert (house.library / files(house)[0]).read_bytes() == content
    nothing_open(house)


@pytest.mark.parametrize(
    "header",
    ["md5 1B2M2Y8AsgTpgAmY7PhCfg==", "crc32 AAAAAA==", "sha1", "sha1 ", "sha1 !!", "sha256 AAAA", "", "SHA1 x"],
)
async def test_a_checksum_that_is_none_is_refused(house: House, header: str) -> None:
    place = await begun(house.ana, 100)
    answer = await append(house.ana, place, 0, b"x", Upload_Checksum=header)
    assert (answer.status, answer.json["code"]) == (400, "malformed_header")
    assert await offset(house.ana, place) == 0


async def test_a_chunk_with_a_checksum_that_breaks_off_counts_for_nothing(house: House) -> None:
    content = jpeg()
    place = await begun(house.ana, len(content))
    for checked, kept in ((True, 0), (False, 300)):
        async with connected(house.ana) as connection:
            head = {**CHUNK, "Upload-Offset": 0, "Content-Length": len(content)}
            await connection.head(
                "PATCH", place, {**head, **({"Upload-Checksum": checksum(content)} if checked else {})}
            )
            await connection.write(content[:300])
            await until(lambda: arriving(house))
            await asyncio.sleep(0)
            connection.cut()
            await until(lambda: nobody(house))
        if checked:
            assert await offset(house.ana, place) == kept
        else:
            assert await offset(house.ana, place) <= kept, "as far as it came"
    nothing_open(house)


async def nobody(house: House) -> bool:
    """Whether nobody is sending right now."""
    return not house.app[TUS]._receiving


async def test_a_service_that_was_killed_before_it_knew_a_checksum_forgets_that_chunk(house: House) -> None:
    content = jpeg()
    place = await begun(house.ana, len(content))
    await append(house.ana, place, 0, content[:100])
    [part] = parts(house)
    part.write_bytes(content[:100] + b"?" * 50)
    behind_its_back(house, "update uploads set unchecked_from = 100")
    assert (await house.ana.get(place)).json["offset"] == 100
    assert await offset(house.ana, place) == 100
    # What comes then without a checksum counts, and goes on to count.
    assert (await append(house.ana, place, 100, content[100:200])).headers["Upload-Offset"] == "200"
    assert await offset(house.ana, place) == 200
    assert (await append(house.ana, place, 200, content[200:])).status == 204
    assert (house.library / files(house)[0]).read_bytes() == content


async def test_one_that_was_killed_before_a_byte_of_a_checked_chunk_came_loses_nothing(house: House) -> None:
    content = jpeg()
    place = await begun(house.ana, len(content))
    await append(house.ana, place, 0, content[:100])
    behind_its_back(house, "update uploads set unchecked_from = 100")
    assert (await append(house.ana, place, 100, content[100:200])).status == 204
    assert await offset(house.ana, place) == 200


# A declared hash of the whole file


async def test_a_file_that_is_not_what_was_declared_is_thrown_away(house: House) -> None:
    answer = await whole(house, jpeg(), sha256=sha256(jpeg("plum")))
    assert (answer.status, answer.json["code"]) == (460, "checksum_mismatch")
    assert (files(house), parts(house)) == ([], [])
    assert behind_its_back(house, "select count(*) from uploads") == [(0,)]
    assert (await whole(house, jpeg(), sha256=sha256(jpeg()).upper())).status == 204


async def test_what_is_no_photo_is_thrown_away(house: House) -> None:
    answer = await whole(house, b"only a text", filename="a.jpg", filetype="image/jpeg")
    assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type")
    assert (files(house), parts(house)) == ([], [])


async def test_metadata_says_name_time_and_album(house: House) -> None:
    await whole(house, jpeg(), filename="a.jpg", taken_at="2019-03-04T10:00:00+01:00")
    await whole(house, jpeg("plum"), name="b.jpg", album="Summer")
    await whole(house, jpeg("teal", taken=TAKEN), filename="../../c.jpg", name="other.jpg")
    assert files(house) == ["2019/03/a.jpg", "2024/07/c.jpg", "Summer/b.jpg"]


# § Expiration


async def test_every_answer_of_an_open_upload_says_when_it_expires(house: House) -> None:
    answer = await create(house.ana, 1000)
    place = answer.headers["Location"]
    patched = await append(house.ana, place, 0, b"x")
    head = await house.ana.ask("HEAD", place, headers=RESUMABLE)
    for one in (answer, patched, head):
        left = parsedate_to_datetime(one.headers["Upload-Expires"]).timestamp() - times.now() / 1_000_000
        assert 47 * 3600 < left <= 48 * 3600 + 1


async def test_an_upload_that_nobody_goes_on_with_expires(tmp_path: Path) -> None:
    async with running(tmp_path / "data", UPLOAD_EXPIRES_HOURS="1") as house:
        left, kept, done = [await begun(house.ana, len(jpeg())) for _ in range(3)]
        await append(house.ana, left, 0, b"x" * 10)
        await append(house.ana, kept, 0, jpeg()[:10])
        await append(house.ana, done, 0, jpeg())
        behind_its_back(house, "update uploads set active_at = active_at - ?", 61 * HOURS // 60)
        await append(house.ana, kept, 10, jpeg()[10:20])
        assert await house.app[TUS].expire(times.now()) == 2
        assert [path.name for path in parts(house)] == [kept[-36:]]
        assert await offset(house.ana, kept) == 20
        for gone in (left, done):
            answer = await append(house.ana, gone, 10, b"x")
            assert (answer.status, answer.json["code"]) == (404, "upload_unknown")
        assert len(files(house)) == 1, "the photo stays"


async def test_one_that_is_being_sent_does_not_expire(house: House) -> None:
    content = jpeg()
    place = await begun(house.ana, len(content))
    async with connected(house.ana) as connection:
        await connection.head("PATCH", place, {**CHUNK, "Upload-Offset": 0, "Content-Length": len(content)})
        await connection.write(content[:100])
        await until(lambda: arriving(house))
        behind_its_back(house, "update uploads set active_at = active_at - ?", 100 * HOURS)
        assert await house.app[TUS].expire(times.now()) == 0
        await connection.write(content[100:])
        assert (await connection.answer())[0] == 204


async def test_one_whose_connection_breaks_off_each_time_does_not_expire(house: House) -> None:
    content = jpeg()
    place = await begun(house.ana, len(content))
    async with connected(house.ana) as connection:
        await connection.head("PATCH", place, {**CHUNK, "Upload-Offset": 0, "Content-Length": len(content)})
        await connection.write(content[:100])
        await until(lambda: arriving(house))
        behind_its_back(house, "update uploads set active_at = active_at - ?", 100 * HOURS)
    assert await offset(house.ana, place) == 100
    assert await house.app[TUS].expire(times.now()) == 0
    assert (await append(house.ana, place, 100, content[100:])).status == 204


# § Termination


async def test_an_upload_can_be_given_up(house: House) -> None:
    place = await begun(house.ana, 1000)
    await append(house.ana, place, 0, b"x" * 10)
    answer = await house.ana.delete(place, headers=RESUMABLE)
    assert (answer.status, answer.body) == (204, b"")
    assert parts(house) == []
    for gone in (
        await house.ana.ask("HEAD", place, headers=RESUMABLE),
        await append(house.ana, place, 10, b"x"),
        await house.ana.delete(place, headers=RESUMABLE),
    ):
        assert gone.status == 404


async def test_giving_up_what_is_a_photo_by_now_leaves_the_photo(house: House) -> None:
    place = await begun(house.ana, len(jpeg()))
    await append(house.ana, place, 0, jpeg())
    assert (await house.ana.delete(place, headers=RESUMABLE)).status == 204
    assert len(await house.photos()) == 1
    assert len(files(house)) == 1


async def test_giving_up_ends_who_is_sending(house: House) -> None:
    place = await begun(house.ana, 100_000)
    async with connected(house.ana) as connection:
        await connection.head("PATCH", place, {**CHUNK, "Upload-Offset": 0, "Content-Length": 100_000})
        await connection.write(b"x" * 100)
        await until(lambda: arriving(house))
        assert (await house.ana.delete(place, headers=RESUMABLE)).status == 204
        assert await connection.ended() == b""
    assert parts(house) == []
    nothing_open(house)


# X-HTTP-Method-Override


async def test_clients_that_only_post_can_patch_and_delete(house: House) -> None:
    content = jpeg()
    place = await begun(house.ana, len(content))
    headers = {**CHUNK, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    answer = await house.ana.post(place, data=content[:100], headers=headers)
    assert (answer.status, answer.headers["Upload-Offset"]) == (204, "100")
    over = await house.ana.post(place, headers={**RESUMABLE, "X-HTTP-Method-Override": "DELETE"})
    assert (over.status, parts(house)) == (204, [])
    for method in ("", "PUT"):
        wrong = await house.ana.post(place, headers={**RESUMABLE, "X-HTTP-Method-Override": method})
        assert wrong.status == 405
        assert "PATCH" in wrong.headers["Allow"]


# Two connections, restarts, full disks


async def test_a_phone_that_comes_back_takes_over_from_its_own_dead_connection(house: House) -> None:
    content = jpeg(size=(640, 480))
    place = await begun(house.ana, len(content))
    async with connected(house.ana) as dead:
        await dead.head("PATCH", place, {**CHUNK, "Upload-Offset": 0, "Content-Length": len(content)})
        await dead.write(content[:1000])
        await until(lambda: arriving(house))
        # Several at once, as a client does that tries again before its first try has failed.
        at, other = await asyncio.gather(offset(house.ana, place), offset(house.ana, place))
        assert at == other <= 1000
        assert await dead.ended() == b"", "nobody writes to the same upload twice"
        answer = await append(house.ana, place, at, content[at:])
    assert answer.status == 204
    assert (house.library / files(house)[0]).read_bytes() == content
    nothing_open(house)


async def test_of_two_that_send_the_same_chunk_one_is_right(house: House) -> None:
    content = jpeg(size=(640, 480))
    place = await begun(house.ana, len(content))
    answers = await asyncio.gather(*(append(house.ana, place, 0, content) for _ in range(4)), return_exceptions=True)
    statuses = [answer.status for answer in answers if not isinstance(answer, BaseException)]
    assert set(statuses) <= {204, 409}
    at = await offset(house.ana, place)
    if at < len(content):
        await append(house.ana, place, at, content[at:])
    assert [hashlib.sha256((house.library / key).read_bytes()).hexdigest() for key in files(house)] == [sha256(content)]


async def test_parts_survive_a_restart(tmp_path: Path) -> None:
    content = jpeg(size=(640, 480))
    async with running(tmp_path / "data") as house:
        place = await begun(house.ana, len(content), filename="a.jpg")
        await append(house.ana, place, 0, content[:5000])
        other = await begun(house.ana, 100)
        done = await begun(house.ana, len(jpeg()))
        await append(house.ana, done, 0, jpeg())
        stray = house.library / ".tagline-incoming/left by a kill"
        stray.write_bytes(b"half a photo")
    async with running(tmp_path / "data") as house:
        assert not stray.exists(), "nobody comes back to it"
        assert [await offset(house.ana, one) for one in (place, other)] == [5000, 0]
        assert (await append(house.ana, place, 5000, content[5000:])).status == 204
        assert (await house.photo("a.jpg"))["sha256"] == sha256(content)
        head = await house.ana.ask("HEAD", done, headers=RESUMABLE)
        assert "Tagline-Photo" in head.headers


async def test_one_that_could_not_be_finished_is_finished_when_somebody_asks(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = jpeg()
    place = await begun(house.ana, len(content), sha256=sha256(content))

    def full(*_: Any) -> str:
        raise DiskFull("The disk with Tagline's data is full.")

    with monkeypatch.context() as patched:
        patched.setattr(accepting, "add", full)
        answer = await append(house.ana, place, 0, content)
        assert (answer.status, answer.json["code"]) == (507, "disk_full")
        assert (await house.ana.ask("HEAD", place, headers=RESUMABLE)).status == 507, "it is no photo yet"
        assert (files(house), len(parts(house))) == ([], 1)
    head = await house.ana.ask("HEAD", place, headers=RESUMABLE)
    assert (head.status, head.headers["Upload-Offset"]) == (200, str(len(content)))
    assert (await house.ana.get(f"/photos/{head.headers['Tagline-Photo']}")).status == 200
    assert parts(house) == []
    nothing_open(house)


async def test_one_that_was_killed_between_its_file_and_its_row_becomes_one_photo(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file has its name in the library, and the part is there still: no second name is taken."""
    content = jpeg(taken=TAKEN)
    place = await begun(house.ana, len(content), filename="a.jpg")
    with monkeypatch.context() as patched:
        patched.setattr(accepting, "add", lambda *_: 1 / 0)
        patched.setattr(house.app[STORAGE], "give_back", nothing_happens)
        assert (await append(house.ana, place, 0, content)).status == 500
    assert (files(house), len(parts(house))) == (["2024/07/a.jpg"], 1)
    head = await house.ana.ask("HEAD", place, headers=RESUMABLE)
    assert head.status == 200
    assert files(house) == ["2024/07/a.jpg"]
    assert (await house.photo("a.jpg"))["id"] == head.headers["Tagline-Photo"]


async def test_the_same_where_a_scan_came_first(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    content = jpeg(taken=TAKEN)
    place = await begun(house.ana, len(content), filename="a.jpg")
    with monkeypatch.context() as patched:
        patched.setattr(accepting, "add", lambda *_: 1 / 0)
        patched.setattr(house.app[STORAGE], "give_back", nothing_happens)
        await append(house.ana, place, 0, content)
    await house.ana.post("/rescan")
    head = await house.ana.ask("HEAD", place, headers=RESUMABLE)
    assert (head.status, files(house)) == (200, ["2024/07/a.jpg"])
    assert [photo["id"] for photo in await house.photos()] == [head.headers["Tagline-Photo"]]


async def nothing_happens(*_: Any) -> None:
    """What a service does that was killed."""


async def test_while_the_library_is_away_uploads_wait(house: House) -> None:
    content = jpeg()
    await send(house.ana, jpeg("plum"))
    place = await begun(house.ana, len(content))
    await append(house.ana, place, 0, content[:100])
    away = house.library.rename(house.library.with_name("unplugged"))
    assert (await append(house.ana, place, 100, content[100:])).status == 503
    assert (await house.ana.ask("HEAD", place, headers=RESUMABLE)).status == 503, "and not: nothing is here"
    away.rename(house.library)
    assert await offset(house.ana, place) == 100
    assert (await append(house.ana, place, 100, content[100:])).status == 204


async def test_a_web_page_of_a_named_origin_may_upload(tmp_path: Path) -> None:
    """Uppy in a browser asks first, and reads what it needs from the answers."""
    page = {"Origin": "https://app.example"}
    async with running(tmp_path / "data", CORS_ALLOWED_ORIGINS="https://app.example") as house:
        sent = "authorization,content-type,tus-resumable,upload-offset,upload-length,upload-metadata,upload-checksum"
        asking = {**page, "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": sent}
        for path in ("/api/uploads", NOBODY):
            answer = await house.eve.ask("OPTIONS", path, headers=asking)
            assert answer.status == 204
            assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
            allowed = answer.headers["Access-Control-Allow-Headers"].lower().replace(" ", "").split(",")
            assert set(sent.split(",")) | {"x-http-method-override"} <= set(allowed)
        made = await house.ana.post("/api/uploads", headers={**RESUMABLE, **page, "Upload-Length": str(len(jpeg()))})
        done = await append(house.ana, made.headers["Location"], 0, jpeg(), Origin="https://app.example")
        for answer in (made, done):
            shown = answer.headers["Access-Control-Expose-Headers"].split(", ")
            ours = {name for name in answer.headers if name.startswith(("Tus-", "Upload-", "Tagline-", "Location"))}
            assert ours <= set(shown)


async def test_an_id_in_capitals_is_the_same_id(house: House) -> None:
    place = await begun(house.ana, 10)
    assert await offset(house.ana, place[:-36] + place[-36:].upper()) == 0


async def test_metadata_may_be_padded_as_it_likes(house: House) -> None:
    name = base64.b64encode(b"IMG 1.jpg").decode()
    headers = {**RESUMABLE, "Upload-Length": "9", "Upload-Metadata": f"filename   {name} ,, filetype ,"}
    assert (await house.ana.post("/api/uploads", headers=headers)).status == 201
