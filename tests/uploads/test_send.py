"""POST /photos: a form or the file itself becomes a photo, once, under a good name, or nothing stays behind."""

import asyncio
import base64
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData, MultipartWriter

from tagline.storage.local import LocalStorage
from tagline.storage.provider import STORAGE
from tests.house import Answer, Client, House, behind_its_back, make_photo, running
from tests.photos.files import open_files
from tests.uploads.sending import (
    append,
    begun,
    connected,
    content_digest,
    files,
    jpeg,
    parts,
    send,
    send_form,
    sha256,
)

TAKEN = "2024:07:01 16:02:11"


def feed(house: House, photo_id: str) -> list[Any]:
    """What the change feed tells of a photo: action, who, and with which device."""
    told = "select action, actor, device from changes where entity_id = ? order by seq"
    return behind_its_back(house, told, photo_id)


def nothing_stays(house: House) -> None:
    """No file, and no part of one."""
    assert files(house) == []
    assert parts(house) == []
    assert not [name for name in open_files() if ".tagline-incoming" in name]


# One photo


@pytest.mark.parametrize("prefix", ["", "/api", "/api/v1"])
async def test_a_file_sent_as_it_is_becomes_a_photo_that_is_complete_at_once(house: House, prefix: str) -> None:
    content = jpeg(taken=TAKEN, size=(320, 240))
    answer = await send(house.ana, content, path=f"{prefix}/photos", Content_Disposition='attachment; filename="a.jpg"')
    assert answer.status == 201, answer
    photo = answer.json
    assert photo["object_key"] == "2024/07/a.jpg"
    assert (photo["duplicate"], photo["version"], photo["missing"], photo["trashed"]) == (False, 1, False, False)
    known = photo["metadata"]
    assert (known["width"], known["height"], known["taken_at"]) == (320, 240, "2024-07-01T16:02:11+02:00")
    assert (photo["mime_type"], photo["size"], photo["sha256"]) == ("image/jpeg", len(content), sha256(content))
    assert answer.headers["Location"] == f"/photos/{photo['id']}"
    assert answer.headers["ETag"] == '"1"'
    got = await house.ana.get(answer.headers["Location"])
    assert (got.status, {**got.json, "duplicate": False}) == (200, photo)
    assert (house.library / "2024/07/a.jpg").read_bytes() == content
    assert (await house.ana.get(f"/photos/{photo['id']}/image")).body == content
    assert parts(house) == []
    owner = await house.db.row("accounts.owner")
    assert owner is not None
    assert feed(house, photo["id"])[0] == ("create", owner["id"], "Ana's phone")
    await house.settled()
    assert (await house.ana.get(photo["links"]["thumbnail"])).status == 200
    [listed] = await house.photos()
    assert (listed["id"], bool(listed["placeholder"])) == (photo["id"], True)


async def test_a_form_does_the_same(house: House) -> None:
    answer = await send_form(house.ana, jpeg(taken=TAKEN), "IMG_7.jpg", sha256=sha256(jpeg(taken=TAKEN)).upper())
    assert (answer.status, answer.json["object_key"]) == (201, "2024/07/IMG_7.jpg")
    assert files(house) == ["2024/07/IMG_7.jpg"]
    nothing_new = await house.scan()
    assert (nothing_new["imported_count"], nothing_new["unchanged"]) == (0, 1)


async def test_a_photo_that_a_scan_meets_first_is_the_same_photo(house: House) -> None:
    content = jpeg(taken=TAKEN)
    make_photo(house.library / "copied.jpg").write_bytes(content)
    answer = await house.ana.post("/rescan")
    assert answer.json["imported_count"] == 1
    # Whether the background has come to hash it by now or not.
    sent = await send(house.ana, content)
    assert (sent.status, sent.json["duplicate"], sent.json["object_key"]) == (200, True, "copied.jpg")
    assert files(house) == ["copied.jpg"]


