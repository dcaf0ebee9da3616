"""Credentials: who is asking? The one resolver of `Authorization`, `x-api-key` and the cookie."""

import asyncio
import base64
import hmac
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

import msgspec
from aiohttp import web

from tagline import times
from tagline.accounts import tokens
from tagline.api import IDENTITY, LEFT, Identity, Scope
from tagline.changes import Change
from tagline.config import Config
from tagline.db import Database
from tagline.errors import Denied, DiskFull, Unauthenticated, Unavailable
from tagline.limits import Buckets

ACCESS_COOKIE = "tagline_access_token"
REFRESH_COOKIE = "tagline_refresh_token"
# WebDAV's programs know no other way. Elsewhere a browser would send a key again and again unasked.
BASIC_BELOW = "/dav/"

# Tokens known to be good are not looked up again until they end, or their session, key or account changes.
MAX_KNOWN = 1_000
KEY_KNOWN_FOR = 3600 * 1_000_000


class _Known(msgspec.Struct, frozen=True):
    identity: Identity
    since: int
    until: int


class Credentials:
    """Resolves requests to identities, and keeps their rate limits."""

    def __init__(self, config: Config, db: Database, secret: str) -> None:
        self._db = db
        self.secret = secret
        self._known: OrderedDict[str, _Known] = OrderedDict()
        # What was looked up before something ended is not kept after it.
        self._state = 0
        # What lasts, and how to cut it when the credentials that it came with end.
        self._held: dict[object, tuple[Identity, Callable[[], None]]] = {}
        self.signed_in = Buckets(config.rate_limit, 60, "Too many requests. Wait a moment.")
        self.anonymous = Buckets(config.anonymous_limit, 60, "Too many requests without a sign-in. Wait a moment.")
        self.sign_ins = Buckets(
            config.login_limit, 15 * 60, "Too many wrong passwords. Wait some minutes, then try again."
        )

    async def resolve(self, request: web.Request) -> Identity:
        """Who is asking; raises Unauthenticated, or Denied for a cookie that another site makes a browser send."""
        token, from_cookie = credentials_of(request)
        identity = await self.identify(token) if token else None
        if identity is None:
            request[LEFT] = self.anonymous.take(request.remote or "")
            detail = "Invalid or expired token" if token else _how_to_sign_in(request)
            raise Unauthenticated(detail, headers={"WWW-Authenticate": 'Bearer realm="tagline"'})
        if from_cookie:
            check_same_origin(request)
        request[IDENTITY] = identity
        request[LEFT] = self.signed_in.take(identity.user_id)
        return identity

    async def identify(self, token: str) -> Identity | None:
        """The identity of an access token or API key that is valid now."""
        known = self._known.get(token)
        if known and known.since <= times.now() < known.until:
            self._known.move_to_end(token)
            return known.identity
        prefix = tokens.key_prefix(token)
        state = self._state
        found = await (self._by_key(token, prefix) if prefix else self._by_access_token(token))
        if found and state == self._state:
            self._known[token] = found
            if len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        return found.identity if found else None

    async def _by_access_token(self, token: str) -> _Known | None:
        claims = tokens.read_access_token(self.secret, token)
        if not claims:
            return None
        row = await self._db.row("accounts.live_family", family_id=claims.sid, now=times.now())
        if not row or row["user_id"] != claims.sub:
            return None
        scope: Scope = "admin" if row["role"] in ("owner", "admin") else "write"
        identity = Identity(claims.sub, row["role"], scope, row["device_name"], session_id=claims.sid)
        return _Known(identity, (claims.iat - tokens.AHEAD_SECONDS) * 1_000_000, claims.exp * 1_000_000)

    async def _by_key(self, key: str, prefix: str) -> _Known | None:
        row = await self._db.row("accounts.key_by_prefix", prefix=prefix)
        digest = tokens.digest(key)
        if not row or not hmac.compare_digest(row["hash"], digest) or row["revoked_at"] is not None:
            return None
        now = times.now()
        ends = row["expires_at"]
        if ends is not None and ends <= now:
            return None
        if row["last_used_at"] is None or row["last_used_at"] < now - KEY_KNOWN_FOR:
            # Reading goes on with a full disk, and then nobody needs to know when the key was used.
            with suppress(DiskFull, Unavailable):
                await self._db.write_again_if_lost(lambda tx: tx.run("accounts.used_key", id=row["id"], at=tx.at))
        identity = Identity(row["user_id"], row["role"], row["scope"], row["name"], key_id=row["id"], ends=ends)
        return _Known(identity, now, min(now + KEY_KNOWN_FOR, ends or now + KEY_KNOWN_FOR))

    def forget(self, changes: list[Change]) -> None:
        """Listen to the change feed: what was changed or signed out is looked up again, at once."""
        ended = {change.entity_id for change in changes if change.entity in ("session", "api_key", "user")}
        if ended:
            self._state += 1
            for token, known in list(self._known.items()):
                who = known.identity
                if _names(who, ended):
                    del self._known[token]
        # A session that is refreshed goes on, and so does an account with a new name.
        gone = {change.entity_id for change in changes if change.entity == "api_key" or change.action == "delete"}
        for who, cut in list(self._held.values()):
            if gone and _names(who, gone):
                cut()

    @contextmanager
    def held(self, request: web.Request) -> Iterator[None]:
        """While this lasts, the end of the credentials that a request came with cuts its connection."""
        with self.lasting(request[IDENTITY], partial(_cut, request)):
            yield

    @contextmanager
    def lasting(self, who: Identity, cut: Callable[[], None]) -> Iterator[None]:
        """While this lasts, the end of somebody's credentials calls `cut`."""
        key = object()
        self._held[key] = (who, cut)
        clock = asyncio.get_running_loop()
        timer = clock.call_later((who.ends - times.now()) / 1_000_000, cut) if who.ends is not None else None
        try:
            yield
        finally:
            del self._held[key]
            if timer:
                timer.cancel()


