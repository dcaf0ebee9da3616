"""PUT: a file that is stored is a photo at once; what it takes the place of is kept."""

import asyncio
import hashlib
import os
from contextlib import suppress
from pathlib import Path

import pytest

from tagline.storage.provider import STORAGE
from tests.house import House, running, until
from tests.photos.files import encoded, noise
from tests.uploads.dav.webdav import find, jpeg, left_behind, listed, move, on_disk, properties, put, raw, share


async def test_a_file_that_is_put_is_a_photo_at_once(house: House) -> None:
    dav = await share(house, "upload")
    answer = await put(dav, "IMG_1.jpg", jpeg(1))
    assert answer.status == 201
    photo = await house.photo("IMG_1.jpg")
    assert photo["object_key"] == "IMG_1.jpg"
    assert photo["sha256"] == hashlib.sha256(jpeg(1)).hexdigest()
    got = await dav.get("/dav/IMG_1.jpg")
    assert (got.status, got.body, got.headers["Content-Type"]) == (200, jpeg(1), "image/jpeg")
    assert got.headers["ETag"] == answer.headers["ETag"]
    await house.settled()
    assert (await house.ana.get(photo["links"]["thumbnail"])).status == 200
    assert left_behind(house) == []


async def test_who_put_a_photo_is_in_the_change_feed(house: House) -> None:
    await put(await share(house, "upload"), "IMG_1.jpg", jpeg(1))
    owner = await house.db.row("accounts.owner")
    changes = await house.db.rows("changes.since", seq=0, limit=1000)
    created = [change for change in changes if change["entity"] == "photo" and change["action"] == "create"]
    assert len(created) == 1
    assert owner is not None


async def test_a_stranger_can_put_nothing(house: House) -> None:
    answer = await house.eve.ask("PUT", "/dav/IMG_1.jpg", data=jpeg(1))
    assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
    assert answer.headers.getall("WWW-Authenticate")[1] == 'Basic realm="Tagline", charset="UTF-8"'
    assert on_disk(house) == []


async def test_putting_the_same_again_changes_nothing(house: House) -> None:
    dav = await share(house)
    await put(dav, "IMG_1.jpg", jpeg(1))
    await house.settled()
    before = await house.photo("IMG_1.jpg")
    assert (await put(dav, "IMG_1.jpg", jpeg(1))).status == 204
    assert await house.photo("IMG_1.jpg") == before
    assert on_disk(house) == ["IMG_1.jpg"]


async def test_other_bytes_are_a_new_version_and_the_old_file_is_in_the_trash(house: House) -> None:
    dav = await share(house)
    assert (await dav.ask("MKCOL", "/dav/a")).status == 201
    await put(dav, "a/IMG_1.jpg", jpeg(1))
    before = await house.photo("IMG_1.jpg")
    await house.ana.patch(f"/photos/{before['id']}/metadata", {"description": "the lake"})
    assert (await put(dav, "a/IMG_1.jpg", jpeg(2))).status == 204
    now = await house.photo("IMG_1.jpg")
    assert (now["id"], now["description"]) == (before["id"], "the lake")
    assert now["version"] > before["version"]
    assert (await house.ana.get(now["links"]["image"])).body == jpeg(2)
    [old] = await house.photos("trashed=true")
    assert (await house.ana.get(old["links"]["image"])).body == jpeg(1)
    assert await listed(dav, "a/") == ["IMG_1.jpg"]
    # And it can be taken back.
    assert (await house.ana.post(f"/photos/{old['id']}/restore")).status == 200
    assert await listed(dav, "a/") == ["IMG_1-1.jpg", "IMG_1.jpg"]
    scan = await house.scan()
    assert (scan["unchanged"], scan["imported_count"], scan["missing"]) == (2, 0, 0)


async def test_a_third_content_keeps_both_before_it(house: House) -> None:
    dav = await share(house)
    for seed in (1, 2, 3):
        await put(dav, "IMG_1.jpg", jpeg(seed))
    trashed = await house.photos("trashed=true")
    kept = {(await house.ana.get(photo["links"]["image"])).body for photo in trashed}
    assert kept == {jpeg(1), jpeg(2)}
    assert on_disk(house) == ["IMG_1-1.jpg", "IMG_1-2.jpg", "IMG_1.jpg"]


async def test_a_photo_over_which_something_else_is_put_goes_to_the_trash_with_its_line(house: House) -> None:
    dav = await share(house)
    await put(dav, "IMG_1.jpg", jpeg(1))
    photo = await house.photo("IMG_1.jpg")
    await house.ana.patch(f"/photos/{photo['id']}/metadata", {"description": "the lake"})
    assert (await put(dav, "IMG_1.jpg", b"no photo any more")).status == 204
    [old] = await house.photos("trashed=true")
    assert (old["id"], old["description"], old["object_key"]) == (photo["id"], "the lake", "IMG_1-1.jpg")
    assert (await house.ana.get(old["links"]["image"])).body == jpeg(1)
    assert (await dav.get("/dav/IMG_1.jpg")).body == b"no photo any more"