@pytest.mark.parametrize(
    ("query", "disposition", "key"),
    [
        ("", "", "photo.jpg"),
        ("filename=from%20query.jpg", "", "from query.jpg"),
        ("", "attachment; filename=plain.jpg", "plain.jpg"),
        ("", 'attachment; filename="two words.jpg"', "two words.jpg"),
        ("", "attachment; filename=\"x.jpg\"; filename*=UTF-8''caf%C3%A9%20%E2%9C%93.jpg", "café ✓.jpg"),
        ("filename=q.jpg", 'attachment; filename="header.jpg"', "header.jpg"),
        ("", 'attachment; filename="../../etc/passwd"', "passwd.jpg"),
        ("", 'attachment; filename="C:\\\\DCIM\\\\IMG_2.jpg"', "IMG_2.jpg"),
        ("", "attachment; filename=\"a.jpg\"; filename*=UTF-8''..%2F..%2Fb.jpg", "b.jpg"),
        ("filename=q.jpg", ";;;=nonsense", "q.jpg"),
        ("", 'attachment; filename="IMG_1.jpg.part"', "IMG_1.jpg.part.jpg"),
    ],
)
async def test_the_name_comes_from_where_clients_say_it(house: House, query: str, disposition: str, key: str) -> None:
    headers = {"Content_Disposition": disposition} if disposition else {}
    answer = await send(house.ana, jpeg(taken=TAKEN), query, **headers)
    assert (answer.status, answer.json["object_key"]) == (201, f"2024/07/{key}")
    assert files(house) == [f"2024/07/{key}"]


async def test_names_that_are_taken_get_a_number(house: House) -> None:
    keys = []
    for colour in ("navy", "plum", "teal"):
        answer = await send(house.ana, jpeg(colour, taken=TAKEN), "filename=IMG_1.jpg")
        keys.append(answer.json["object_key"])
    assert keys == ["2024/07/IMG_1.jpg", "2024/07/IMG_1-1.jpg", "2024/07/IMG_1-2.jpg"]


async def test_a_folder_where_the_name_would_go_is_in_nobodys_way(house: House) -> None:
    (house.library / "2024/07/IMG_1.jpg").mkdir(parents=True)
    answer = await send(house.ana, jpeg(taken=TAKEN), "filename=IMG_1.jpg")
    assert (answer.status, answer.json["object_key"]) == (201, "2024/07/IMG_1-1.jpg")


def box(kind: bytes, body: bytes) -> bytes:
    """A box of an MP4."""
    return (8 + len(body)).to_bytes(4, "big") + kind + body


async def test_a_video_is_taken_in_as_well(house: House) -> None:
    # ISO/IEC 14496-12: a file type, a movie of two seconds, and what fills it.
    header = bytes(12) + (1000).to_bytes(4, "big") + (2000).to_bytes(4, "big") + bytes(80)
    track = bytes(20 + 56) + (320 << 16).to_bytes(4, "big") + (240 << 16).to_bytes(4, "big")
    handler = box(b"mdia", box(b"hdlr", bytes(8) + b"vide" + bytes(13)))
    movie = box(b"mvhd", header) + box(b"trak", box(b"tkhd", track) + handler)
    film = box(b"ftyp", b"isom\0\0\2\0isommp41") + box(b"moov", movie)
    answer = await send(house.ana, film + box(b"mdat", bytes(1000)), "filename=film.mp4", Content_Type="video/mp4")
    assert (answer.status, answer.json["kind"]) == (201, "video"), answer.json


# The same again


async def test_the_same_content_again_is_the_same_photo_stored_once(house: House) -> None:
    first = await send(house.ana, jpeg(), "filename=a.jpg")
    again = await send(house.ana, jpeg(), "filename=b.jpg")
    by_form = await send_form(house.ana, jpeg(), "c.jpg")
    assert first.status == 201
    for answer in (again, by_form):
        assert (answer.status, answer.json["duplicate"]) == (200, True)
        assert answer.json["id"] == first.json["id"]
        assert "Location" not in answer.headers
    assert len(files(house)) == 1
    assert parts(house) == []
    assert len([told for told in feed(house, first.json["id"]) if told[0] == "create"]) == 1


async def test_the_same_photo_from_eight_devices_at_once_becomes_one(house: House) -> None:
    content = jpeg(size=(640, 480))
    answers = await asyncio.gather(*(send(house.ana, content, f"filename=phone-{number}.jpg") for number in range(8)))
    assert sorted(answer.status for answer in answers) == [200] * 7 + [201]
    assert len({answer.json["id"] for answer in answers}) == 1
    assert len(files(house)) == 1
    assert parts(house) == []
    assert (await house.ana.get("/photos")).json["total"] == 1


