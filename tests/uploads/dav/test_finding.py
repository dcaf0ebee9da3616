"""PROPFIND and PROPPATCH, and reading: what the library shows, and what clients attach to it."""

import asyncio
from email.utils import parsedate_to_datetime

import pytest

from tests.house import Answer, Client, House
from tests.photos.files import photo as write_photo
from tests.uploads.dav.webdav import D, find, hrefs, jpeg, listed, properties, put, share, statuses

ALL = {
    "resourcetype", "displayname", "creationdate", "getlastmodified", "getcontentlength", "getcontenttype", "getetag",
    "supportedlock", "lockdiscovery",
}  # fmt: skip


async def patch(dav: Client, path: str, instructions: str) -> Answer:
    body = f'<D:propertyupdate xmlns:D="DAV:" xmlns:z="urn:z">{instructions}</D:propertyupdate>'
    return await dav.ask("PROPPATCH", f"/dav/{path}", data=body.encode())


async def test_a_library_is_shown_as_it_lies_on_the_disk(house: House) -> None:
    write_photo(house.library / "2024/07/a & b <c> #1?.jpg", 1)
    write_photo(house.library / "2024/08/x.jpg", 2)
    write_photo(house.library / ".hidden/x.jpg", 3)
    write_photo(house.library / "@eaDir/x.jpg", 4)
    (house.library / "notes.txt").write_text("notes")
    (house.library / "film.mov.part").write_text("unfinished")
    dav = await share(house, "read")
    # Before any scan.
    assert await listed(dav) == ["2024/", "notes.txt"]
    await house.scan()
    assert await listed(dav) == ["2024/", "notes.txt"]
    assert await listed(dav, "2024/") == ["07/", "08/"]
    assert await listed(dav, "2024/07/") == ["a & b <c> #1?.jpg"]
    [_, href] = hrefs(await find(dav, "2024/07"))
    assert href == "/dav/2024/07/a%20%26%20b%20%3Cc%3E%20%231%3F.jpg"
    assert (await dav.get(href)).status == 200
    assert (await find(dav, ".hidden/")).status == 404
    assert (await dav.get("/dav/.hidden/x.jpg")).status == 404
    assert (await dav.get("/dav/film.mov.part")).status == 404


async def test_properties_are_those_of_the_file(house: House) -> None:
    dav = await share(house)
    await put(dav, "x.jpg", jpeg(1), **{"X-OC-Mtime": "1400000000"})
    found = properties(await find(dav, "x.jpg", "0"))
    assert set(found) == ALL
    assert found["displayname"].text == "x.jpg"
    assert found["creationdate"].text == "2014-05-13T16:53:20Z"
    assert parsedate_to_datetime(found["getlastmodified"].text).timestamp() == 1_400_000_000
    assert len(found["resourcetype"]) == 0
    folder = properties(await find(dav, "", "0"))
    assert set(folder) == ALL - {"getcontentlength", "getcontenttype", "getetag"}
    assert folder["resourcetype"][0].tag == f"{D}collection"


async def test_a_photos_kind_is_what_it_is_whatever_its_name_says(house: House) -> None:
    dav = await share(house)
    await put(dav, "x.png", jpeg(1))
    await put(dav, "x.dng", b"raw")
    assert properties(await find(dav, "x.png", "0"))["getcontenttype"].text == "image/jpeg"
    assert properties(await find(dav, "", "1"), 2)["getcontenttype"].text == "image/jpeg"
    assert (await dav.get("/dav/x.png")).headers["Content-Type"] == "image/jpeg"
    assert (await dav.get("/dav/x.dng")).headers["Content-Type"] == "image/x-adobe-dng"


async def test_what_is_asked_for_is_told_and_what_is_not_there_is_404(house: House) -> None:
    dav = await share(house)
    await put(dav, "x.jpg", jpeg(1))
    body = '<propfind xmlns="DAV:"><prop><getetag/><quota-used-bytes/><x xmlns="urn:z"/><y xmlns=""/></prop></propfind>'
    assert statuses(await find(dav, "x.jpg", "0", body)) == {
        f"{D}getetag": 200, f"{D}quota-used-bytes": 404, "{urn:z}x": 404, "y": 404,
    }  # fmt: skip
    names = await find(dav, "x.jpg", "0", '<propfind xmlns="DAV:"><propname/></propfind>')
    assert set(properties(names)) == ALL
    assert not any(element.text for element in properties(names).values())
    body = '<propfind xmlns="DAV:"><allprop/><include><quota-used-bytes/></include></propfind>'
    assert set(properties(await find(dav, "", "0", body))) >= {"resourcetype", "quota-used-bytes"}