async def test_over_a_copy_of_a_photo_the_photo_stays_what_it_is(house: House) -> None:
    dav = await share(house)
    await put(dav, "a.jpg", jpeg(1))
    await put(dav, "b.jpg", jpeg(1))
    [photo] = await house.photos()
    assert (await put(dav, "b.jpg", jpeg(2))).status == 204
    assert (await house.photo("a.jpg"))["id"] == photo["id"]
    assert (await house.photo("b.jpg"))["id"] != photo["id"]
    assert await house.photos("trashed=true") == []
    assert on_disk(house) == [".tagline-trash/b.jpg", "a.jpg", "b.jpg"]


async def test_content_that_is_here_already_is_another_path_of_its_photo(house: House) -> None:
    dav = await share(house, "upload")
    await put(dav, "a.jpg", jpeg(1))
    assert (await put(dav, "b.jpg", jpeg(1))).status == 201
    assert len(await house.photos()) == 1
    assert await listed(dav) == ["a.jpg", "b.jpg"]
    assert (await house.scan())["unchanged"] == 2


async def test_content_from_the_trash_that_is_put_again_is_restored_where_it_was_put(house: House) -> None:
    dav = await share(house)
    await put(dav, "a.jpg", jpeg(1))
    photo = await house.photo("a.jpg")
    await dav.delete("/dav/a.jpg")
    assert (await put(dav, "b.jpg", jpeg(1))).status == 201
    restored = await house.photo("b.jpg")
    assert (restored["id"], restored["trashed"]) == (photo["id"], False)
    assert await listed(dav) == ["b.jpg"]
    assert on_disk(house) == [".tagline-trash/a.jpg", "b.jpg"]


async def test_the_same_put_again_after_it_was_deleted_is_the_same_photo(house: House) -> None:
    dav = await share(house)
    await put(dav, "a.jpg", jpeg(1))
    photo = await house.photo("a.jpg")
    await dav.delete("/dav/a.jpg")
    assert (await put(dav, "a.jpg", jpeg(1))).status == 201
    assert (await house.photo("a.jpg"))["id"] == photo["id"]
    assert on_disk(house) == ["a.jpg"]


async def test_over_a_photo_in_the_trash_its_file_steps_aside(house: House) -> None:
    dav = await share(house)
    await put(dav, "a.jpg", jpeg(1))
    old = await house.photo("a.jpg")
    await dav.delete("/dav/a.jpg")
    assert (await put(await share(house, "upload"), "a.jpg", jpeg(2))).status == 201
    assert (await house.photo("a.jpg"))["id"] != old["id"]
    [trashed] = await house.photos("trashed=true")
    assert (trashed["id"], trashed["object_key"]) == (old["id"], "a-1.jpg")
    assert await listed(dav) == ["a.jpg"]


async def test_what_nobody_has_scanned_yet_is_kept_as_a_photo_as_well(house: House) -> None:
    (house.library / "a.jpg").write_bytes(jpeg(1))
    dav = await share(house)
    assert (await put(dav, "a.jpg", jpeg(2))).status == 204
    [old] = await house.photos("trashed=true")
    assert (await house.ana.get(old["links"]["image"])).body == jpeg(1)


async def test_files_that_are_no_photos_lie_beside_them_and_are_kept_when_overwritten(house: House) -> None:
    dav = await share(house)
    assert (await put(dav, "IMG_1.xmp", b"<x:xmpmeta/>")).status == 201
    got = await dav.get("/dav/IMG_1.xmp")
    assert (got.body, got.headers["Content-Type"]) == (b"<x:xmpmeta/>", "application/rdf+xml")
    assert (await put(dav, "IMG_1.xmp", b"<x:xmpmeta>2</x:xmpmeta>")).status == 204
    assert on_disk(house) == [".tagline-trash/IMG_1.xmp", "IMG_1.xmp"]
    assert await house.photos() == []
    assert (await house.scan())["skipped"] == 1