async def test_what_is_in_the_trash_stays_there_unless_it_is_wanted_again(house: House) -> None:
    sent = await send(house.ana, jpeg())
    await house.ana.delete(f"/photos/{sent.json['id']}")
    again = await send(house.ana, jpeg())
    assert (again.status, again.json["id"], again.json["trashed"]) == (200, sent.json["id"], True)
    back = await send(house.ana, jpeg(), "again=true")
    assert (back.status, back.json["id"], back.json["trashed"]) == (200, sent.json["id"], False)
    assert back.headers["ETag"] == '"3"'
    assert len(files(house)) == 1


async def test_what_was_deleted_for_good_comes_back_only_if_it_is_wanted_again(house: House) -> None:
    sent = await send(house.ana, jpeg())
    await house.settled()
    assert (await house.ana.delete(f"/photos/{sent.json['id']}?permanently=true")).status == 204
    for answer in (await send(house.ana, jpeg()), await send_form(house.ana, jpeg())):
        assert (answer.status, answer.json["code"]) == (410, "deleted_for_good")
    nothing_stays(house)
    back = await send_form(house.ana, jpeg(), again="true")
    assert (back.status, back.json["duplicate"]) == (201, False)
    assert back.json["id"] != sent.json["id"]
    assert (await send(house.ana, jpeg())).status == 200, "it is wanted again from now on"


async def test_a_photo_whose_file_has_vanished_unnoticed_is_taken_in_again(house: House) -> None:
    sent = await send(house.ana, jpeg(taken=TAKEN), "filename=a.jpg")
    await house.settled()
    (house.library / "2024/07/a.jpg").unlink()
    again = await send(house.ana, jpeg(taken=TAKEN), "filename=b.jpg")
    assert again.status in (200, 201)
    assert again.json["id"] == sent.json["id"], "with its lines"
    assert files(house) == ["2024/07/b.jpg"]
    assert (await house.ana.get(f"/photos/{sent.json['id']}/image")).body == jpeg(taken=TAKEN)


async def test_a_missing_photo_that_is_sent_again_is_found(house: House) -> None:
    sent = await send(house.ana, jpeg(taken=TAKEN), "filename=a.jpg")
    for number in range(6):
        await send(house.ana, jpeg("plum", (10 + number, 10)))
    await house.settled()
    (house.library / "2024/07/a.jpg").unlink()
    await house.scan()
    assert (await house.ana.get(f"/photos/{sent.json['id']}")).json["missing"]
    again = await send(house.ana, jpeg(taken=TAKEN), "filename=a.jpg")
    assert (again.status, again.json["id"], again.json["missing"]) == (201, sent.json["id"], False)


# What clients declare


@pytest.mark.parametrize("how", ["query", "Content-Digest", "Repr-Digest", "two digests"])
async def test_a_declared_hash_that_is_right_is_accepted(house: House, how: str) -> None:
    content, query, headers = jpeg(), "", {}
    if how == "query":
        query = f"sha256={sha256(content)}"
    elif how == "two digests":
        headers = {"Content_Digest": f"sha-512=:{base64.b64encode(bytes(64)).decode()}:, {content_digest(content)}"}
    else:
        headers = {how.replace("-", "_"): content_digest(content)}
    assert (await send(house.ana, content, query, **headers)).status == 201


@pytest.mark.parametrize("how", ["query", "Content-Digest", "Repr-Digest", "field", "digest of the field"])
async def test_a_declared_hash_that_is_wrong_stores_nothing(house: House, how: str) -> None:
    content, other = jpeg(), jpeg("plum")
    if how == "query":
        answer = await send(house.ana, content, f"sha256={sha256(other)}")
    elif how == "field":
        answer = await send_form(house.ana, content, sha256=sha256(other))
    elif how == "digest of the field":
        with MultipartWriter("form-data") as form:
            part = form.append(content, {"Content-Type": "image/jpeg", "Content-Digest": content_digest(other)})
            part.set_content_disposition("form-data", name="file", filename="a.jpg")
        answer = await house.ana.post("/photos", data=form)
    else:
        answer = await send(house.ana, content, **{how.replace("-", "_"): content_digest(other)})
    assert (answer.status, answer.json["code"]) == (422, "validation_error")
    assert answer.json["errors"][0]["field"] == "sha256"
    assert sha256(content) in answer.json["detail"]
    nothing_stays(house)
    assert await house.photos() == []


