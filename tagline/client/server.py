"""The server as the client sees it: requests, and what answers mean. Knows HTTP, and nothing of folders."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import aiohttp
import msgspec
from aiohttp import ClientSession
from multidict import CIMultiDict
from yarl import URL

from tagline import __version__

T = TypeVar("T")

# So long may nothing happen on a connection, s: neither a piece of a file be taken, nor an answer come.
STALLED_SECONDS = 120.0
CONNECT_SECONDS = 10.0
# The longest answer: 1,000 hashes with the ids of their photos are 110 KB.
MOST_ANSWER = 4 * 1024 * 1024
# A longer body is sent only once the server says that it will take it, bytes (RFC 9110 §10.1.1).
MOST_UNASKED = 1024 * 1024
MOST_KNOWN = 1000
"""How many hashes one request may ask about."""

# An answer to HEAD has no body that could say it.
WITHOUT_WORDS = {
    401: "Its credentials have ended.",
    403: "The credentials are good for less than this.",
    413: "The file is larger than the server takes in.",
    415: "The server cannot read it as a photo or video.",
    507: "The server's disk is full.",
}


class Unreachable(Exception):
    """No whole answer came; another try may get one. The text says what happened."""


class Misdirected(Exception):
    """What answers cannot be used, however often it is asked. The text says what to do."""


class Refused(Exception):
    """The server answered, but not with what was asked for."""

    def __init__(self, status: int, code: str, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after = retry_after


class Answer(msgspec.Struct):
    """A good answer."""

    status: int
    headers: CIMultiDict[str]
    body: bytes

    def read(self, kind: type[T]) -> T:
        """The body, which has to be JSON of that kind; raises Misdirected."""
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.DecodeError as error:
            raise Misdirected(f"The server's answer is none of a Tagline server's: {error}.") from error


class Health(msgspec.Struct):
    """What every Tagline server says of itself."""

    status: Literal["healthy", "degraded", "unhealthy"]


class Known(msgspec.Struct):
    """What the server says of up to 1,000 hashes; those in none of the fields it does not know.

    `pending` are hashes of which it cannot say yet, since it has not read all of its own files.
    """

    known: dict[str, str] = {}
    deleted: set[str] = set()
    unknown: set[str] = set()
    pending: set[str] = set()


class Body(Protocol):
    """What is sent with a request, in pieces."""

    length: int

    def pieces(self) -> AsyncIterator[bytes]:
        """From the first byte to the last."""


class Credentials(Protocol):
    """Who the client is."""

    async def headers(self, server: "Server") -> Mapping[str, str]:
        """What a request has to carry."""

    async def renew(self, server: "Server", refused: Mapping[str, str]) -> bool:
        """Whether there are newer ones than those that were just refused."""


class Nobody:
    """Who the client is before it has credentials."""

    async def headers(self, server: "Server") -> Mapping[str, str]:
        """None."""
        return {}

    async def renew(self, server: "Server", refused: Mapping[str, str]) -> bool:
        """There are none."""
        return False


class Server:
    """A Tagline server at an address."""

    def __init__(self, http: ClientSession, address: URL, credentials: Credentials) -> None:
        self._http = http
        self.address = address
        self.credentials = credentials

    def at(self, path: str) -> URL:
        """An address on this server: of a path, or where another address would be here.

        Behind a proxy the server may think that it is called otherwise; credentials go to nobody but the address that
        was asked for.
        """
        found = URL(path)
        if found.absolute:
            return self.address.with_path(found.raw_path, encoded=True).with_query(found.raw_query_string or None)
        return URL(str(self.address).rstrip("/") + "/" + path.lstrip("/"), encoded=True)

    async def ask(
        self, method: str, path: str, *, json: Any = None, body: Body | None = None, headers: Mapping[str, str] = {}
    ) -> Answer:
        """One request; with credentials that have run out, again with new ones.

        Raises Unreachable, Refused, Misdirected, and what `body` raises.
        """
        sent = await self.credentials.headers(self)
        try:
            return await self._once(method, path, json, body, {**headers, **sent})
        except Refused as refused:
            if refused.status != 401 or not await self.credentials.renew(self, sent):
                raise
        return await self._once(method, path, json, body, {**headers, **await self.credentials.headers(self)})

    async def _once(self, method: str, path: str, json: Any, body: Body | None, headers: Mapping[str, str]) -> Answer:
        sent = dict(headers)
        content: bytes | AsyncIterator[bytes] | None = None
        faults: list[Exception] = []
        if json is not None:
            content, sent["Content-Type"] = msgspec.json.encode(json), "application/json"
        try:
            async with asyncio.timeout(STALLED_SECONDS) as patience:
                if body is not None:
                    content, sent["Content-Length"] = _watched(body, patience, faults), str(body.length)
                async with self._http.request(
                    method, self.at(path), data=content, headers=sent, allow_redirects=False,
                    # A long body waits until it is wanted: a refusal costs no bytes then.
                    expect100=body is not None and body.length > MOST_UNASKED,
                ) as got:  # fmt: skip
                    said = await _said(got)
                    answer = Answer(got.status, got.headers.copy(), said)
                    if body is not None and got.status >= 300:
                        # The rest of the body is not wanted.
                        got.close()
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            raise _untrusted(error) from error
        except aiohttp.ClientError as error:
            if faults:
                raise faults[0] from None
            raise Unreachable(_why(error)) from error
        except TimeoutError as error:
            raise Unreachable(f"nothing happened for {STALLED_SECONDS:.0f} seconds") from error
        except OSError as error:
            raise Unreachable(error.strerror or str(error)) from error
        return _checked(answer)

    async def greet(self) -> None:
        """Make sure that a Tagline server is there; raises Unreachable, Misdirected."""
        try:
            answer = await self._once("GET", "/health", None, None, {})
        except Refused as refused:
            if refused.status in (429, 503):
                return
            raise Misdirected(
                f"What answers at {self.address} is not a Tagline server (status {refused.status}). Is the port right?"
            ) from refused
        try:
            answer.read(Health)
        except Misdirected:
            raise Misdirected(f"What answers at {self.address} is not a Tagline server. Is the port right?") from None

    def anonymous(self) -> "Server":
        """The same server, asked by nobody: to sign in, and to renew a session."""
        return Server(self._http, self.address, Nobody())

    async def known(self, sizes: Mapping[str, int]) -> Known:
        """What the server has of files: SHA-256 and size in bytes, at most 1,000."""
        asked = {"sha256": list(sizes), "sizes": dict(sizes)}
        answer = await self.ask("POST", "/photos/known", json=asked)
        return answer.read(Known)


@asynccontextmanager
async def connections(trusted: Path | None) -> AsyncIterator[ClientSession]:
    """What requests go through. `trusted` is a file of certificates beside those of the system.

    Raises Misdirected where that file cannot be used.
    """
    context = ssl.create_default_context()
    if trusted:
        try:
            context.load_verify_locations(trusted)
        except (OSError, ssl.SSLError) as error:
            raise Misdirected(f"{trusted} cannot be read as a file of certificates (PEM): {error}") from error
    times = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=STALLED_SECONDS)
    async with ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, limit=0),
        timeout=times,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": f"tagline-sync/{__version__}"},
    ) as http:
        yield http


def address_of(text: str) -> URL:
    """The address of a server as people write it: `tagline.local:8000` means http. Raises Misdirected."""
    try:
        address = URL(text if "://" in text else f"http://{text}")
        usable = address.scheme in ("http", "https") and bool(address.host) and bool(address.port)
    except ValueError:
        usable = False
    if not usable:
        raise Misdirected(f"{text!r} is no address of a server; one looks like http://raspberrypi.local:8000")
    return address.with_query(None).with_fragment(None).with_user(None)


async def _watched(body: Body, patience: asyncio.Timeout, faults: list[Exception]) -> AsyncIterator[bytes]:
    """A body whose every piece shows that the connection still moves; what goes wrong in it is kept in `faults`."""
    loop = asyncio.get_running_loop()
    try:
        async for piece in body.pieces():
            patience.reschedule(loop.time() + STALLED_SECONDS)
            yield piece
    except Exception as error:
        faults.append(error)
        raise
    patience.reschedule(loop.time() + STALLED_SECONDS)


async def _said(got: aiohttp.ClientResponse) -> bytes:
    """The answer's body, bounded."""
    said = b""
    async for piece in got.content.iter_any():
        said += piece
        if len(said) > MOST_ANSWER:
            raise Misdirected("The server's answer has no end: this is not a Tagline server.")
    return said


