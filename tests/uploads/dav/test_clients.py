"""What real clients do, step by step: Finder, Windows, phone apps, cameras, and programs that save safely."""

import os
import time
from pathlib import Path

import pytest

from tagline.uploads.dav import removing
from tagline.uploads.dav.places import is_apart, is_temporary, media_type
from tagline.uploads.dav.share import SHARE
from tests.house import House, running
from tests.uploads.dav.webdav import find, jpeg, left_behind, listed, lock, move, on_disk, put, raw, share, token


async def test_finder_copies_a_photo(house: House) -> None:
    """It puts an empty file, locks it, puts the content, and a shadow file beside it."""
    dav = await share(house, "write")
    assert (await find(dav, "IMG_1.jpg", "0")).status == 404
    assert (await put(dav, "IMG_1.jpg", b"")).status == 201
    granted = await lock(dav, "IMG_1.jpg", Depth="0", Timeout="Second-600")
    assert granted.status == 200
    assert (await find(dav, "IMG_1.jpg", "0")).status == 207
    assert await house.photos() == []
    assert (await put(dav, "IMG_1.jpg", jpeg(1), If=f"({token(granted)})")).status == 204
    assert (await find(dav, "._IMG_1.jpg", "0")).status == 404
    assert (await put(dav, "._IMG_1.jpg", b"resource fork")).status == 201
    assert (await dav.get("/dav/._IMG_1.jpg")).body == b"resource fork"
    assert (await dav.ask("UNLOCK", "/dav/IMG_1.jpg", headers={"Lock-Token": token(granted)})).status == 204
    assert (await put(dav, ".DS_Store", b"store")).status == 201
    assert [photo["object_key"] for photo in await house.photos()] == ["IMG_1.jpg"]
    assert await listed(dav) == ["IMG_1.jpg"]
    assert on_disk(house) == ["IMG_1.jpg"]
    scan = await house.scan()
    assert (scan["unchanged"], scan["skipped"], scan["error_count"]) == (1, 0, 0)
    assert (await dav.delete("/dav/._IMG_1.jpg")).status == 204
    assert (await dav.get("/dav/._IMG_1.jpg")).status == 404


async def test_windows_copies_a_photo(house: House) -> None:
    dav = await share(house)
    assert (await put(dav, "IMG_1.jpg", b"")).status == 201
    granted = await lock(dav, "IMG_1.jpg", Timeout="Second-3600")
    held = {"If": f"({token(granted)})"}
    patch = (
        b'<D:propertyupdate xmlns:D="DAV:" xmlns:Z="urn:schemas-microsoft-com:"><D:set><D:prop>'
        b"<Z:Win32FileAttributes>00000000</Z:Win32FileAttributes></D:prop></D:set></D:propertyupdate>"
    )
    assert (await dav.ask("PROPPATCH", "/dav/IMG_1.jpg", data=patch, headers=held)).status == 207
    assert (await dav.ask("HEAD", "/dav/IMG_1.jpg")).headers["Content-Length"] == "0"
    assert (await put(dav, "IMG_1.jpg", jpeg(1), **held)).status == 204
    assert (await dav.ask("PROPPATCH", "/dav/IMG_1.jpg", data=patch, headers=held)).status == 207
    assert (await dav.ask("UNLOCK", "/dav/IMG_1.jpg", headers={"Lock-Token": token(granted)})).status == 204
    for name in ("Thumbs.db", "desktop.ini", "THUMBS.DB"):
        assert (await put(dav, name, b"x")).status == 201
    assert on_disk(house) == ["IMG_1.jpg"]
    assert len(await house.photos()) == 1