@pytest.mark.parametrize(
    ("query", "headers", "field"),
    [
        ("sha256=abc", {}, "sha256"),
        ("sha256=" + "g" * 64, {}, "sha256"),
        ("", {"Content_Digest": "sha-256=:abc:"}, "Content-Digest"),
        ("", {"Content_Digest": "sha-256=:AAAA:"}, "Content-Digest"),
        ("taken_at=yesterday", {}, "taken_at"),
        ("taken_at=0001-01-01T00:00:00Z", {}, "taken_at"),
        ("taken_at=9999-12-31T23:59:59Z", {}, "taken_at"),
        ("again=perhaps", {}, "again"),
        ("album=..", {}, "album"),
        ("album=@eaDir", {}, "album"),
        ("album=" + "/".join("abcdefghi"), {}, "album"),
    ],
)
async def test_what_is_declared_wrongly_is_named(house: House, query: str, headers: dict[str, str], field: str) -> None:
    answer = await send(house.ana, jpeg(), query, **headers)
    assert (answer.status, answer.json["code"]) == (422, "validation_error")
    assert answer.json["errors"][0]["field"] == field
    nothing_stays(house)


async def test_a_clients_time_counts_where_the_file_does_not_know_better(house: House) -> None:
    told = "2019-03-04T10:00:00%2B01:00"
    answer = await send(house.ana, jpeg(), f"filename=scan.jpg&taken_at={told}")
    assert (answer.status, answer.json["object_key"]) == (201, "2019/03/scan.jpg")
    assert answer.json["metadata"]["taken_at"] == "2019-03-04T10:00:00+01:00"
    stamp = (house.library / "2019/03/scan.jpg").stat().st_mtime
    assert stamp == 1551690000
    answer = await send(house.ana, jpeg("plum"), f"filename=IMG_20240101_120000.jpg&taken_at={told}")
    assert answer.json["object_key"].startswith("2019/03/"), "better than a date in a name"
    answer = await send(house.ana, jpeg("teal", taken=TAKEN), f"taken_at={told}")
    assert answer.json["object_key"].startswith("2024/07/"), "the camera knows better"
    await house.scan()
    assert {photo["metadata"]["taken_at"][:7] for photo in await house.photos()} == {"2019-03", "2024-07"}, "for good"


async def test_the_folder_is_that_of_the_local_time(house: House) -> None:
    answer = await send(house.ana, jpeg(), "taken_at=2024-12-31T23:30:00-05:00")
    assert answer.json["object_key"] == "2024/12/photo.jpg"


async def test_an_album_is_a_folders_name_or_id(house: House) -> None:
    by_name = await send(house.ana, jpeg(), "filename=a.jpg&album=Summer/Lake%20Como")
    assert (by_name.status, by_name.json["object_key"]) == (201, "Summer/Lake Como/a.jpg")
    [album] = [one for one in (await house.ana.get("/albums")).json["items"] if one["title"] == "Lake Como"]
    by_id = await send_form(house.ana, jpeg("plum"), "b.jpg", album=album["id"].upper())
    assert (by_id.status, by_id.json["object_key"]) == (201, "Summer/Lake Como/b.jpg")
    nobody = "00000000-0000-4000-8000-000000000000"
    assert (await send(house.ana, jpeg("teal"), f"album={nobody}")).status == 404


@pytest.mark.parametrize("album", ["../../outside", "/etc", "a/../../b", "..\\..\\b", "\u202eevil", "CON", ".hidden"])
async def test_an_album_leads_nowhere_but_into_the_library(house: House, album: str) -> None:
    answer = await send_form(house.ana, jpeg(), "a.jpg", album=album)
    assert answer.status in (201, 422)
    if answer.status == 201:
        [key] = files(house)
        assert answer.json["object_key"] == key
        assert ".." not in key
        assert not key.upper().startswith("CON/")
    assert [path.name for path in house.library.parent.iterdir() if path.name in ("outside", "b")] == []


# What is no photo


@pytest.mark.parametrize(
    ("content", "name"),
    [(b"just a text", "a.jpg"), (b"#!/bin/sh\n", "run.sh"), (b"<html>", "a.png"), (bytes(100_000), "a.mp4")],
)
async def test_what_is_no_image_or_video_is_refused_whatever_its_name(house: House, content: bytes, name: str) -> None:
    for answer in (await send(house.ana, content, f"filename={name}"), await send_form(house.ana, content, name)):
        assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type")
    nothing_stays(house)


