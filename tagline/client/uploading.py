"""One file by tus 1.0 (https://tus.io/protocols/resumable-upload): from where the server has it, until it is there."""

import asyncio
import base64
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import monotonic
from typing import Literal

import msgspec

from tagline import times
from tagline.client.folder import PIECE, Altered, LocalFile, Reading, mime_type
from tagline.client.memory import Memory
from tagline.client.server import Answer, Refused, Server, Unreachable

UPLOADS = "/api/uploads"
TUS = {"Tus-Resumable": "1.0.0"}
CHUNK = {**TUS, "Content-Type": "application/offset+octet-stream"}

# Waiting between two tries doubles from the first to the last, s.
FIRST_PAUSE, LAST_PAUSE = 0.5, 60.0
# The server is busy, or somewhere between here and there something is: the same again may succeed.
PASSING = frozenset({408, 423, 425, 429, 500, 502, 503, 504})
BROKEN_OFF = frozenset({"body_broke_off", "body_too_slow"})
# What arrived was not what was announced (460 in tus, 422 elsewhere).
WRONG_SUM = frozenset({422, 460})
NOT_KNOWN = "The server does not know this computer (any more): {} Pair it again, or give another key."
NOT_ALLOWED = "The server does not allow it: {}"
NO_UPLOADS = "This server takes no uploads: its module `uploads` is off, or it is older than this command."
NO_ANSWER = "The server does not answer any more: {}. Run the command again when it is back; it goes on from here."
# 9999-12-31: no later time can be written down.
LAST_MTIME_NS = 253_402_214_400 * 10**9

Moved = Callable[[LocalFile, int], None]
"""Told which file is how far, in bytes that were handed to the connection or that the server has."""


class Ended(Exception):
    """Nothing more can be sent in this run; the text says why and what to do."""


class Sent(msgspec.Struct, frozen=True):
    """What became of a file: `here` means that the server had it all along. `problem` says why it failed.

    `resumed` from what the server had of it, which may be of an earlier run. `full`: for want of space there.
    """

    fate: Literal["sent", "here", "deleted", "altered", "failed"]
    resumed: bool = False
    problem: str = ""
    full: bool = False