@pytest.mark.parametrize("name", ["IMG_1.jpg.tacitpart", ".IMG_1.jpg.part", "IMG_1.jpg.3f2a.partial", "~IMG_1.jpg"])
async def test_a_phone_app_that_may_only_add_puts_and_renames(house: House, name: str) -> None:
    dav = await share(house, "upload")
    assert (await dav.ask("MKCOL", "/dav/DCIM")).status == 201
    assert (await dav.ask("MKCOL", "/dav/DCIM")).status == 405
    mtime = {"X-OC-Mtime": "1400000000"}
    assert (await put(dav, f"DCIM/{name}", jpeg(1), **mtime)).status == 201
    # What was begun again is put over what was begun before.
    assert (await put(dav, f"DCIM/{name}", jpeg(2), **mtime)).status == 204
    assert (await find(dav, f"DCIM/{name}", "0")).status == 207
    assert await listed(dav, "DCIM/") == []
    assert (await house.scan())["imported_count"] == 0
    assert (await move(dav, f"DCIM/{name}", "DCIM/IMG_1.jpg")).status == 201
    photo = await house.photo("DCIM/IMG_1.jpg")
    assert photo["metadata"]["taken_at"].startswith("2014-05-13")
    assert (house.library / "DCIM/IMG_1.jpg").stat().st_mtime == 1_400_000_000
    assert (await find(dav, f"DCIM/{name}", "0")).status == 404
    assert await listed(dav, "DCIM/") == ["IMG_1.jpg"]
    assert left_behind(house) == []


async def test_a_program_that_saves_safely_keeps_the_photo_what_it_is(house: House) -> None:
    """It writes beside, and renames over the file: the photo goes on, its file as it was is in the trash."""
    dav = await share(house)
    await put(dav, "IMG_1.jpg", jpeg(1))
    photo = await house.photo("IMG_1.jpg")
    await house.ana.patch(f"/photos/{photo['id']}/metadata", {"description": "the lake"})
    await put(dav, "IMG_1.jpg.tmp", jpeg(2))
    assert (await move(dav, "IMG_1.jpg.tmp", "IMG_1.jpg", Overwrite="F")).status == 412
    assert (await move(dav, "IMG_1.jpg.tmp", "IMG_1.jpg")).status == 204
    now = await house.photo("IMG_1.jpg")
    assert (now["id"], now["description"]) == (photo["id"], "the lake")
    assert (await house.ana.get(now["links"]["image"])).body == jpeg(2)
    assert len(await house.photos("trashed=true")) == 1


async def test_an_empty_file_over_a_photo_hides_it_until_the_content_comes(house: House) -> None:
    dav = await share(house)
    await put(dav, "IMG_1.jpg", jpeg(1))
    photo = await house.photo("IMG_1.jpg")
    assert (await put(dav, "IMG_1.jpg", b"")).status == 204
    assert (await dav.get("/dav/IMG_1.jpg")).body == b""
    assert (await house.ana.get(photo["links"]["image"])).body == jpeg(1)
    assert (await put(dav, "IMG_1.jpg", jpeg(2))).status == 204
    assert (await dav.get("/dav/IMG_1.jpg")).body == jpeg(2)
    assert await listed(dav) == ["IMG_1.jpg"]
    await put(dav, "IMG_1.jpg", b"")
    assert (await dav.delete("/dav/IMG_1.jpg")).status == 204
    assert (await dav.get("/dav/IMG_1.jpg")).status == 404
    assert await house.photos() == []


async def test_temporary_files_can_be_moved_copied_and_come_into_the_library_by_either(house: House) -> None:
    dav = await share(house)
    await put(dav, "a.tmp", jpeg(1))
    assert (await move(dav, "a.tmp", "b.tmp")).status == 201
    assert (await move(dav, "b.tmp", "c.tmp", "COPY")).status == 201
    assert (await dav.get("/dav/b.tmp")).body == (await dav.get("/dav/c.tmp")).body == jpeg(1)
    assert (await move(dav, "c.tmp", "x.jpg", "COPY")).status == 201
    assert (await dav.get("/dav/c.tmp")).status == 200
    assert await listed(dav) == ["x.jpg"]
    assert len(await house.photos()) == 1
    assert (await dav.delete("/dav/b.tmp")).status == 204
    assert (await dav.delete("/dav/c.tmp")).status == 204
    assert left_behind(house) == []


async def test_a_hidden_folder_cannot_be_made_nor_anything_put_into_one(house: House) -> None:
    dav = await share(house)
    refused = await dav.ask("MKCOL", "/dav/.Trashes")
    assert (refused.status, refused.json["code"]) == (403, "hidden_name")
    assert (await put(dav, ".Trashes/x.jpg", jpeg(1))).status == 409
    assert (await put(dav, ".tagline-incoming/x.jpg", jpeg(1))).status == 409
    assert (await put(dav, ".tagline-library", b"mine")).status == 201
    assert (house.library / ".tagline-library").exists() is False