async def test_a_photo_under_a_wrong_name_is_a_photo(house: House) -> None:
    answer = await send(house.ana, jpeg(), "filename=notes.txt", Content_Type="text/plain")
    assert (answer.status, answer.json["mime_type"]) == (201, "image/jpeg")
    await house.scan()
    assert len(await house.photos()) == 1


async def test_a_broken_picture_says_that_it_is_broken(house: House) -> None:
    answer = await send(house.ana, b"\xff\xd8\xff\xe0 no photo at all")
    assert (answer.status, answer.json["code"]) == (415, "broken_image")
    nothing_stays(house)


async def test_a_picture_that_is_cut_off_is_kept_all_the_same(house: House) -> None:
    """Its headers are right; people have such files, and want what is left of them."""
    content = jpeg(size=(640, 480))
    answer = await send(house.ana, content[: len(content) - 500])
    assert answer.status == 201
    await house.settled()


@pytest.mark.parametrize("how", ["raw", "chunked", "form"])
async def test_an_empty_file_is_no_file(house: House, how: str) -> None:
    async def nothing() -> Any:
        yield b""

    if how == "form":
        answer = await send_form(house.ana, b"")
    else:
        answer = await send(house.ana, b"" if how == "raw" else nothing())
    assert (answer.status, answer.json["code"]) == (400, "no_file")
    nothing_stays(house)


# Forms


async def test_a_form_without_a_file_is_told_so(house: House) -> None:
    form = FormData(default_to_multipart=True)
    form.add_field("sha256", "0" * 64)
    answer = await house.ana.post("/photos", data=form)
    assert (answer.status, answer.json["code"]) == (400, "no_file")


async def test_what_stands_behind_the_file_counts_as_well(house: House) -> None:
    form = FormData()
    form.add_field("file", jpeg(), filename="a.jpg")
    form.add_field("album", "Lake")
    answer = await house.ana.post("/photos", data=form)
    assert (answer.status, answer.json["object_key"]) == (201, "Lake/a.jpg")
    form = FormData()
    form.add_field("file", jpeg("teal"), filename="b.jpg")
    form.add_field("sha256", "0" * 64)
    assert (await house.ana.post("/photos", data=form)).status == 422
    assert files(house) == ["Lake/a.jpg"]


async def test_of_several_files_in_a_form_none_is_stored(house: House) -> None:
    """Rather than one, and the others lost without a word."""
    form = FormData()
    form.add_field("file", jpeg(), filename="a.jpg")
    form.add_field("file", bytes(100_000), filename="b.jpg")
    answer = await house.ana.post("/photos", data=form)
    assert (answer.status, answer.json["code"]) == (400, "several_files")
    assert files(house) == []
    assert (await house.ana.get("/photos")).status == 200, "the connection is still good"


async def test_a_form_in_a_form_is_refused(house: House) -> None:
    with MultipartWriter("form-data") as form, MultipartWriter("mixed") as inner:
        inner.append("x")
        form.append(inner)
    answer = await house.ana.post("/photos", data=form)
    assert (answer.status, answer.json["code"]) == (400, "malformed_form")


def form_of(content: bytes, boundary: str = "XX", head: str = 'name="file"; filename="a.jpg"') -> bytes:
    """A form by hand, without its end."""
    return f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content


@pytest.mark.filterwarnings("ignore::aiohttp.BadContentDispositionHeader")
@pytest.mark.parametrize(
    ("body", "boundary"),
    [
        (form_of(jpeg()), "XX"),
        (form_of(jpeg(size=(640, 480)) + bytes(300_000)), "XX"),
        (form_of(jpeg()) + b"\r\n--X", "XX"),
        (form_of(jpeg()) + b"\r\n--XX--\r\n", "YY"),
        (form_of(jpeg()) + b"\r\n--XX--\r\n", ""),
        (b"no form at all", "XX"),
        (b"--XX\r\n", "XX"),
        (b"--XX\r\nContent-Disposition", "XX"),
        (b"--XX\r\n\xff\xfe: \x00\r\n\r\nx\r\n--XX--", "XX"),
        (form_of(b"x" * 10, head='name="album"'), "XX"),
        (form_of(jpeg(), head="a;b;c"), "XX"),
    ],
)
async def test_a_form_that_is_none_or_has_no_end_stores_nothing(house: House, body: bytes, boundary: str) -> None:
    kind = f"multipart/form-data; boundary={boundary}" if boundary else "multipart/form-data"
    for cut in (False, True):

        async def in_two() -> Any:
            yield body[:-1]
            yield body[-1:]

        answer = await send(house.ana, in_two() if cut else body, Content_Type=kind)
        assert (answer.status, answer.json["code"]) in [(400, "malformed_form"), (400, "no_file")], answer
        nothing_stays(house)


