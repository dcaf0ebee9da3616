"""MOVE and COPY: photos keep id, line and history; nothing that is in the way is lost."""

import unicodedata

import pytest

from tests.house import Client, House
from tests.uploads.dav.webdav import find, jpeg, listed, move, on_disk, properties, put, share


async def told(house: House, dav: Client, path: str, seed: int = 1) -> str:
    """A photo with a line; its id."""
    await put(dav, path, jpeg(seed))
    photo = await house.photo(path)
    edited = await house.ana.patch(f"/photos/{photo['id']}/metadata", {"description": f"line {seed}"})
    assert edited.status == 200
    return str(photo["id"])


async def test_a_photo_that_is_moved_keeps_id_line_and_history(house: House) -> None:
    dav = await share(house)
    photo_id = await told(house, dav, "a.jpg")
    await dav.ask("MKCOL", "/dav/b")
    assert (await move(dav, "a.jpg", "b/c.jpg")).status == 201
    photo = await house.photo("b/c.jpg")
    assert (photo["id"], photo["description"]) == (photo_id, "line 1")
    assert (await house.ana.get(f"/photos/{photo_id}/history")).json["total"] == 1
    assert on_disk(house) == ["b/c.jpg"]
    assert await listed(dav) == ["b/"]
    scan = await house.scan()
    assert (scan["unchanged"], scan["moved"], scan["imported_count"]) == (1, 0, 0)


async def test_a_folder_that_is_moved_takes_its_photos_along(house: House) -> None:
    dav = await share(house)
    for folder in ("a", "a/b", "a/b2"):
        await dav.ask("MKCOL", f"/dav/{folder}")
    ids = {await told(house, dav, f"a/b/{seed}.jpg", seed) for seed in range(5)}
    await told(house, dav, "a/gone.jpg", 50)
    await dav.delete("/dav/a/gone.jpg")
    await put(dav, "a/b/IMG.xmp", b"sidecar")
    await put(dav, "a/b/copy.jpg", jpeg(0))
    await put(dav, "a/b/waiting.jpg", b"")
    assert (await move(dav, "a", "z")).status == 201
    assert await listed(dav) == ["z/"]
    assert await listed(dav, "z/") == ["b/", "b2/"]
    names = ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg", "IMG.xmp", "copy.jpg", "waiting.jpg"]
    assert await listed(dav, "z/b/") == names
    photos = await house.photos()
    assert {photo["id"] for photo in photos} == ids
    assert {photo["object_key"] for photo in photos} == {f"z/b/{seed}.jpg" for seed in range(5)}
    assert {photo["description"] for photo in photos} == {f"line {seed}" for seed in range(5)}
    [trashed] = await house.photos("trashed=true")
    assert trashed["object_key"] == "z/gone.jpg"
    scan = await house.scan()
    assert (scan["unchanged"], scan["skipped"], scan["imported_count"], scan["missing"]) == (7, 1, 0, 0)


async def test_a_large_folder_moves_in_steps(house: House) -> None:
    dav = await share(house)
    (house.library / "a").mkdir()
    for number in range(450):
        (house.library / f"a/{number}.txt").write_text(str(number))
    (house.library / "a/x.jpg").write_bytes(jpeg(1))
    await house.scan()
    photo = await house.photo("x.jpg")
    assert (await move(dav, "a", "b")).status == 201
    assert (await house.photo("x.jpg"))["object_key"] == "b/x.jpg"
    assert (await house.photo("x.jpg"))["id"] == photo["id"]
    assert await house.db.value("library.file", path="a/7.txt") is None
    assert await house.db.value("library.file", path="b/7.txt") == "b/7.txt"