class Tries:
    """How often and how long to go on with one file that does not get further."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._since = monotonic()
        self._paused = 0
        self._offset = -1
        self.wrong = 0

    def reached(self, offset: int) -> None:
        """The server has so much of it: where that is more than before, hope is new."""
        if offset > self._offset:
            self._offset, self._since, self._paused = offset, monotonic(), 0

    async def pause(self, retry_after: float | None = None) -> bool:
        """Wait before the next try; False once it has taken too long."""
        left = self._since + self._patience - monotonic()
        if left <= 0:
            return False
        wait = min(FIRST_PAUSE * 2**self._paused, LAST_PAUSE) * random.uniform(0.5, 1)
        self._paused += 1
        await asyncio.sleep(min(max(wait, retry_after or 0), left))
        return True


class Part:
    """The rest of a file from an offset on, in pieces."""

    def __init__(self, root: Path, file: LocalFile, offset: int, moved: Moved) -> None:
        self.length = file.size - offset
        self._root, self._file, self._offset, self._moved = root, file, offset, moved

    async def pieces(self) -> AsyncIterator[bytes]:
        """Read in a thread; raises Altered before the last piece of a file that was written to meanwhile."""
        reading = await asyncio.to_thread(Reading, self._root, self._file, self._offset)
        try:
            at = self._offset
            while at < self._file.size:
                piece = await asyncio.to_thread(reading.take, min(PIECE, self._file.size - at))
                at += len(piece)
                if not piece or at == self._file.size:
                    reading.check()
                yield piece
                self._moved(self._file, at)
        finally:
            reading.close()


class Uploading:
    """Sends files of one folder to one server."""

    def __init__(self, server: Server, root: Path, memory: Memory, patience: float, moved: Moved) -> None:
        self._server = server
        self._root = root
        self._memory = memory
        self._patience = patience
        self._moved = moved

    async def send(self, file: LocalFile, digest: bytes) -> Sent:
        """Send a file until it is there, or nothing helps; raises Ended, Misdirected."""
        tries = Tries(self._patience)
        resumed = False
        while True:
            try:
                offset, here = await self._offset(file, digest)
                resumed = resumed or offset > 0
                tries.reached(offset)
                self._moved(file, offset)
                if offset < file.size and not here:
                    here = await self._patch(file, offset)
                self._memory.note_upload(file, None)
                return Sent("here" if here else "sent", resumed)
            except Unreachable as error:
                if not await tries.pause():
                    raise Ended(NO_ANSWER.format(error)) from error
            except Refused as refused:
                if sent := await self._refused(file, refused, tries):
                    return sent
            except Altered:
                await self._give_up(file)
                return Sent("altered")
            except OSError as error:
                return Sent("failed", problem=f"cannot be read: {error.strerror or error}")

    async def _offset(self, file: LocalFile, digest: bytes) -> tuple[int, bool]:
        """From where to send on, of an upload that is begun if there is none; and whether the server has it all."""
        address = self._memory.upload_of(file)
        if address:
            answer = await self._server.ask("HEAD", address, headers=TUS)
            return _number(answer, "Upload-Offset"), False
        metadata = {
            "filename": file.name,
            "filetype": await asyncio.to_thread(mime_type, self._root, file),
            "sha256": digest.hex(),
        }
        if 0 <= file.mtime_ns < LAST_MTIME_NS:
            metadata["taken_at"] = times.to_text(file.mtime_ns // 1000)
        encoded = ",".join(f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in metadata.items())
        headers = {**TUS, "Upload-Length": str(file.size), "Upload-Metadata": encoded}
        answer = await self._server.ask("POST", UPLOADS, headers=headers)
        if "Location" in answer.headers:
            self._memory.note_upload(file, answer.headers["Location"])
        offset = _number(answer, "Upload-Offset") if "Upload-Offset" in answer.headers else 0
        return offset, offset == file.size

    async def _patch(self, file: LocalFile, offset: int) -> bool:
        """Send the rest; whether the server says that it had this content all along."""
        address = self._memory.upload_of(file)
        if address is None:
            raise Ended("The server began an upload without saying where: this is not a server that speaks tus.")
        part = Part(self._root, file, offset, self._moved)
        answer = await self._server.ask("PATCH", address, body=part, headers={**CHUNK, "Upload-Offset": str(offset)})
        if _number(answer, "Upload-Offset") != file.size:
            raise Unreachable("the server took less than was sent")
        return answer.headers.get("Tagline-Duplicate") == "true"

    async def _refused(self, file: LocalFile, refused: Refused, tries: Tries) -> Sent | None:
        """What an error means for a file; None to try again."""
        status = refused.status
        begun = self._memory.upload_of(file) is not None
        if status == 410 and refused.code == "deleted_for_good":
            self._memory.note_upload(file, None)
            return Sent("deleted")
        if status in (404, 410) and begun:
            # Expired, or the server is another one than before: from the start.
            self._memory.note_upload(file, None)
            return None if await tries.pause() else _failed(refused)
        if status == 409 or status in PASSING or refused.code in BROKEN_OFF:
            return None if await tries.pause(refused.retry_after) else _failed(refused)
        if status in WRONG_SUM and begun:
            self._memory.note_upload(file, None)
            tries.wrong += 1
            if tries.wrong < 2:
                return None
            self._memory.forget_hash(file)
            return Sent("failed", problem="does not arrive as it was read; it will be read anew in the next run")
        if status in (401, 403, 404, 405):
            raise ended_by(refused)
        if status in (413, 415):
            await self._give_up(file)
        return _failed(refused)

    async def _give_up(self, file: LocalFile) -> None:
        """Free what the server keeps of a file; where that fails, it expires there."""
        address = self._memory.upload_of(file)
        self._memory.note_upload(file, None)
        if address:
            try:
                await self._server.ask("DELETE", address, headers=TUS)
            except (Unreachable, Refused):
                return


def ended_by(refused: Refused) -> Ended:
    """The end of a run that a refusal means, whatever file it was about."""
    by_status = {401: NOT_KNOWN, 403: NOT_ALLOWED, 404: NO_UPLOADS, 405: NO_UPLOADS}
    return Ended(by_status.get(refused.status, "The server refuses: {}").format(refused.detail.rstrip(".") + "."))


def _failed(refused: Refused) -> Sent:
    return Sent("failed", problem=f"{refused.detail} ({refused.code or refused.status})", full=refused.status == 507)


def _number(answer: Answer, header: str) -> int:
    value = answer.headers.get(header, "")
    if not value.isdecimal():
        raise Ended(f"The server's answer lacks {header}: this is not a server that speaks tus.")
    return int(value)