async def test_a_field_that_is_too_long_is_refused(house: House) -> None:
    answer = await send_form(house.ana, jpeg(), album="x" * 5000)
    assert (answer.status, answer.json["code"]) == (413, "too_large")
    nothing_stays(house)


async def test_fields_that_dally_are_given_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tagline.uploads.sending.FIELDS_SECONDS", 0.05)
    async with connected(house.ana) as connection:
        kind = "multipart/form-data; boundary=XX"
        await connection.head("POST", "/photos", {"Content-Type": kind, "Content-Length": 10_000})
        await connection.write(b"--XX\r\nContent-Disp")
        status, _, body = await connection.answer()
    assert (status, b"body_too_slow" in body) == (400, True)


# Too large, no room, not now


async def refused_before_the_body(house: House, headers: dict[str, str | int], path: str = "/photos") -> Answer:
    """A request whose body is never sent is answered, and nobody is told to go on."""
    async with connected(house.ana) as connection:
        await connection.head("POST", path, {"Content-Type": "image/jpeg", **headers})
        status, named, body = await connection.answer()
    nothing_stays(house)
    return Answer(status, named, body)  # type: ignore[arg-type]


async def test_a_file_that_is_too_large_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    async with running(tmp_path / "data", UPLOAD_MAX_MB="1") as house:
        size = {"Content-Length": (1 << 20) + 1}
        answer = await refused_before_the_body(house, {**size})
        assert (answer.status, answer.json["code"]) == (413, "too_large")
        assert "1 MB" in answer.json["detail"]
        answer = await refused_before_the_body(house, {**size, "Expect": "100-continue"})
        assert answer.status == 413, "no 100 came first"
        assert answer.headers["connection"] == "close"
        kind = "multipart/form-data; boundary=XX"
        answer = await refused_before_the_body(
            house, {"Content-Length": 1 << 30, "Content-Type": kind, "Expect": "100-continue"}
        )
        assert answer.status == 413


async def test_a_file_that_turns_out_to_be_too_large_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path / "data", UPLOAD_MAX_MB="1") as house:
        for body in (jpeg(), form_of(jpeg())):
            kind = "image/jpeg" if body == jpeg() else "multipart/form-data; boundary=XX"
            async with connected(house.ana) as connection:
                await connection.head("POST", "/photos", {"Content-Type": kind, "Transfer-Encoding": "chunked"})
                for piece in (body, *[bytes(65536)] * 24):
                    await connection.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                status, _, told = await connection.answer()
            assert (status, b"too_large" in told) == (413, True)
            nothing_stays(house)
        assert (await send(house.ana, jpeg() + bytes((1 << 20) - len(jpeg())))).status == 201, "no byte less is taken"


async def test_a_client_that_waits_is_told_to_go_on_once(house: House) -> None:
    content = jpeg()
    for form in (False, True):
        async with connected(house.ana) as connection:
            body = form_of(content) + b"\r\n--XX--\r\n" if form else content
            kind = "multipart/form-data; boundary=XX" if form else "image/jpeg"
            head = {"Content-Length": len(body), "Content-Type": kind, "Expect": "100-Continue"}
            await connection.head("POST", "/photos", head)
            assert (await connection.answer())[0] == 100
            await connection.write(body)
            status, headers, answer = await connection.answer()
            assert status == (200 if form else 201), answer
            assert "connection" not in headers, "it is good for another request"
            await connection.head("GET", "/photos", {})
            assert (await connection.answer())[0] == 200


async def test_a_client_that_waits_need_not_send_what_is_here_already(house: House) -> None:
    content = jpeg()
    first = await send(house.ana, content)
    async with connected(house.ana) as connection:
        head = {"Content-Length": len(content), "Content-Type": "image/jpeg", "Expect": "100-continue"}
        await connection.head("POST", f"/photos?sha256={sha256(content)}", head)
        status, headers, body = await connection.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert first.json["id"].encode() in body
    await house.settled()
    await house.ana.delete(f"/photos/{first.json['id']}?permanently=true")
    answer = await refused_before_the_body(
        house, {"Content-Length": len(content), "Expect": "100-continue", "Repr-Digest": content_digest(content)}
    )
    assert (answer.status, answer.json["code"]) == (410, "deleted_for_good")


