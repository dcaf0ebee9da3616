"""The scan: what is passed over, names and kinds of files that nobody expects, files that are still being written."""

import asyncio
import os
import socket
import threading
import unicodedata
from contextlib import suppress
from pathlib import Path

import pytest

from tests.house import House
from tests.photos.files import encoded, large, noise, photo, write


async def keys(house: House) -> set[str]:
    """Where the photos are."""
    return {found["object_key"] for found in await house.photos("limit=500")}


async def test_hidden_files_and_what_machines_keep_for_themselves_are_passed_over(house: House) -> None:
    for number, name in enumerate((
        ".hidden.jpg", ".thumbnails/a.jpg", "@eaDir/a.jpg", "2024/@eaDir/b/c.jpg", "#recycle/a.jpg", "lost+found/a.jpg",
        "$RECYCLE.BIN/a.jpg", "half.jpg.part", "half.crdownload", "~backup.jpg",
    )):  # fmt: skip
        photo(house.library / name, number)
    photo(house.library / "2024/shown.jpg", 50)
    result = await house.scan()
    assert await keys(house) == {"2024/shown.jpg"}
    assert (result["imported_count"], result["skipped"], result["errors"]) == (1, 0, [])


async def test_what_an_ignore_file_names_is_passed_over(house: House) -> None:
    for number, name in enumerate(("a.jpg", "private/b.jpg", "2024/c.png.jpg", "2024/raw/d.jpg", "2024/e.jpg")):
        photo(house.library / name, number)
    write(house.library / ".taglineignore", b"private/\n*.png.jpg\n")
    write(house.library / "2024/.taglineignore", b"raw/\n")
    await house.scan()
    assert await keys(house) == {"a.jpg", "2024/e.jpg"}


async def test_what_an_ignore_file_names_later_leaves_the_lists_and_comes_back_with_its_line(house: House) -> None:
    for number in range(8):
        photo(house.library / f"{number}.jpg", number)
    photo(house.library / "private/b.jpg", 50)
    await house.scan()
    before = await house.photo("b.jpg")
    await house.ana.patch(f"/photos/{before['id']}/metadata", {"description": "Ana at the lake"})
    write(house.library / ".taglineignore", b"private/\n")
    assert (await house.scan())["missing"] == 1
    assert "private/b.jpg" not in await keys(house)
    (house.library / ".taglineignore").unlink()
    assert (await house.scan())["found"] == 1
    assert (await house.photo("b.jpg"))["description"] == "Ana at the lake"


async def test_a_link_out_of_the_library_is_not_followed(house: House, tmp_path: Path) -> None:
    outside = photo(tmp_path / "outside/secret.jpg", 1)
    (house.library / "link.jpg").symlink_to(outside)
    (house.library / "folder").symlink_to(outside.parent)
    (house.library / "loop").symlink_to(house.library)
    (house.library / "dangling.jpg").symlink_to("nowhere.jpg")
    (house.library / "self.jpg").symlink_to("self.jpg")
    photo(house.library / "a.jpg", 2)
    result = await house.scan()
    assert await keys(house) == {"a.jpg"}
    assert result["errors"] == []


async def test_a_link_within_the_library_is_another_path_of_the_same_photo(house: House) -> None:
    photo(house.library / "2024/a.jpg", 1)
    (house.library / "best.jpg").symlink_to("2024/a.jpg")
    result = await house.scan()
    assert (result["imported_count"], result["duplicates"], result["errors"]) == (1, 1, [])


async def test_pipes_sockets_and_devices_are_passed_over(house: House) -> None:
    os.mkfifo(house.library / "pipe.jpg")
    with suppress(PermissionError):  # only root may
        os.mknod(house.library / "zero.jpg", 0o20644, os.makedev(1, 5))
    photo(house.library / "a.jpg", 1)
    # Its path is longer than a socket's may be.
    here = os.open(house.library, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"/proc/self/fd/{here}/socket.jpg")
        os.close(here)
        result = await house.scan()
    assert await keys(house) == {"a.jpg"}
    assert result["errors"] == []


async def test_a_file_that_became_a_pipe_after_it_was_found_does_no_harm(house: House) -> None:
    for number in range(6):
        photo(house.library / f"{number}.jpg", number)
    await house.scan()
    (house.library / "0.jpg").unlink()
    os.mkfifo(house.library / "0.jpg")
    found = await house.photo("0.jpg")
    assert (await house.ana.get(found["links"]["image"])).status in (404, 410)
    assert (await house.scan())["missing"] == 1


