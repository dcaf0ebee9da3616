"""Addresses and links that lead out of the library, and strangers: none of them gets anywhere."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagline.errors import Problem
from tagline.storage.paths import key_fault
from tagline.uploads.dav import places
from tagline.uploads.dav.routes import ALLOWED
from tests.house import PASSWORD, House
from tests.uploads.dav.webdav import basic, find, jpeg, listed, lock, move, on_disk, put, raw, share


@pytest.mark.parametrize(
    "target",
    [
        "/dav/../outside.jpg", "/dav/a/../../outside.jpg", "/dav/%2e%2e/outside.jpg", "/dav/..%2foutside.jpg",
        "/dav/a%2Fb.jpg", "/dav/a%5cb.jpg", "/dav/a%00.jpg", "/dav/a%0d%0aX:1.jpg", "/dav//a.jpg", "/dav/./a.jpg",
        "/dav/a//b.jpg", "/dav/%ff.jpg", "/dav/%ed%a0%80.jpg", f"/dav/{'x' * 256}.jpg", f"/dav/{'y/' * 2100}x.jpg",
        "/dav/a.jpg#fragment", "/dav/..", "/dav/a/.", "/dav/%2e",
    ],
)  # fmt: skip
async def test_an_address_that_is_none_is_refused_by_every_method(house: House, target: str) -> None:
    dav = await share(house)
    authorization = dav.headers["Authorization"]
    await put(dav, "a.txt", b"a")
    for method, *headers in (
        ("PUT",), ("GET",), ("PROPFIND", "Depth: 0"), ("DELETE",), ("MKCOL",), ("LOCK",), ("PROPPATCH",),
        ("MOVE", "Destination: /dav/b.txt"), ("UNLOCK", "Lock-Token: <x>"),
    ):  # fmt: skip
        status = await raw(house, method, target, authorization, *headers, body=b"x" if method == "PUT" else b"")
        assert status in (400, 404), (method, status)
    assert (await dav.ask("MOVE", "/dav/a.txt", headers={"Destination": target})).status in (400, 502)
    assert on_disk(house) == ["a.txt"]
    assert {path.name for path in house.library.parent.iterdir()} >= {"photos"}
    assert not (house.library.parent / "outside.jpg").exists()


async def test_links_out_of_the_library_are_not_followed(house: House, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.jpg").write_bytes(jpeg(1))
    (house.library / "folder").symlink_to(outside)
    (house.library / "link.jpg").symlink_to(outside / "secret.jpg")
    (house.library / "real").mkdir()
    (house.library / "inside").symlink_to("real")
    dav = await share(house)
    assert await listed(dav) == ["real/"]
    for path in ("folder/secret.jpg", "folder/", "link.jpg", "inside/"):
        assert (await dav.get(f"/dav/{path}")).status == 404, path
        assert (await find(dav, path, "0")).status == 404, path
        assert (await dav.delete(f"/dav/{path}")).status == 404, path
    for path in ("folder/new.jpg", "inside/new.jpg"):
        assert (await put(dav, path, jpeg(2))).status == 409, path
    assert (await put(dav, "link.jpg", jpeg(2))).status in (409, 503)
    assert (await dav.ask("MKCOL", "/dav/folder/new")).status == 409
    await put(dav, "x.jpg", jpeg(3))
    assert (await move(dav, "x.jpg", "folder/x.jpg")).status == 409
    assert os.listdir(outside) == ["secret.jpg"]
    assert (outside / "secret.jpg").read_bytes() == jpeg(1)


@pytest.mark.parametrize("method", ALLOWED.split(", "))
async def test_nobody_does_anything_without_a_key(house: House, method: str) -> None:
    key = (await house.key("write")).headers["Authorization"].removeprefix("Bearer ")
    token = house.ana.headers["Authorization"].removeprefix("Bearer ")
    for authorization in (
        basic("wrong"), basic("tgl_0000000000_wrong"), basic(key + "x"), basic("", key), "Basic", "Basic %%%",
        "Basic /w==", "Digest x", basic(token),
    ):  # fmt: skip
        answer = await house.client(Authorization=authorization).ask(method, "/dav/a.jpg")
        assert answer.status == 401, authorization
        assert [line.split()[0] for line in answer.headers.getall("WWW-Authenticate")] == ["Bearer", "Basic"]
    assert (await house.client(Authorization=basic(key, "anybody")).ask("OPTIONS", "/dav/")).status == 200


async def test_a_wrong_key_costs_what_it_costs_elsewhere(house: House) -> None:
    answer = await house.client(Authorization=basic("wrong")).get("/dav/")
    assert int(answer.headers["RateLimit-Remaining"]) < int(answer.headers["RateLimit-Limit"])


async def test_a_key_as_a_password_counts_below_dav_alone(house: House) -> None:
    dav = await share(house)
    assert (await dav.get("/dav/")).status == 200
    for path in ("/photos", "/api/photos", "/davx", "/api/auth/keys"):
        assert (await dav.get(path)).status in (401, 404), path
    assert (await dav.get("/photos")).headers.getall("WWW-Authenticate") == ['Bearer realm="tagline"']


async def test_other_credentials_count_as_everywhere_and_a_cookie_from_our_own_pages_alone(house: House) -> None:
    token = house.ana.headers["Authorization"].removeprefix("Bearer ")
    key = (await house.key("write")).headers["Authorization"].removeprefix("Bearer ")
    assert (await house.ana.ask("MKCOL", "/dav/a")).status == 201
    assert (await house.client(**{"x-api-key": key}).ask("MKCOL", "/dav/b")).status == 201
    cookie = {"Cookie": f"tagline_access_token={token}"}
    assert (await house.client(**cookie).ask("MKCOL", "/dav/c")).status == 403
    assert (await house.client(**cookie, Origin="https://evil.example").ask("MKCOL", "/dav/c")).status == 403
    assert (await house.client(**cookie, Origin=house.base).ask("MKCOL", "/dav/c")).status == 201
    assert await listed(house.ana) == ["a/", "b/", "c/"]


async def test_who_may_read_changes_nothing(house: House) -> None:
    await put(await share(house), "a.jpg", jpeg(1))
    dav = await share(house, "read")
    assert await listed(dav) == ["a.jpg"]
    assert (await dav.get("/dav/a.jpg")).body == jpeg(1)
    for answer in (
        await put(dav, "b.jpg", jpeg(2)), await dav.delete("/dav/a.jpg"), await dav.ask("MKCOL", "/dav/b"),
        await move(dav, "a.jpg", "b.jpg"), await move(dav, "a.jpg", "b.jpg", "COPY"), await lock(dav, "a.jpg"),
        await dav.ask("PROPPATCH", "/dav/a.jpg"), await dav.ask("UNLOCK", "/dav/a.jpg"),
    ):  # fmt: skip
        assert (answer.status, answer.json["code"]) == (403, "forbidden")


async def test_who_may_add_changes_nothing_that_is_there(house: House) -> None:
    await put(await share(house), "a.jpg", jpeg(1))
    await put(await share(house), "a.xmp", b"sidecar")
    dav = await share(house, "upload")
    await put(dav, "new.tmp", jpeg(2))
    await dav.ask("MKCOL", "/dav/folder")
    for answer in (
        await put(dav, "a.jpg", jpeg(2)), await put(dav, "a.jpg", b""), await put(dav, "a.xmp", b"other"),
        await dav.delete("/dav/a.jpg"), await dav.delete("/dav/a.xmp"), await dav.delete("/dav/folder"),
        await move(dav, "a.jpg", "b.jpg"), await move(dav, "new.tmp", "a.jpg"), await move(dav, "folder", "b"),
        await move(dav, "a.jpg", "b.jpg", "COPY"), await dav.ask("PROPPATCH", "/dav/a.jpg"),
    ):  # fmt: skip
        assert (answer.status, answer.json["code"]) == (403, "forbidden")
        assert "write" in answer.json["detail"]
    assert on_disk(house) == ["a.jpg", "a.xmp"]
    assert (await dav.delete("/dav/new.tmp")).status == 204


@given(st.text(max_size=40))
def test_what_an_address_names_is_a_key_and_its_address_names_it_again(text: str) -> None:
    try:
        place = places.place_of(places.ROOT + text)
    except Problem:
        return
    assert place.key == "" or key_fault(place.key) is None
    again = places.place_of(places.address(place.key, folder=place.said_folder))
    assert again == place
    assert places.address(place.key, folder=False).isascii()


@given(st.text(max_size=60))
def test_any_destination_is_read_or_refused(header: str) -> None:
    try:
        place = places.destination_of(header)
    except Problem:
        return
    assert place.key == "" or key_fault(place.key) is None


async def test_who_tries_the_households_password_is_told_which_one_is_meant(house: House) -> None:
    answer = await house.eve.ask("PROPFIND", "/dav/", headers={"Authorization": basic(PASSWORD), "Depth": "0"})
    assert answer.status == 401
    assert "API key" in answer.json["detail"]
    assert "tagline key add" in answer.json["detail"]