async def test_strangers_are_not_told_to_go_on(house: House) -> None:
    house.ana = house.eve
    answer = await refused_before_the_body(house, {"Content-Length": 1 << 30, "Expect": "100-continue"})
    assert (answer.status, answer.headers["connection"]) == (401, "close")


async def test_http_1_0_knows_no_100(house: House) -> None:
    content = jpeg()
    async with connected(house.ana) as connection:
        head = {"Content-Length": len(content), "Content-Type": "image/jpeg", "Expect": "100-continue"}
        await connection.head("POST", "/photos", head, version="1.0")
        await connection.write(content)
        assert (await connection.answer())[0] == 201


async def test_a_disk_without_room_is_told_before_the_body(tmp_path: Path) -> None:
    async with running(tmp_path / "data", TAGLINE_RESERVE_MB="9999999") as house:
        answer = await refused_before_the_body(house, {"Content-Length": 1000, "Expect": "100-continue"})
        assert (answer.status, answer.json["code"]) == (507, "disk_full")
        for answer in (await send(house.ana, jpeg()), await send_form(house.ana, jpeg())):
            assert (answer.status, answer.json["code"]) == (507, "disk_full")
        assert (await house.ana.get("/photos")).status == 200
        nothing_stays(house)


async def test_room_that_goes_while_a_body_arrives_is_noticed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others write to the disk as well, and a body without a length does not say what it needs."""
    seen = os.statvfs(house.library)

    def full(descriptor: int) -> os.statvfs_result:
        return os.statvfs_result([*seen[:3], 1, 1, *seen[5:]])

    monkeypatch.setattr("os.fstatvfs", full)
    answer = await send(house.ana, jpeg())
    assert (answer.status, answer.json["code"]) == (507, "disk_full")
    nothing_stays(house)


async def test_a_library_that_may_only_be_read_says_so(house: House) -> None:
    storage = house.app[STORAGE]
    assert isinstance(storage, LocalStorage)
    storage._writable = False
    answer = await refused_before_the_body(house, {"Content-Length": 1000, "Expect": "100-continue"})
    assert (answer.status, answer.json["code"]) == (403, "read_only_library")
    for answer in (await send(house.ana, jpeg()), await send_form(house.ana, jpeg())):
        assert (answer.status, answer.json["code"]) == (403, "read_only_library")
        assert "read-only" in answer.json["detail"]


async def test_while_the_library_is_away_nothing_is_taken_in(house: House) -> None:
    assert (await send(house.ana, jpeg())).status == 201
    away = house.library.rename(house.library.with_name("unplugged"))
    for answer in (await send(house.ana, jpeg("plum")), await send_form(house.ana, jpeg("plum"))):
        assert (answer.status, answer.json["code"]) == (503, "storage_unavailable")
        assert "Retry-After" in answer.headers
    assert not house.library.exists()
    away.rename(house.library)
    assert (await send(house.ana, jpeg("plum"))).status == 201


# Who may


async def test_an_upload_key_may_send_and_a_read_key_may_not(house: House) -> None:
    answer = await send(await house.key("read"), jpeg())
    assert (answer.status, answer.json["code"]) == (403, "forbidden")
    assert (await send(house.eve, jpeg())).status == 401
    nothing_stays(house)
    sent = await send(await house.key("upload"), jpeg())
    assert sent.status == 201
    assert feed(house, sent.json["id"])[0][2] == "upload key"


async def test_a_signed_out_phone_stops_sending_at_once(house: House) -> None:
    made = (await house.ana.post("/api/auth/keys", {"name": "phone", "scope": "upload"})).json
    async with connected(house.bearer(made["key"])) as connection:
        await connection.head("POST", "/photos", {"Content-Length": 100_000, "Expect": "100-continue"})
        assert (await connection.answer())[0] == 100
        await connection.write(jpeg())
        await house.ana.delete(f"/api/auth/keys/{made['id']}")
        assert await connection.ended() == b""
    assert files(house) == []


async def test_wrong_methods_are_told_the_right_ones(house: House) -> None:
    answer = await house.ana.ask("PUT", "/photos")
    assert answer.status == 405
    assert "POST" in answer.headers["Allow"]


# Another kind of storage


async def test_it_works_with_photos_in_memory_too(tmp_path: Path) -> None:
    async with running(tmp_path / "data", PHOTO_STORAGE_BACKEND="memory") as house:
        content = jpeg(taken=TAKEN)
        sent = await send(house.ana, content, "filename=a.jpg")
        assert (sent.status, sent.json["object_key"]) == (201, "2024/07/a.jpg")
        assert (await send(house.ana, content)).status == 200
        other = await send_form(house.ana, jpeg("plum", taken=TAKEN), "a.jpg")
        assert other.json["object_key"] == "2024/07/a-1.jpg"
        assert (await house.ana.get(f"/photos/{sent.json['id']}/image")).body == content
        await house.settled()
        assert (await house.ana.get(sent.json["links"]["thumbnail"])).status == 200
        house.memory.away = True
        assert (await send(house.ana, jpeg("teal"))).status == 503
        house.memory.away = False
        assert [path for path in (tmp_path / "data/uploads").iterdir() if path.is_file()] == []


# When writing goes wrong


async def test_a_photo_whose_row_cannot_be_written_leaves_no_file(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await broken(house, monkeypatch, lambda: send(house.ana, jpeg()))
    assert files(house) == []
    assert parts(house) == []
    assert (await send(house.ana, jpeg())).status == 201


async def broken(house: House, monkeypatch: pytest.MonkeyPatch, ask: Callable[[], Any]) -> None:
    """Ask while the database has no room for the photo's row."""
    from tagline.errors import DiskFull
    from tagline.uploads import accepting

    def full(*_: Any) -> None:
        raise DiskFull("The disk with Tagline's data is full.")

    with monkeypatch.context() as patched:
        patched.setattr(accepting, "add", full)
        answer = await ask()
        assert (answer.status, answer.json["code"]) == (507, "disk_full")


