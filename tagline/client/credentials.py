"""Who the client is: an API key, or a session of its own that it was paired for once and keeps."""

import asyncio
import fcntl
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec

from tagline.client.memory import readable, write_whole
from tagline.client.server import Refused, Server

# An access token is renewed so long before it ends, s: the request that carries it may take a while to arrive.
EARLY_SECONDS = 60.0


class Key:
    """An API key."""

    def __init__(self, key: str) -> None:
        self._headers = {"Authorization": f"Bearer {key}"}

    async def headers(self, server: Server) -> Mapping[str, str]:
        """The key."""
        return self._headers

    async def renew(self, server: Server, refused: Mapping[str, str]) -> bool:
        """A key is good or not."""
        return False


class Tokens(msgspec.Struct):
    """What signs a session in; kept in a file that only its owner may read."""

    access_token: str
    refresh_token: str


class Granted(Tokens):
    """The answer to a pairing and to a refresh. `expires_in` is that of the access token, s."""

    expires_in: float


class Session:
    """A session that is kept in a file. Several runs may use it at once: one of them renews it, and all see that."""

    def __init__(self, path: Path, tokens: Tokens) -> None:
        self._path = path
        self._tokens = tokens
        # By the clock that nobody sets; tokens from the file are used until they are refused.
        self._ends: float | None = None
        self._renewing = asyncio.Lock()

    async def headers(self, server: Server) -> Mapping[str, str]:
        """The access token; a new one if it is about to end."""
        if self._ends is not None and monotonic() > self._ends:
            await self.renew(server, _bearer(self._tokens))
        return _bearer(self._tokens)

    async def renew(self, server: Server, refused: Mapping[str, str]) -> bool:
        """Spend the refresh token; the new pair is on disk before it is used. False if the session has ended."""
        async with self._renewing:
            if _bearer(self._tokens) != {"Authorization": refused.get("Authorization")}:
                return True
            with _beside(self._path) as lock:
                await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
                kept = load(self._path)
                if kept and kept.refresh_token != self._tokens.refresh_token:
                    self._tokens, self._ends = kept, None
                    return True
                try:
                    granted = await _granted(server, "/refresh", {"refresh_token": self._tokens.refresh_token})
                except Refused as refusal:
                    if refusal.status in (401, 403, 422):
                        return False
                    raise
                _keep(self._path, granted)
                self._tokens, self._ends = granted, monotonic() + granted.expires_in - EARLY_SECONDS
                return True


async def paired(server: Server, code_or_link: str, path: Path) -> Session:
    """Exchange a pairing code, or the link of its QR code, for a session of this computer; raises Refused."""
    asked = {"code": code_of(code_or_link), "device_name": f"{socket.gethostname()} (tagline sync)"[:100]}
    granted = await _granted(server, "/api/auth/pair/exchange", asked)
    _keep(path, granted)
    return Session(path, granted)


def code_of(code_or_link: str) -> str:
    """The code in what people paste: itself, or the link that ends in it."""
    return code_or_link.strip().rpartition("#")[2]


def session_file(state: Path, server: str) -> Path:
    """Where the session at a server is kept."""
    return state / "sessions" / f"{readable(server)}.json"


def load(path: Path) -> Tokens | None:
    """The tokens in a file, if there are any."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Tokens)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


async def _granted(server: Server, path: str, asked: dict[str, Any]) -> Granted:
    return (await server.anonymous().ask("POST", path, json=asked)).read(Granted)


def _keep(path: Path, tokens: Tokens) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = Tokens(tokens.access_token, tokens.refresh_token)
    write_whole(path, msgspec.json.encode(kept).decode(), flush=True)


@contextmanager
def _beside(path: Path) -> Iterator[int]:
    """A file to lock beside another one, which is replaced whenever it is written."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield lock
    finally:
        os.close(lock)


def _bearer(tokens: Tokens) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens.access_token}"}
