"""Paths that try to leave the library: `..`, absolute, NUL and encoded ones, as they are on the wire."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.house import House
from tests.photos.files import photo, write

SECRET = b"root:x:0:0"

PATHS = [
    "/../../../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/..%2f..%2f..%2fetc%2fpasswd",
    "/%252e%252e%252fetc/passwd",
    "//etc/passwd",
    "/photos/../../etc/passwd",
    "/photos/..%2f..%2fsecret/image",
    "/photos/%2e%2e%2fsecret/image",
    "/photos/a.jpg/image",
    "/photos/a.jpg%00.png/image",
    "/photos/%00/image",
    "/photos/{id}%00/image",
    "/photos/{id}/../../../secret",
    "/photos/{id}/image/../../../../secret",
    "/photos/{id}%2f..%2f..%2fsecret/image",
    "/photos/{id}/image%00",
    "/photos/{id}/thumbnail?size=../../secret",
    "/photos/{id}/thumbnail?v=../../../secret",
    "/photos/{id}/image?download=../../secret",
    "/photos/..\\..\\secret/image",
    "/photos/%5c..%5csecret/image",
    "/photos/%c0%ae%c0%ae/%c0%ae%c0%ae/secret/image",
    "/photos/%ff%fe/image",
    "/albums/..%2f..%2fsecret",
    "/api/v1/photos/..%2f..%2fsecret/image",
    "/api/jobs/..%2f..%2fsecret",
    "/docs/../../tagline.db",
    "/docs/..%2f..%2ftagline.db",
    "/static/../../tagline.db",
    "/.tagline-library",
    "/photos/.tagline-library/image",
]


async def ask(house: House, path: str) -> tuple[int, bytes]:
    """A request with just this path, which no client has put in order; gives status and body."""
    address = urlsplit(house.base)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    headers = "".join(f"{name}: {value}\r\n" for name, value in house.ana.headers.items())
    writer.write(f"GET {path} HTTP/1.1\r\nHost: home\r\nConnection: close\r\n{headers}\r\n".encode("latin-1"))
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@pytest.mark.slow
async def test_no_path_leads_out_of_the_library(house: House, tmp_path: Path) -> None:
    write(tmp_path / "secret", SECRET)
    write(house.config.data_dir / "secret", SECRET)
    path = photo(house.library / "a.jpg", 1)
    await house.scan()
    found = await house.photo("a.jpg")
    for template in PATHS:
        status, body = await ask(house, template.replace("{id}", found["id"]))
        assert SECRET not in body, template
        assert b"SQLite format" not in body, template
        assert status < 500, template
        if status == 200:
            # What is well formed behind all that: the photo itself, or a page of the API.
            assert body == path.read_bytes() or b"RIFF" in body[:4] or body[:1] in b"{<", template
    assert (await ask(house, found["links"]["image"]))[1] == path.read_bytes()


@pytest.mark.slow
async def test_ids_are_ids_and_nothing_else(house: House) -> None:
    photo(house.library / "a.jpg", 1)
    await house.scan()
    found = await house.photo("a.jpg")
    for photo_id in ("a.jpg", "..", "%2e%2e", "0", "null", "%00", "'%20or%201=1--", found["id"] + "x", found["sha256"]):
        for route in ("", "/image", "/thumbnail", "/history"):
            status, _ = await ask(house, f"/photos/{photo_id}{route}")
            assert status in (400, 404, 405, 422), (photo_id, route)