async def test_a_folder_tells_how_much_room_there_is(house: House) -> None:
    body = '<propfind xmlns="DAV:"><prop><quota-available-bytes/><quota-used-bytes/></prop></propfind>'
    found = properties(await find(await share(house, "read"), "", "0", body))
    assert int(found["quota-available-bytes"].text) > 0
    assert int(found["quota-used-bytes"].text) > 0


@pytest.mark.parametrize("headers", [{}, {"Depth": "infinity"}])
async def test_the_whole_tree_at_once_is_refused(house: House, headers: dict[str, str]) -> None:
    answer = await (await share(house)).ask("PROPFIND", "/dav/", headers=headers)
    assert (answer.status, answer.json["code"]) == (403, "propfind_finite_depth")
    assert answer.json["precondition"] == "propfind-finite-depth"


async def test_what_is_not_there_is_not_found_and_nonsense_is_refused(house: House) -> None:
    dav = await share(house)
    assert (await find(dav, "nothing", "0")).status == 404
    assert (await find(dav, "", "2")).status == 400
    assert (await find(house.eve, "", "1")).status == 401
    for body in (
        "<propfind", "<x/>", '<propfind xmlns="DAV:"/>', "no xml",
        '<!DOCTYPE a [<!ENTITY b "c">]><propfind xmlns="DAV:"><prop><x>&b;</x></prop></propfind>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><propfind xmlns="DAV:"><allprop/></propfind>',
        '<?xml version="1.0" encoding="klingon"?><propfind xmlns="DAV:"><allprop/></propfind>',
        '<propfind xmlns="DAV:"><prop>' + "<x>" * 5000 + "</x>" * 5000 + "</prop></propfind>",
        "\0", "\x80\x81",
    ):  # fmt: skip
        answer = await find(dav, "", "0", body)
        assert (answer.status, answer.json["code"]) == (400, "malformed_xml"), body[:80]
    assert (await find(dav, "", "0", " " * 1024 * 1024 + "<x/>")).status == 413


async def test_properties_are_attached_changed_and_taken_away(house: House) -> None:
    dav = await share(house)
    await put(dav, "x.jpg", jpeg(1))
    answer = await patch(
        dav, "x.jpg", '<D:set><D:prop xml:lang="de"><z:c>blau <z:b q="1"/> &lt;</z:c></D:prop></D:set>'
    )
    assert statuses(answer) == {"{urn:z}c": 200}
    found = properties(await find(dav, "x.jpg", "0"))["{urn:z}c"]
    assert (found.text, found[0].attrib, found[0].tail) == ("blau ", {"q": "1"}, " <")
    assert found.get("{http://www.w3.org/XML/1998/namespace}lang") == "de"
    both = "<D:set><D:prop><z:c>red</z:c></D:prop></D:set><D:remove><D:prop><z:c/></D:prop></D:remove>"
    assert statuses(await patch(dav, "x.jpg", both)) == {"{urn:z}c": 200}
    assert "{urn:z}c" not in properties(await find(dav, "x.jpg", "0"))
    assert properties(await find(dav, "", "1"), 1).keys() == ALL


async def test_of_instructions_of_which_one_is_refused_none_is_done(house: House) -> None:
    dav = await share(house)
    await put(dav, "x.jpg", jpeg(1))
    answer = await patch(
        dav, "x.jpg", "<D:set><D:prop><z:c>red</z:c><D:getetag>mine</D:getetag></D:prop></D:set>"
    )  # fmt: skip
    assert statuses(answer) == {f"{D}getetag": 403, "{urn:z}c": 424}
    assert "{urn:z}c" not in properties(await find(dav, "x.jpg", "0"))
    assert (await patch(dav, "nothing", "<D:set><D:prop><z:c/></D:prop></D:set>")).status == 404
    assert (await patch(dav, "x.jpg", "")).status == 400
    assert (await dav.ask("PROPPATCH", "/dav/x.jpg")).status == 400


async def test_what_one_file_can_have_attached_is_bounded(house: House) -> None:
    dav = await share(house)
    await put(dav, "x.jpg", jpeg(1))
    many = "".join(f"<z:c{number}/>" for number in range(201))
    assert (await patch(dav, "x.jpg", f"<D:set><D:prop>{many}</D:prop></D:set>")).status == 507
    assert (await patch(dav, "x.jpg", f"<D:set><D:prop>{many[:-9]}</D:prop></D:set>")).status == 207
    large = f"<D:set><D:prop><z:big>{'x' * 60_000}</z:big></D:prop></D:set>"
    assert (await patch(dav, "", large)).status == 207
    assert (await patch(dav, "", large.replace("z:big", "z:more"))).status == 507