async def test_a_browser_runs_nothing_of_what_is_stored(house: House) -> None:
    dav = await share(house)
    for name in ("x.html", "x.svg", "x.js", "x.xhtml"):
        await put(dav, name, b"<script>alert(1)</script>")
        got = await dav.get(f"/dav/{name}")
        assert got.headers["Content-Type"] == "application/octet-stream", name
        assert got.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert got.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_time_that_a_phone_says_is_the_files_time(house: House) -> None:
    dav = await share(house)
    answer = await put(dav, "IMG_1.jpg", jpeg(1), **{"X-OC-Mtime": "1400000000"})
    assert answer.headers["X-OC-Mtime"] == "accepted"
    assert (house.library / "IMG_1.jpg").stat().st_mtime == 1_400_000_000
    assert (await house.photo("IMG_1.jpg"))["metadata"]["taken_at"].startswith("2014-05-13")
    # The same again with another time: the time alone changes.
    await put(dav, "IMG_1.jpg", jpeg(1), **{"X-OC-Mtime": "1400000001"})
    assert (house.library / "IMG_1.jpg").stat().st_mtime == 1_400_000_001
    assert on_disk(house) == ["IMG_1.jpg"]
    assert (await house.scan())["unchanged"] == 1


@pytest.mark.parametrize("said", ["yesterday", "-5", "nan", "1e300", ""])
async def test_a_time_that_is_none_is_left_out(house: House, said: str) -> None:
    assert (await put(await share(house), "IMG_1.jpg", jpeg(1), **{"X-OC-Mtime": said})).status == 201


@pytest.mark.parametrize("kind", ["SHA1", "MD5", "SHA256", "sha1"])
async def test_a_sum_that_is_right_is_fine_and_a_wrong_one_stores_nothing(house: House, kind: str) -> None:
    dav = await share(house)
    right = hashlib.new(kind, jpeg(1)).hexdigest()
    answer = await put(dav, "a.jpg", jpeg(1), **{"OC-Checksum": f"{kind}:{'0' * len(right)}"})
    assert (answer.status, answer.json["code"]) == (400, "checksum_mismatch")
    assert (on_disk(house), left_behind(house), await house.photos()) == ([], [], [])
    assert (await put(dav, "a.jpg", jpeg(1), **{"OC-Checksum": f"{kind}:{right}"})).status == 201


async def test_a_part_of_a_file_cannot_be_put(house: House) -> None:
    answer = await put(await share(house), "a.jpg", b"abc", **{"Content-Range": "bytes 0-2/10"})
    assert answer.status == 400
    assert on_disk(house) == []


async def test_a_folder_cannot_be_put_nor_anything_where_none_is(house: House) -> None:
    dav = await share(house)
    assert (await put(dav, "a/", jpeg(1))).status == 405
    assert (await put(dav, "", jpeg(1))).status == 405
    assert (await dav.ask("MKCOL", "/dav/a/")).status == 201
    refused = await put(dav, "a", jpeg(1))
    assert (refused.status, "PROPFIND" in refused.headers["Allow"]) == (405, True)
    missing = await put(dav, "b/c.jpg", jpeg(1))
    assert (missing.status, missing.json["code"]) == (409, "no_folder")
    await put(dav, "file.jpg", jpeg(1))
    assert (await put(dav, "file.jpg/c.jpg", jpeg(1))).status == 409


async def test_conditions_are_honoured(house: House) -> None:
    dav = await share(house)
    assert (await put(dav, "a.jpg", jpeg(1), **{"If-Match": "*"})).status == 412
    first = await put(dav, "a.jpg", jpeg(1), **{"If-None-Match": "*"})
    assert first.status == 201
    assert (await put(dav, "a.jpg", jpeg(2), **{"If-None-Match": "*"})).status == 412
    assert (await put(dav, "a.jpg", jpeg(2), **{"If-Match": '"another"'})).status == 412
    assert (await put(dav, "a.jpg", jpeg(2), **{"If-Match": first.headers["ETag"]})).status == 204
    assert (await dav.delete("/dav/a.jpg", headers={"If-Match": first.headers["ETag"]})).status == 412


async def test_of_many_who_put_the_same_name_at_once_one_makes_it_and_nothing_is_lost(house: House) -> None:
    dav = await share(house)
    answers = await asyncio.gather(*(put(dav, "a.jpg", jpeg(seed)) for seed in range(8)))
    assert {answer.status for answer in answers} <= {201, 204}
    photos = await house.photos() + await house.photos("trashed=true")
    assert len(photos) == 8
    contents = {(await house.ana.get(photo["links"]["image"])).body for photo in photos}
    assert contents == {jpeg(seed) for seed in range(8)}


async def test_of_many_who_may_only_add_one_adds(house: House) -> None:
    dav = await share(house, "upload")
    answers = await asyncio.gather(*(put(dav, "a.jpg", jpeg(seed)) for seed in range(4)))
    assert sorted(answer.status for answer in answers) == [201, 403, 403, 403]