def _cut(request: web.Request) -> None:
    if request.transport:
        request.transport.abort()


def _names(who: Identity, ended: set[str]) -> bool:
    return who.session_id in ended or who.key_id in ended or who.user_id in ended


def credentials_of(request: web.Request) -> tuple[str | None, bool]:
    """The token that a request shows, and whether it came as a cookie."""
    authorization = request.headers.get("Authorization")
    if authorization:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "basic" and f"{request.path}/".startswith(BASIC_BELOW):
            return _password_of(token), False
        return (token.strip() or None, False) if scheme.lower() == "bearer" else (None, False)
    key = request.headers.get("x-api-key")
    if key:
        return key, False
    return request.cookies.get(ACCESS_COOKIE), True


def _how_to_sign_in(request: web.Request) -> str:
    if f"{request.path}/".startswith(BASIC_BELOW):
        return "The password is an API key, not the household's password: tagline key add NAME --scope upload"
    return "Sign in first: POST /login, or send an API key"


def _password_of(sent: str) -> str | None:
    """The API key that is the password of Basic credentials, whatever the user's name (RFC 7617 §2)."""
    try:
        _, _, password = base64.b64decode(sent.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    return password if tokens.key_prefix(password) else None


def check_same_origin(request: web.Request) -> None:
    """Raises Denied where an unsafe request with a cookie does not come from our own pages."""
    if request.method not in ("GET", "HEAD", "OPTIONS") and not is_same_origin(request):
        raise Denied(
            "A cookie alone cannot ask for this, since another site might have sent it. "
            "Send the token as Authorization: Bearer, or this server as Origin.",
            code="cross_site",
        )


def is_same_origin(request: web.Request) -> bool:
    """Whether a browser says that a request comes from our own pages."""
    origin = request.headers.get("Origin")
    if origin is None:
        return request.headers.get("Sec-Fetch-Site") == "same-origin"
    scheme, _, host = origin.partition("://")
    return scheme in ("http", "https") and host == request.host


CREDENTIALS = web.AppKey("credentials", Credentials)