async def test_a_name_that_is_not_utf8_is_told(house: House) -> None:
    photo(house.library / os.fsdecode(b"caf\xe9.jpg"), 1)
    result = await house.scan()
    [error] = result["errors"]
    assert (error["path"], error["code"]) == ("caf\\xe9.jpg", "name_not_utf8")
    assert result["imported_count"] == 0


async def test_a_name_with_a_line_feed_is_told(house: House) -> None:
    photo(house.library / "two\nlines.jpg", 1)
    [error] = (await house.scan())["errors"]
    assert (error["path"], error["code"]) == ("two\\x0alines.jpg", "name_not_usable")


NAMES = {
    "quotes": "\"Ana's\" 'best'.jpg",
    "emoji": "🏖️ beach 👩‍👩‍👧.jpg",
    "decomposed": unicodedata.normalize("NFD", "Zoë am Stausee, früh.jpg"),
    "longest": "x" * 251 + ".jpg",
    "longest of others": "字" * 83 + ".jpg",
    "spaces": "  two  .jpg ",
    "percent": "100%25 %2e%2e.jpg",
    "question": "who? #1;&.jpg",
    "right to left": "שלום.jpg",
    "sql": "'; drop table photos; --.jpg",
    "markup": "<b onload=x>.jpg",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
async def test_a_name_that_nobody_expects_is_taken_as_it_is(house: House, name: str) -> None:
    path = photo(house.library / "2024" / name, 1)
    result = await house.scan()
    assert (result["imported_count"], result["errors"]) == (1, []), result
    [found] = await house.photos()
    assert found["object_key"] == f"2024/{name}"
    assert (await house.ana.get(found["links"]["image"])).body == path.read_bytes()
    assert (await house.ana.get(found["links"]["thumbnail"])).status == 200
    assert (await house.scan())["unchanged"] == 1
    path.rename(house.library / "plain.jpg")
    assert (await house.scan())["moved"] == 1


async def test_folders_nested_very_deep_are_walked(house: House) -> None:
    photo(house.library / "/".join(["d"] * 300) / "a.jpg", 1)
    assert (await house.scan())["imported_count"] == 1


async def test_a_file_that_grows_while_it_is_read_is_left_for_the_next_scan(house: House) -> None:
    whole = encoded(noise(1, (1200, 900)), "PNG")
    path = write(house.library / "growing.png", whole[: len(whole) // 4])
    photo(house.library / "a.jpg", 2)
    stop = threading.Event()

    def grow() -> None:
        with path.open("ab", buffering=0) as file:
            while not stop.is_set():
                file.write(b"\0")

    writing = threading.Thread(target=grow)
    writing.start()
    try:
        result = (await house.ana.post("/rescan")).json
    finally:
        stop.set()
        writing.join()
    [error] = result["errors"]
    assert (error["path"], error["code"]) == ("growing.png", "still_being_written")
    assert result["imported_count"] == 1
    path.write_bytes(whole)
    result = await house.scan()
    assert (result["imported_count"], result["errors"]) == (1, [])
    assert (await house.photo("growing.png"))["sha256"]


async def test_a_file_that_changes_after_its_headers_were_read_gets_no_wrong_hash(house: House) -> None:
    path = large(house.library / "a.bmp", 1)
    for number in range(30):
        photo(house.library / f"IMG_20990101_1200{number:02}.jpg", number, (300, 200))
    await house.ana.post("/rescan")
    found = await house.photo("a.bmp")
    assert found["sha256"] is None
    with path.open("ab") as file:
        file.write(bytes(1000))
    await house.settled()
    # What was read is not what the photo was made from: the next scan tells.
    assert (await house.photo("a.bmp"))["sha256"] is None
    thumbnail = await house.ana.get(found["links"]["thumbnail"])
    assert (thumbnail.status, thumbnail.json["code"]) == (503, "still_being_written")
    assert (await house.scan())["updated"] == 1
    after = await house.photo("a.bmp")
    assert after["id"] == found["id"]
    assert after["sha256"]
    assert (await house.ana.get(found["links"]["thumbnail"])).status == 200


async def test_files_that_vanish_while_they_are_read_stop_nothing(house: House) -> None:
    for number in range(200):
        photo(house.library / f"{number:03}.jpg", number, (8, 8))
    rescan = asyncio.create_task(house.ana.post("/rescan"))
    for number in range(100, 200):
        (house.library / f"{number:03}.jpg").unlink()
        await asyncio.sleep(0)
    assert (await rescan).status == 200
    assert {f"{number:03}.jpg" for number in range(100)} <= await keys(house)
    await house.scan(params={"accept_missing": "true"})
    assert await keys(house) == {f"{number:03}.jpg" for number in range(100)}
