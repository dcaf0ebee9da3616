"""Sending a file over HTTP: whole, in parts, or not at all because the client has it; never a wrong mix.

A file that is exchanged by renaming is sent as it was when it was opened. One that is written to while it is
being sent would reach the client half old and half new, with a good status: so the end of each
answer is held back until the file has been looked at once more, and the connection is aborted if it changed.
"""

import asyncio
import fcntl
import logging
import secrets
import socket
import struct
import termios
import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote

from aiohttp import web

from tagline.conditions import Validators, is_not_modified, wants_range
from tagline.ranges import Range, parse_range
from tagline.storage.provider import Away, Changed, Entry, OpenFile

log = logging.getLogger(__name__)

# Up to here a file is read at once and sent with its headers: 1.6 times as fast as sendfile. Routes give it
# to `Storage.open` as `prefetch`.
SMALL = 64 * 1024
_HELD_BACK = 64 * 1024
_WINDOW = 4 * 1024 * 1024
_COPIED_AT_ONCE = 256 * 1024
# Linux: bytes that have not been sent at all yet (linux/sockios.h).
_SIOCOUTQNSD = 0x894B
_LONGEST_WAIT = 0.1

# RFC 6266 §4.3, RFC 8187 §3.2.1: what may stand unescaped in filename*.
_ATTR_CHARS = "!#$&+-.^_`|~"
# They turn the reading direction, so that "gpj.exe" looks like "exe.jpg".
_TURNING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F])


class _Answer(NamedTuple):
    """What is to be sent: parts of the file, and between them the bytes of a multipart answer."""

    status: int
    headers: dict[str, str]
    segments: list[bytes | Range]

    @property
    def length(self) -> int:
        return sum(part.length if isinstance(part, Range) else len(part) for part in self.segments)

    def ranges(self) -> list[Range]:
        return [part for part in self.segments if isinstance(part, Range)]


async def send_file(
    request: web.Request,
    opened: OpenFile,
    *,
    etag: str,
    content_type: str,
    last_modified: float | None,
    headers: Mapping[str, str],
    download_name: str | None = None,
    expected: Entry | None = None,
) -> web.StreamResponse:
    """Answer a GET or HEAD with the file, as RFC 9110 has it: 200, 206, 304, 412, 416. Closes the file.

    `etag` is strong and without quotes, `last_modified` seconds since the epoch. `headers` are added to every
    good answer, 304 included. With `download_name` the browser saves the file under that name. `expected`
    is the file that `etag` was made for: another one is sent with validators of its own, and `no-cache`.

    Raises `errors.PreconditionFailed`, `errors.RangeNotSatisfiable`, `Changed` and `Away` before anything was
    sent; after that the connection is aborted, so that the client sees an incomplete body. When this returns,
    the answer may have been sent: headers that every answer has belong to `on_response_prepare`.
    """
    disposition = {} if download_name is None else {"Content-Disposition": attachment(download_name)}

    def answer() -> _Answer:
        now, added = Validators(etag, last_modified), dict(headers)
        if expected is not None and not _is_same(opened.entry, expected):
            now = _own_validators(opened.entry)
            added["Cache-Control"] = "no-cache"
        added |= {"Accept-Ranges": "bytes"} | now.headers()
        if is_not_modified(request.method, request.headers, now):
            return _Answer(304, added, [])
        size = opened.entry.size
        ranges = None
        if wants_range(request.method, request.headers, now):
            ranges = parse_range(request.headers.get("Range"), size)
        return _compose(ranges, size, content_type, added | disposition)

    try:
        try:
            return await _send(request, opened, answer())
        except Changed:
            await opened.run(opened.look)
            return await _send(request, opened, answer())
    finally:
        opened.close_soon()


def attachment(name: str) -> str:
    """The value of Content-Disposition that saves a file as `name`, whatever is in it (RFC 6266)."""
    name = name.translate(_TURNING)
    name = "".join("_" if unicodedata.category(c) in ("Cc", "Cs") or c in "/\\" else c for c in name).strip()
    name = name or "download"
    # Browsers read percent signs and quotes differently, even when escaped (RFC 6266, appendix D).
    plain = "".join(c if c.isascii() and c not in '"%' else "_" for c in _without_accents(name))
    value = f'attachment; filename="{plain}"'
    return value if plain == name else f"{value}; filename*=UTF-8''{quote(name, safe=_ATTR_CHARS)}"


def _without_accents(name: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))


def _is_same(found: Entry, expected: Entry) -> bool:
    return (found.size, found.mtime_ns, found.inode) == (expected.size, expected.mtime_ns, expected.inode)


def _own_validators(entry: Entry) -> Validators:
    return Validators(f"{entry.mtime_ns:x}-{entry.size:x}-{entry.inode:x}", entry.mtime_ns / 1e9)