async def test_what_is_at_the_destination_stays_without_overwrite_and_goes_to_the_trash_with_it(house: House) -> None:
    dav = await share(house)
    moved, overwritten = await told(house, dav, "a.jpg", 1), await told(house, dav, "b.jpg", 2)
    assert (await move(dav, "a.jpg", "b.jpg", Overwrite="F")).status == 412
    assert await listed(dav) == ["a.jpg", "b.jpg"]
    assert (await move(dav, "a.jpg", "b.jpg")).status == 204
    assert await listed(dav) == ["b.jpg"]
    assert (await house.photo("b.jpg"))["id"] == moved
    [trashed] = await house.photos("trashed=true")
    assert (trashed["id"], trashed["description"]) == (overwritten, "line 2")
    assert (await house.ana.get(trashed["links"]["image"])).body == jpeg(2)
    assert (await house.scan())["unchanged"] == 2


async def test_over_the_name_of_a_photo_in_the_trash_something_can_be_moved(house: House) -> None:
    dav = await share(house)
    old = await told(house, dav, "a.jpg", 1)
    await dav.delete("/dav/a.jpg")
    await told(house, dav, "b.jpg", 2)
    assert (await move(dav, "b.jpg", "a.jpg", Overwrite="F")).status == 201
    [trashed] = await house.photos("trashed=true")
    assert (trashed["id"], trashed["object_key"]) == (old, "a-1.jpg")


async def test_a_folder_over_another_puts_that_into_the_trash(house: House) -> None:
    dav = await share(house)
    for folder in ("a", "b"):
        await dav.ask("MKCOL", f"/dav/{folder}")
    kept, gone = await told(house, dav, "a/x.jpg", 1), await told(house, dav, "b/x.jpg", 2)
    assert (await move(dav, "a", "b")).status == 204
    assert await listed(dav) == ["b/"]
    assert (await house.photo("b/x.jpg"))["id"] == kept
    [trashed] = await house.photos("trashed=true")
    assert (trashed["id"], trashed["object_key"]) == (gone, "b-1/x.jpg")
    assert (await house.scan())["unchanged"] == 2


async def test_a_copy_is_another_path_of_the_same_photo(house: House) -> None:
    dav = await share(house)
    photo_id = await told(house, dav, "a.jpg")
    assert (await move(dav, "a.jpg", "b.jpg", "COPY")).status == 201
    assert [photo["id"] for photo in await house.photos()] == [photo_id]
    assert (await dav.get("/dav/b.jpg")).body == jpeg(1)
    assert (house.library / "a.jpg").stat().st_ino != (house.library / "b.jpg").stat().st_ino
    assert (await house.scan())["unchanged"] == 2
    assert (await move(dav, "a.jpg", "b.jpg", "COPY", Overwrite="F")).status == 412
    assert (await move(dav, "a.jpg", "b.jpg", "COPY")).status == 204
    assert len(await house.photos()) == 1


async def test_a_folder_is_copied_whole_or_alone(house: House) -> None:
    dav = await share(house)
    for folder in ("a", "a/b"):
        await dav.ask("MKCOL", f"/dav/{folder}")
    await told(house, dav, "a/b/x.jpg", 1)
    await told(house, dav, "a/gone.jpg", 2)
    await dav.delete("/dav/a/gone.jpg")
    await put(dav, "a/notes.txt", b"notes")
    assert (await move(dav, "a", "c", "COPY")).status == 201
    assert await listed(dav, "c/") == ["b/", "notes.txt"]
    assert await listed(dav, "c/b/") == ["x.jpg"]
    assert (await move(dav, "a", "d", "COPY", Depth="0")).status == 201
    assert await listed(dav, "d/") == []
    assert len(await house.photos()) == 1
    assert (await move(dav, "a", "c", "COPY")).status == 204


async def test_properties_go_with_what_they_are_attached_to(house: House) -> None:
    dav = await share(house)
    await dav.ask("MKCOL", "/dav/a")
    await put(dav, "a/x.txt", b"x")
    body = (
        '<D:propertyupdate xmlns:D="DAV:"><D:set><D:prop><z:c xmlns:z="urn:z">blue</z:c></D:prop></D:set>'
        "</D:propertyupdate>"
    )
    await dav.ask("PROPPATCH", "/dav/a/x.txt", data=body.encode())
    await dav.ask("PROPPATCH", "/dav/a", data=body.encode())
    await move(dav, "a", "b", "COPY")
    await move(dav, "a", "c")
    for path in ("b/", "b/x.txt", "c/", "c/x.txt"):
        assert properties(await find(dav, path, "0"))["{urn:z}c"].text == "blue", path
    await dav.delete("/dav/c")
    await dav.ask("MKCOL", "/dav/c")
    assert "{urn:z}c" not in properties(await find(dav, "c/", "0"))


