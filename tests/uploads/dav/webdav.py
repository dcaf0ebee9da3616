"""Somebody who uses the library over WebDAV, and reads its answers."""

import asyncio
import io
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

from tests.house import Answer, Client, House
from tests.photos.files import encoded, noise

D = "{DAV:}"


async def share(house: House, scope: str = "write") -> Client:
    """A program with an API key as its password."""
    made = await house.key(scope)
    key = made.headers["Authorization"].removeprefix("Bearer ")
    return house.client(Authorization=basic(key))


def basic(key: str, user: str = "ana") -> str:
    """The header of Basic credentials."""
    return "Basic " + b64encode(f"{user}:{key}".encode()).decode()


def jpeg(seed: int, size: tuple[int, int] = (64, 48)) -> bytes:
    """A photo unlike any of another seed."""
    return encoded(noise(seed, size), "JPEG")


async def put(dav: Client, path: str, content: bytes, **headers: str) -> Answer:
    """PUT, below /dav/."""
    return await dav.ask("PUT", f"/dav/{path}", data=io.BytesIO(content) if content else None, headers=headers)


async def move(dav: Client, path: str, target: str, method: str = "MOVE", **headers: str) -> Answer:
    """MOVE or COPY."""
    return await dav.ask(method, f"/dav/{path}", headers={"Destination": f"{dav.base}/dav/{target}", **headers})


async def lock(dav: Client, path: str, scope: str = "exclusive", **headers: str) -> Answer:
    """LOCK."""
    body = (
        f'<D:lockinfo xmlns:D="DAV:"><D:lockscope><D:{scope}/></D:lockscope><D:locktype><D:write/></D:locktype>'
        "<D:owner><D:href>ana</D:href></D:owner></D:lockinfo>"
    )
    return await dav.ask("LOCK", f"/dav/{path}", data=body.encode(), headers=headers)


def token(answer: Answer) -> str:
    """The token of a lock that was granted, in its angle brackets."""
    return answer.headers["Lock-Token"]


async def find(dav: Client, path: str = "", depth: str = "1", body: str = "") -> Answer:
    """PROPFIND."""
    return await dav.ask("PROPFIND", f"/dav/{path}", data=io.BytesIO(body.encode()), headers={"Depth": depth})


async def listed(dav: Client, path: str = "") -> list[str]:
    """What a folder shows, as paths below it; folders with a slash at their end."""
    answer = await find(dav, path)
    assert answer.status == 207, answer
    whole = [unquote(each) for each in hrefs(answer)]
    assert whole[0] == f"/dav/{unquote(path)}"
    return sorted(each.removeprefix(whole[0]) for each in whole[1:])


def hrefs(answer: Answer) -> list[str]:
    """The addresses of a multistatus, in order."""
    responses = ElementTree.fromstring(answer.body).findall(f"{D}response")
    return [each.findtext(f"{D}href") or "" for each in responses]


def properties(answer: Answer, number: int = 0) -> dict[str, Any]:
    """The properties of status 200 of one response, by name, as elements."""
    response = ElementTree.fromstring(answer.body).findall(f"{D}response")[number]
    found: dict[str, Any] = {}
    for propstat in response.findall(f"{D}propstat"):
        if " 200 " in (propstat.findtext(f"{D}status") or ""):
            prop = propstat.find(f"{D}prop")
            assert prop is not None
            found |= {element.tag.removeprefix(D): element for element in prop}
    return found


def statuses(answer: Answer) -> dict[str, int]:
    """The status of each property, or (under "") of the whole, of a multistatus with one response."""
    [response] = ElementTree.fromstring(answer.body).findall(f"{D}response")
    found: dict[str, int] = {}
    for part in [response, *response.findall(f"{D}propstat")]:
        line = part.findtext(f"{D}status")
        prop = part.find(f"{D}prop")
        names = [""] if prop is None else [element.tag for element in prop]
        found |= {name: int(line.split()[1]) for name in names if line}
    return found


async def raw(house: House, method: str, target: str, authorization: str, *headers: str, body: bytes = b"") -> int:
    """A request whose address and body nobody has tidied up; the status of its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(house.base.rpartition(":")[2]))
    lines = [f"{method} {target} HTTP/1.1", "Host: x", f"Authorization: {authorization}", "Connection: close", *headers]
    if not any(header.startswith(("Content-Length", "Transfer-Encoding")) for header in headers):
        lines.append(f"Content-Length: {len(body)}")
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    status = int((await reader.readline()).split()[1])
    writer.close()
    return status


def on_disk(house: House) -> list[str]:
    """Every file of the library's folder that is not hidden, and what is in the folder of removed files."""
    found = []
    for path in sorted(house.library.rglob("*")):
        if path.is_file():
            parts = path.relative_to(house.library).parts
            if parts[0] == ".tagline-trash":
                found.append("/".join([".tagline-trash", *parts[2:]]))
            elif not parts[0].startswith("."):
                found.append("/".join(parts))
    return sorted(found)


def left_behind(house: House) -> list[Path]:
    """What lies in the folder for arriving files."""
    return [path for path in (house.library / ".tagline-incoming").rglob("*") if path.is_file()]