async def test_too_large_a_file_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    async with running(tmp_path / "data", UPLOAD_MAX_MB="1") as house:
        dav = await share(house)
        authorization = dav.headers["Authorization"]
        too_long = f"Content-Length: {1024 * 1024 + 1}"
        assert await raw(house, "PUT", "/dav/a.jpg", authorization, too_long) == 413
        piece = b"40000\r\n" + bytes(0x40000) + b"\r\n"
        assert await raw(house, "PUT", "/dav/a.jpg", authorization, "Transfer-Encoding: chunked", body=5 * piece) == 413

        async def gone() -> bool:
            return left_behind(house) == []

        await until(gone)
        assert on_disk(house) == []


async def test_a_disk_with_less_than_its_reserve_takes_nothing_and_is_still_read(tmp_path: Path) -> None:
    (tmp_path / "data/photos").mkdir(parents=True)
    (tmp_path / "data/photos/here.jpg").write_bytes(jpeg(1))
    async with running(tmp_path / "data", TAGLINE_RESERVE_MB="9999999") as house:
        await house.scan()
        dav = await share(house)
        answer = await put(dav, "a.jpg", jpeg(2))
        assert (answer.status, answer.json["code"]) == (507, "disk_full")
        assert (await move(dav, "here.jpg", "copy.jpg", "COPY")).status == 507
        assert await listed(dav) == ["here.jpg"]
        assert (await dav.get("/dav/here.jpg")).body == jpeg(1)
        assert on_disk(house) == ["here.jpg"]


async def test_a_connection_that_breaks_off_leaves_nothing_to_be_seen(house: House) -> None:
    dav = await share(house)
    _, writer = await asyncio.open_connection("127.0.0.1", int(house.base.rpartition(":")[2]))
    head = f"PUT /dav/a.jpg HTTP/1.1\r\nHost: x\r\nAuthorization: {dav.headers['Authorization']}\r\n"
    writer.write(f"{head}Content-Length: 10000000\r\n\r\n".encode() + jpeg(1)[:1000])
    await writer.drain()

    async def arrives() -> bool:
        return bool(left_behind(house))

    await until(arrives)
    writer.transport.abort()

    async def gone() -> bool:
        return left_behind(house) == []

    await until(gone)
    assert (on_disk(house), await listed(dav), await house.photos()) == ([], [], [])
    assert (await put(dav, "a.jpg", jpeg(1))).status == 201


async def test_a_key_that_is_revoked_cuts_what_it_sends(house: House) -> None:
    dav = await share(house, "upload")
    reader, writer = await asyncio.open_connection("127.0.0.1", int(house.base.rpartition(":")[2]))
    head = f"PUT /dav/a.jpg HTTP/1.1\r\nHost: x\r\nAuthorization: {dav.headers['Authorization']}\r\n"
    writer.write(f"{head}Content-Length: 10000000\r\n\r\n".encode() + jpeg(1)[:1000])

    async def arrives() -> bool:
        return bool(left_behind(house))

    await until(arrives)
    for key in (await house.ana.get("/api/auth/keys")).json["items"]:
        await house.ana.delete(f"/api/auth/keys/{key['id']}")
    with suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()

    async def gone() -> bool:
        return left_behind(house) == []

    await until(gone)


async def test_a_library_that_cannot_be_written_takes_nothing_and_is_read(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as house:
        (house.library / "a.jpg").write_bytes(jpeg(1))
        await house.scan()
        house.app[STORAGE]._writable = False  # type: ignore[attr-defined]
        dav = await share(house)
        for answer in (
            await put(dav, "b.jpg", jpeg(2)),
            await dav.delete("/dav/a.jpg"),
            await dav.ask("MKCOL", "/dav/b"),
            await move(dav, "a.jpg", "b.jpg"),
            await move(dav, "a.jpg", "b.jpg", "COPY"),
        ):
            assert (answer.status, answer.json["code"]) == (403, "read_only_library")
        assert await listed(dav) == ["a.jpg"]
        assert (await dav.get("/dav/a.jpg")).status == 200


async def test_a_picture_that_is_broken_is_kept_as_a_file(house: House) -> None:
    dav = await share(house)
    broken = encoded(noise(1), "PNG")[:40]
    assert (await put(dav, "a.png", broken)).status == 201
    assert (await dav.get("/dav/a.png")).body == broken


async def test_the_address_of_a_photo_tells_its_size_kind_and_tag(house: House) -> None:
    dav = await share(house)
    answer = await put(dav, "a.jpg", jpeg(1))
    found = properties(await find(dav, "a.jpg", "0"))
    assert found["getcontentlength"].text == str(len(jpeg(1)))
    assert found["getcontenttype"].text == "image/jpeg"
    assert found["getetag"].text == answer.headers["ETag"]
    assert os.stat(house.library / "a.jpg").st_size == len(jpeg(1))