async def test_one_that_a_scan_meets_elsewhere_at_the_same_moment_is_stored_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, storage = jpeg(taken=TAKEN), house.app[STORAGE]
    adopt = storage.adopt

    async def after_a_scan(source: Path, key: str) -> Any:
        make_photo(house.library / "copied.jpg").write_bytes(content)
        assert (await house.ana.post("/rescan")).json["imported_count"] == 1
        return await adopt(source, key)

    monkeypatch.setattr(storage, "adopt", after_a_scan)
    sent = await send(house.ana, content, "filename=a.jpg")
    assert (sent.status, sent.json["duplicate"], sent.json["object_key"]) == (200, True, "copied.jpg")
    assert files(house) == ["copied.jpg"]
    assert (await house.ana.get("/photos")).json["total"] == 1


async def test_many_different_photos_at_once_all_arrive(house: House) -> None:
    contents = [jpeg("navy", (20 + number, 30), TAKEN) for number in range(24)]
    answers = await asyncio.gather(*(send(house.ana, content, "filename=IMG.jpg") for content in contents))
    assert [answer.status for answer in answers] == [201] * 24
    stored = {hashlib.sha256((house.library / key).read_bytes()).hexdigest() for key in files(house)}
    assert stored == {sha256(content) for content in contents}
    assert len({answer.json["object_key"] for answer in answers}) == 24
    assert parts(house) == []


async def test_two_people_may_send_the_same(home: House) -> None:
    clients: list[Client] = [home.ana, home.ben]
    answers = [await send(client, jpeg()) for client in clients]
    assert [answer.status for answer in answers] == [201, 200]


async def test_what_scans_are_told_to_leave_out_is_refused_and_the_rest_goes_on(house: House) -> None:
    """It would be missing after the next scan, and its phone would send it again for ever."""
    (house.library / ".taglineignore").write_text("*.png\nPrivate/\n")
    for content, query in ((jpeg(), "filename=shot.png"), (jpeg("red"), "filename=a.jpg&album=Private")):
        refused = await send(house.ana, content, query)
        assert (refused.status, refused.json["code"]) == (415, "left_out")
        nothing_stays(house)
    refused = await append(house.ana, await begun(house.ana, len(jpeg()), filename="shot.png"), 0, jpeg())
    assert (refused.status, refused.json["code"]) == (415, "left_out")
    nothing_stays(house)
    assert (await send(house.ana, jpeg(), "filename=shot.jpg")).status == 201
    assert (await house.ana.post("/rescan")).json["missing"] == 0