async def test_temporary_files_survive_a_restart_and_expire(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as house:
        dav = await share(house)
        await put(dav, "a.jpg.part", jpeg(1))
        await put(dav, "b.jpg.part", jpeg(2))
        await put(dav, ".picasa.ini", b"[a.jpg]\ncaption=Ana at the lake\n")
        await move(dav, "a.jpg.part", "c.jpg.part")
    folder = tmp_path / "data/photos/.tagline-incoming/dav"
    (folder / "left-by-a-kill").write_bytes(b"x")
    (folder / "left-by-a-kill-too.key").write_text("d.jpg.part")
    async with running(tmp_path / "data") as house:
        dav = await share(house)
        assert (await dav.get("/dav/c.jpg.part")).body == jpeg(1)
        assert (await dav.get("/dav/a.jpg.part")).status == 404
        assert len(left_behind(house)) == 6
        for path in folder.glob("*.key"):
            if path.read_text() in ("b.jpg.part", ".picasa.ini"):
                os.utime(path, (time.time() - 49 * 3600,) * 2)
        await removing.expire(house.app[SHARE].library, house.app[SHARE].scratch)
        assert (await dav.get("/dav/b.jpg.part")).status == 404
        # Half a file is nobody's loss; what has another hidden name may be, and its client may have deleted its own.
        [kept] = [path for path in (house.library / ".tagline-trash").rglob("*") if path.is_file()]
        assert (kept.name, kept.read_bytes()) == (".picasa.ini", b"[a.jpg]\ncaption=Ana at the lake\n")
        assert (await move(dav, "c.jpg.part", "c.jpg")).status == 201
        assert len(await house.photos()) == 1


def test_names_of_unfinished_hidden_and_foreign_files_are_known() -> None:
    hidden = "._a.jpg .DS_Store .Spotlight-V100 .Trashes .TemporaryItems Thumbs.db desktop.ini ~$a.docx @eaDir"
    unfinished = "a.tmp A.TMP a.part a.tacitpart a.jpg.abc.partial a.crdownload"
    for name in f"{hidden} {unfinished}".split():
        assert is_temporary(name), name
        assert is_apart(f"{name}/x.jpg"), name
    for name in ("a.jpg", "a.part.jpg", "IMG 1.HEIC", "partial", "a.xmp", "captions.txt", "Köln"):
        assert not is_temporary(name), name


def test_nothing_is_of_a_kind_that_runs() -> None:
    kinds = {media_type(f"x.{ending}") for ending in ("html", "htm", "svg", "js", "mjs", "xhtml", "xml", "xsl", "")}
    assert kinds == {"application/octet-stream"}
    assert media_type("a/x.pdf") == "application/pdf"


async def test_what_scans_are_told_to_leave_out_is_refused(house: House) -> None:
    (house.library / "a/private").mkdir(parents=True)
    (house.library / ".taglineignore").write_text("*.bak\n")
    (house.library / "a/.taglineignore").write_text("private/\n!keep.bak\n")
    dav = await share(house)
    await put(dav, "a/x.jpg", jpeg(1))
    for answer in (
        await put(dav, "x.bak", jpeg(2)),
        await put(dav, "a/x.bak", jpeg(2)),
        await put(dav, "a/private/x.jpg", jpeg(2)),
        await dav.ask("MKCOL", "/dav/a/b/../private/c"),
        await move(dav, "a/x.jpg", "x.bak"),
        await move(dav, "a/x.jpg", "x.bak", "COPY"),
    ):
        assert (answer.status, answer.json["code"]) == (403, "hidden_name")
    assert (await put(dav, "a/keep.bak", jpeg(2))).status == 201
    assert await listed(dav, "a/") == ["keep.bak", "x.jpg"]


async def test_macos_sends_chunks_and_says_how_much_they_are(tmp_path: Path) -> None:
    async with running(tmp_path / "data", UPLOAD_MAX_MB="1") as house:
        dav = await share(house, "upload")
        body = f"{len(jpeg(1)):x}\r\n".encode() + jpeg(1) + b"\r\n0\r\n\r\n"
        for name, size, expected in (("a.jpg", len(jpeg(1)), 201), ("b.jpg", 2_000_000, 413)):
            headers = ("Transfer-Encoding: Chunked", f"X-Expected-Entity-Length: {size}")
            assert (
                await raw(house, "PUT", f"/dav/{name}", dav.headers["Authorization"], *headers, body=body) == expected
            )
        assert on_disk(house) == ["a.jpg"]