def _checked(answer: Answer) -> Answer:
    """A good answer; raises Refused for an error, Misdirected for what Tagline never answers."""
    if answer.status < 300:
        return answer
    if answer.status < 400:
        where = answer.headers.get("Location", "another address")
        raise Misdirected(f"The server is somewhere else: it points to {where}. Give that address with --server.")
    try:
        said = msgspec.json.decode(answer.body, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError):
        said = {}
    waiting = answer.headers.get("Retry-After", "")
    detail = said.get("detail") or WITHOUT_WORDS.get(answer.status, f"The server answers with status {answer.status}.")
    raise Refused(
        answer.status, str(said.get("code", "")), str(detail),
        float(waiting) if waiting.isdecimal() else None,
    )  # fmt: skip


def _why(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "no computer of that name is found in this network"
    if isinstance(error, aiohttp.ClientConnectorError):
        # Its own text names the address again.
        return os.strerror(error.errno).lower() if error.errno else str(error.os_error)
    return "the connection was cut"


def _untrusted(error: Exception) -> Exception:
    """What is wrong with the connection's encryption, and what to do."""
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    code, message = getattr(cause, "verify_code", None), getattr(cause, "verify_message", "")
    # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
    if code in (9, 10):
        return Misdirected(
            f"The server's certificate is not valid at this time ({message}). Check this computer's "
            "clock, then the certificate."
        )
    if code is not None:
        return Misdirected(
            f"The server's certificate is not trusted: {message}. With a certificate authority of your "
            "own, give its certificate with --ca FILE."
        )
    reason = getattr(cause, "reason", None) or str(cause)
    if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER" in reason:
        return Misdirected("The server does not speak https at this port; try http://.")
    return Unreachable(f"the encrypted connection failed ({reason})")