def _compose(ranges: Sequence[Range] | None, size: int, content_type: str, headers: dict[str, str]) -> _Answer:
    """The whole file, one range of it, or several as `multipart/byteranges` (RFC 9110 §14.6)."""
    if ranges is None:
        return _Answer(200, headers | {"Content-Type": content_type}, [Range(0, size)])
    if len(ranges) == 1:
        only = {"Content-Type": content_type, "Content-Range": ranges[0].content_range(size)}
        return _Answer(206, headers | only, [ranges[0]])
    boundary = secrets.token_hex(16)
    segments: list[bytes | Range] = []
    for wanted in ranges:
        head = f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\n"
        segments += [f"{head}Content-Range: {wanted.content_range(size)}\r\n\r\n".encode(), wanted]
    segments.append(f"\r\n--{boundary}--\r\n".encode())
    return _Answer(206, headers | {"Content-Type": f"multipart/byteranges; boundary={boundary}"}, segments)


async def _send(request: web.Request, opened: OpenFile, answer: _Answer) -> web.StreamResponse:
    if answer.status == 304:
        return web.Response(status=304, headers=answer.headers)
    if request.method == "HEAD":
        return web.Response(status=answer.status, headers=answer.headers | {"Content-Length": str(answer.length)})
    if opened.content is not None or answer.length <= SMALL:
        read = iter(await opened.read([(part.start, part.length) for part in answer.ranges()]))
        body = b"".join(next(read) if isinstance(part, Range) else part for part in answer.segments)
        return web.Response(body=body, status=answer.status, headers=answer.headers)
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_length = answer.length
    await _stream(request, response, opened, answer.segments)
    return response


async def _stream(
    request: web.Request, response: web.StreamResponse, opened: OpenFile, segments: Sequence[bytes | Range]
) -> None:
    """Send a long answer. Whatever goes wrong from here on aborts the connection, and is not raised."""
    key = opened.entry.key
    try:
        await response.prepare(request)
        await _send_segments(request, response, opened, segments)
        return
    except Changed:
        log.warning("%s was changed while it was being sent; the connection is aborted", key)
    except ConnectionError:
        log.debug("the client went away while %s was being sent", key)
    except (Away, OSError) as error:
        log.error("%s could not be read to its end, the connection is aborted: %s", key, error.__cause__ or error)
    response.force_close()
    if request.transport is not None:
        request.transport.abort()


async def _send_segments(
    request: web.Request, response: web.StreamResponse, opened: OpenFile, segments: Sequence[bytes | Range]
) -> None:
    """Send all; the end of the last part only after having made sure that the file is still the same."""
    last = max(place for place, part in enumerate(segments) if isinstance(part, Range))
    for part in segments[:last]:
        if isinstance(part, Range):
            await _send_range(request, response, opened, part)
        else:
            await response.write(part)
    [*_, (start, stop)] = (part for part in segments if isinstance(part, Range))
    held_back = max(start, stop - _HELD_BACK)
    await _send_range(request, response, opened, Range(start, held_back))
    await _until_sent(_transport(request))
    [end] = await opened.read([(held_back, stop - held_back)])
    await response.write(b"".join([end, *(part for part in segments[last + 1 :] if isinstance(part, bytes))]))


async def _send_range(request: web.Request, response: web.StreamResponse, opened: OpenFile, part: Range) -> None:
    """Send a part of the file from the kernel's memory to the socket. Raises `Changed` if it is too short."""
    loop = asyncio.get_running_loop()
    for start in range(part.start, part.stop, _WINDOW):
        count = min(_WINDOW, part.stop - start)
        # sendfile runs in the event loop, and must not wait for a disk there.
        await opened.warm(start, count)
        transport = _transport(request)
        if transport.get_extra_info("sslcontext") is None:
            try:
                sent = await loop.sendfile(transport, opened.file, start, count, fallback=False)
            except asyncio.SendfileNotAvailableError:
                await _copy(response, opened, start, count)
                continue
            if sent < count:
                raise Changed(opened.entry.key)
        else:
            await _copy(response, opened, start, count)


async def _copy(response: web.StreamResponse, opened: OpenFile, start: int, count: int) -> None:
    """Send without sendfile: TLS, and file systems that cannot."""
    for at in range(start, start + count, _COPIED_AT_ONCE):
        [piece] = await opened.read([(at, min(_COPIED_AT_ONCE, start + count - at))])
        await response.write(piece)


async def _until_sent(transport: asyncio.Transport) -> None:
    """Wait until the kernel has sent what sendfile gave it.

    It sends from the file's own pages: a write to the file reaches what still waits in the socket, even after
    the last look at the file. (What a lost packet repeats, or a proxy on this machine has not read yet,
    stays exposed for that moment; waiting for acknowledgements would cost up to 40 ms a file.)
    """
    sock = transport.get_extra_info("socket")
    question = termios.TIOCOUTQ if sock.family == socket.AF_UNIX else _SIOCOUTQNSD
    delay = 0.0005
    while not transport.is_closing():
        [waiting] = struct.unpack("i", fcntl.ioctl(sock.fileno(), question, bytes(4)))
        if not waiting:
            return
        await asyncio.sleep(delay)
        delay = min(2 * delay, _LONGEST_WAIT)
    raise ConnectionResetError("the client has gone")


def _transport(request: web.Request) -> asyncio.Transport:
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client has gone")
    return transport