@pytest.mark.parametrize("method", ["MOVE", "COPY"])
async def test_what_cannot_be_moved_or_copied_says_why(house: House, method: str) -> None:
    dav = await share(house)
    await dav.ask("MKCOL", "/dav/a")
    await put(dav, "a/x.jpg", jpeg(1))
    expected = {
        ("a/x.jpg", "a/x.jpg"): 403,
        ("a", "a/b"): 403,
        ("a/x.jpg", "a"): 403,
        ("", "b"): 403,
        ("a/x.jpg", ""): 403,
        ("a/x.jpg", "nowhere/x.jpg"): 409,
        ("a/x.jpg", "a/x.jpg.tmp"): 403,
        ("a/x.jpg", ".hidden.jpg"): 403,
        ("a", ".hidden"): 403,
        ("nothing", "b"): 404,
    }
    for (source, target), status in expected.items():
        answer = await move(dav, source, target, method)
        assert answer.status == status, (source, target, answer)
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert (await dav.ask(method, "/dav/a/x.jpg")).status == 400
    assert (await move(dav, "a/x.jpg", "y.jpg", method, Overwrite="maybe")).status == 400
    assert (await move(dav, "a", "y", method, Depth="1")).status == 400
    assert on_disk(house) == ["a/x.jpg"]


async def test_behind_a_proxy_the_destination_has_another_host(house: House) -> None:
    dav = await share(house)
    await put(dav, "a.jpg", jpeg(1))
    for number, target in enumerate(["https://photos.example.org/dav/", "http://10.0.0.7:8443/dav/", "/dav/"]):
        source = "a.jpg" if number == 0 else f"{number - 1}.jpg"
        answer = await dav.ask("MOVE", f"/dav/{source}", headers={"Destination": f"{target}{number}.jpg"})
        assert answer.status == 201, target
    for target in ("https://example.org/elsewhere/a.jpg", "ftp://example.org/dav/a.jpg", "/photos/a.jpg", "/davx"):
        answer = await dav.ask("MOVE", "/dav/2.jpg", headers={"Destination": target})
        assert (answer.status, answer.json["code"]) == (502, "foreign_destination"), target
    for target in ("http://[/dav/x", "/dav/a%2fb.jpg", "/dav/../x.jpg", "/dav/%ff.jpg", "/dav/a%00.jpg"):
        assert (await dav.ask("MOVE", "/dav/2.jpg", headers={"Destination": target})).status == 400, target
    assert on_disk(house) == ["2.jpg"]


async def test_names_with_accents_are_composed_when_new_and_found_in_either_form(house: House) -> None:
    dav = await share(house)
    composed = unicodedata.normalize("NFC", "Zoë.jpg")
    decomposed = unicodedata.normalize("NFD", "Zoë.jpg")
    assert (await put(dav, decomposed, jpeg(1))).status == 201
    assert on_disk(house) == [composed]
    assert (await put(dav, decomposed, jpeg(1))).status == 204
    assert (await dav.get(f"/dav/{decomposed}")).status == (await dav.get(f"/dav/{composed}")).status == 200
    folder = unicodedata.normalize("NFD", "Köln")
    (house.library / folder).mkdir()
    (house.library / folder / decomposed).write_bytes(jpeg(2))
    await house.scan()
    assert (await dav.get(f"/dav/Köln/{composed}")).body == jpeg(2)
    assert (await put(dav, "Köln/Ö.jpg", jpeg(3))).status == 201
    assert (house.library / folder / "Ö.jpg").is_file()
    assert (await move(dav, "K%C3%B6ln", "Bonn")).status == 201
    assert (await dav.get(f"/dav/Bonn/{composed}")).body == jpeg(2)