async def test_nobody_asks_for_thousands_of_properties_of_each_file(house: House) -> None:
    dav = await share(house)
    for names, status in ((200, 207), (201, 400)):
        asked = "".join(f"<z:c{number}/>" for number in range(names))
        body = f'<D:propfind xmlns:D="DAV:" xmlns:z="z"><D:prop>{asked}</D:prop></D:propfind>'
        assert (await dav.ask("PROPFIND", "/dav/", data=body, headers={"Depth": "1"})).status == status
        body = f'<D:propfind xmlns:D="DAV:" xmlns:z="z"><D:allprop/><D:include>{asked}</D:include></D:propfind>'
        assert (await dav.ask("PROPFIND", "/dav/", data=body, headers={"Depth": "1"})).status == status


async def test_a_file_is_sent_whole_in_parts_or_not_at_all(house: House) -> None:
    dav = await share(house)
    etag = (await put(dav, "x.jpg", jpeg(1))).headers["ETag"]
    part = await dav.get("/dav/x.jpg", headers={"Range": "bytes=10-19"})
    assert (part.status, part.body) == (206, jpeg(1)[10:20])
    assert (await dav.get("/dav/x.jpg", headers={"If-None-Match": etag})).status == 304
    head = await dav.ask("HEAD", "/dav/x.jpg")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(jpeg(1))))
    assert (await dav.get("/dav/nothing.jpg")).status == 404
    assert (await house.eve.get("/dav/x.jpg")).status == 401


async def test_a_folder_is_a_page_for_people(house: House) -> None:
    dav = await share(house)
    await dav.ask("MKCOL", "/dav/a & b")
    await put(dav, "a & b/<x>.jpg", jpeg(1))
    page = await dav.get("/dav/a & b/")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert b'<a href="/dav/a%20%26%20b/%3Cx%3E.jpg">&lt;x&gt;.jpg</a>' in page.body
    assert (await dav.ask("HEAD", "/dav/a & b/")).body == b""


async def test_the_library_answers_with_and_without_its_last_slash(house: House) -> None:
    dav = await share(house)
    for path in ("/dav", "/dav/"):
        options = await dav.ask("OPTIONS", path)
        assert (options.status, options.headers["DAV"], options.headers["MS-Author-Via"]) == (200, "1, 2", "DAV")
        assert "PROPFIND" in options.headers["Allow"]
        assert (await dav.ask("PROPFIND", path, headers={"Depth": "0"})).status == 207
    for method in ("POST", "PATCH", "REPORT"):
        answer = await dav.ask(method, "/dav/x.jpg")
        assert (answer.status, "PROPFIND" in answer.headers["Allow"]) == (405, True)


@pytest.mark.slow
async def test_a_folder_of_ten_thousand_files_is_sent_in_pieces_while_others_are_answered(house: House) -> None:
    folder = house.library / "many"
    folder.mkdir()
    for number in range(10_000):
        (folder / f"IMG_{number:05}.txt").touch()
    dav = await share(house)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(house.base.rpartition(":")[2]))
    authorization = f"Authorization: {dav.headers['Authorization']}"
    writer.write(f"PROPFIND /dav/many/ HTTP/1.1\r\nHost: x\r\n{authorization}\r\nDepth: 1\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"207 Multi-Status" in head
    assert b"chunked" in head
    # Seven megabytes do not fit into what nobody reads yet: the answer is under way, and others have theirs.
    assert (await house.ana.get("/photos")).status == 200
    assert len(await listed(dav, "many/")) == 10_000
    whole = b""
    while not whole.endswith(b"\r\n0\r\n\r\n"):
        whole += await reader.read(1 << 20)
    # A few stand across the borders of chunks.
    assert whole.count(b"</D:href>") > 9_900
    writer.close()


async def test_a_name_that_xml_cannot_have_spoils_no_list(house: House) -> None:
    (house.library / "a\uffff.txt").write_text("x")
    (house.library / "b\u2028.txt").write_text("x")
    dav = await share(house)
    answer = await find(dav)
    assert properties(answer, 1)["displayname"].text == "a\ufffd.txt"
    assert (await dav.get(hrefs(answer)[1])).body == b"x"
