"""What the tests of uploads send: photographs as bytes, forms, and requests by hand that no library would make."""

import asyncio
import base64
import hashlib
import io
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import FormData
from PIL import Image

from tests.house import Answer, Client, House

RESUMABLE = {"Tus-Resumable": "1.0.0"}
CHUNK = {**RESUMABLE, "Content-Type": "application/offset+octet-stream"}


def jpeg(colour: str = "navy", size: tuple[int, int] = (64, 48), taken: str | None = None) -> bytes:
    """A JPEG of one colour; `taken`: EXIF's local time, two hours east of Greenwich."""
    tags = Image.Exif()
    if taken:
        tags.get_ifd(0x8769)[0x9003] = taken
        tags.get_ifd(0x8769)[0x9011] = "+02:00"
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "JPEG", exif=tags)
    return out.getvalue()


def large(megabytes: int, colour: str = "navy") -> bytes:
    """A JPEG with so much behind its end as cameras put there: a picture all the same."""
    return jpeg(colour) + bytes(megabytes << 20)


def sha256(content: bytes) -> str:
    """The sum of a whole file, in hex."""
    return hashlib.sha256(content).hexdigest()


def content_digest(content: bytes) -> str:
    """The same as RFC 9530 has it."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


async def send(who: Client, content: Any, query: str = "", path: str = "/photos", **headers: str) -> Answer:
    """POST a file as the body itself. `Content_Type` stands for Content-Type."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named.setdefault("Content-Type", "image/jpeg")
    return await who.post(f"{path}?{query}" if query else path, data=_streamed(content), headers=named)


async def send_form(who: Client, content: bytes, filename: str | None = "IMG_1.jpg", **fields: str) -> Answer:
    """POST a file as a form, its fields in front."""
    form = FormData()
    for name, value in fields.items():
        form.add_field(name, value)
    form.add_field("file", content, filename=filename, content_type="image/jpeg")
    return await who.post("/photos", data=form)


def metadata(**said: str) -> str:
    """Upload-Metadata."""
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in said.items())


async def create(who: Client, size: int, **said: str) -> Answer:
    """Begin an upload by tus."""
    headers = {**RESUMABLE, "Upload-Length": str(size), "Upload-Metadata": metadata(**said)}
    return await who.post("/api/uploads", headers=headers)


async def begun(who: Client, size: int, **said: str) -> str:
    """The address of a new upload."""
    answer = await create(who, size, **said)
    assert answer.status == 201, answer
    return answer.headers["Location"]


async def append(who: Client, place: str, offset: int, content: Any, **headers: str) -> Answer:
    """Add bytes to an upload."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await who.patch(place, data=_streamed(content), headers={**CHUNK, "Upload-Offset": str(offset), **named})


def _streamed(content: Any) -> Any:
    """aiohttp does not want to be given much at once."""
    return io.BytesIO(content) if isinstance(content, bytes) and len(content) > 1 << 20 else content


async def offset(who: Client, place: str) -> int:
    """How much of an upload is there."""
    answer = await who.ask("HEAD", place, headers=RESUMABLE)
    assert answer.status == 200, answer
    return int(answer.headers["Upload-Offset"])


def checksum(content: bytes, algorithm: str = "sha256") -> str:
    """Upload-Checksum."""
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, content).digest()).decode()}"


def parts(house: House) -> list[Path]:
    """What lies in the folder of arriving files."""
    folder = house.library / ".tagline-incoming"
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def files(house: House) -> list[str]:
    """What lies in the library, for everybody to see."""
    return sorted(
        path.relative_to(house.library).as_posix()
        for path in house.library.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(house.library).parts)
    )


class Connection:
    """A connection on which anything can be written."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, who: Client) -> None:
        self._reader, self._writer, self._who = reader, writer, who

    async def head(self, method: str, path: str, headers: Mapping[str, Any], version: str = "1.1") -> None:
        """Write a request's head, with the client's own headers and these."""
        lines = [f"{method} {path} HTTP/{version}", "Host: house"]
        lines += [f"{name}: {value}" for name, value in {**self._who.headers, **headers}.items()]
        await self.write("\r\n".join([*lines, "", ""]).encode())

    async def write(self, content: bytes) -> None:
        """Write anything."""
        self._writer.write(content)
        await self._writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer, be it 100: its status, headers in lower case, and body."""
        async with asyncio.timeout(20):
            head = await self._reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")[:-2]
            status = int(re.fullmatch(r"HTTP/1\.[01] (\d+) .*", first)[1])  # type: ignore[index]
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            return status, headers, await self._reader.readexactly(int(headers.get("content-length", 0)))

    async def ended(self) -> bytes:
        """Wait until the other side closes; what it wrote until then."""
        async with asyncio.timeout(20):
            try:
                return await self._reader.read()
            except ConnectionError:
                return b""

    def cut(self) -> None:
        """As when a phone leaves the house: without a word more."""
        self._writer.transport.abort()


@asynccontextmanager
async def connected(who: Client) -> AsyncIterator[Connection]:
    """A connection of somebody's own to the house."""
    host, _, port = who.base.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    connection = Connection(reader, writer, who)
    try:
        yield connection
    finally:
        connection.cut()
