"""Routes of accounts: profile, devices, pairing, API keys; those of signing in are in signin.py."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from tagline import times
from tagline.accounts import keys, pairing, passwords, sessions, signin, tokens, users
from tagline.accounts.credentials import (
    CREDENTIALS,
    Credentials,
)
from tagline.accounts.firstrun import FIRST_RUN, FirstRun
from tagline.accounts.pairing import PAIRINGS, Pairings
from tagline.addresses import for_others
from tagline.api import LEFT, RESOLVER, Example, Identity, Json, Moment, Role, Scope, Uuid, api, identity, mount
from tagline.changes import HUB
from tagline.config import CONFIG
from tagline.db import DB, Row
from tagline.errors import Denied, Unauthenticated

routes = web.RouteTableDef()

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"\S")]


class Usage(msgspec.Struct):
    """How much an account has used of what is counted."""

    count: int


class Limits(msgspec.Struct):
    """What an account may do."""

    requests_per_minute: int


class Profile(msgspec.Struct):
    """An account, as its owner sees it; `scope` is that of the credentials that asked."""

    id: str
    email: str | None
    name: str
    avatar_url: str | None
    role: Role
    tier: Literal["free", "byok"]
    usage: Usage
    limits: Limits
    scope: Scope
    created_at: str


class ProfileEdit(msgspec.Struct, forbid_unknown_fields=True):
    """What an account may change of itself."""

    name: Name


class KeyRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A key to make. Without `expires_at` (RFC 3339) it is valid until it is revoked."""

    name: Name
    scope: Scope
    expires_at: Moment | None = None


class Rotation(msgspec.Struct, forbid_unknown_fields=True):
    """For how many seconds the old key stays valid beside the new one."""

    overlap_seconds: Annotated[int, msgspec.Meta(ge=0, le=30 * 24 * 3600)] = 24 * 3600


class Pairing(msgspec.Struct):
    """A code for another device. `url` is what the QR code holds: the server, and the code behind `#`.

    `qr` is the QR code as a data URI of SVG. The code is good once, until `expires_at`.
    """

    code: str
    url: str
    qr: str
    expires_at: str


class PairingExchange(msgspec.Struct, forbid_unknown_fields=True):
    """A code that another device shows, and how this device should be called."""

    code: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    device_name: Name


_USER_ID = "0f4e9c1a-7d35-4c1e-8b58-2f1f6f0f6a11"
_SESSION_ID = "5b0c2a94-1d0e-4f7a-9c11-6a3c0a9be1d2"
_KEY_ID = "7d1a8e53-64a7-4f0b-8f43-90f0c6f1b7a3"
_NEW_KEY_ID = "9c2f41b7-0a7d-4a52-b7ce-5c2d8d1e6f04"
_PROFILE = {
    "id": _USER_ID, "email": None, "name": "Ana", "avatar_url": None, "role": "owner", "tier": "free",
    "usage": {"count": 0}, "limits": {"requests_per_minute": 60000}, "scope": "admin",
    "created_at": "2026-11-20T09:00:00.000000Z",
}  # fmt: skip
_SESSION = {
    "id": _SESSION_ID, "device_name": "Ana's phone", "user_agent": "Mozilla/5.0 (Android 16; Mobile; rv:150.0)",
    "address": "192.168.1.20", "signed_in_at": "2026-11-20T09:00:00.000000Z",
    "last_used_at": "2026-11-20T09:15:00.000000Z", "expires_at": "2026-12-20T09:15:00.000000Z", "current": True,
}  # fmt: skip
_KEY = {
    "id": _KEY_ID, "name": "NAS", "prefix": "a1b2c3d4e5", "scope": "upload",
    "created_at": "2026-11-20T09:00:00.000000Z", "last_used_at": None, "expires_at": None,
}  # fmt: skip
_NEW_KEY = {
    "id": _KEY_ID, "name": "NAS", "prefix": "a1b2c3d4e5", "scope": "upload", "key": "tgl_a1b2c3d4e5_9qVhN0c5…",
    "created_at": "2026-11-20T09:00:00.000000Z", "expires_at": None, "old_key_valid_until": None,
}  # fmt: skip
_ROTATED = {
    **_NEW_KEY, "id": _NEW_KEY_ID, "prefix": "f6e5d4c3b2", "key": "tgl_f6e5d4c3b2_Zk31mPq8…",
    "old_key_valid_until": "2026-11-20T10:00:00.000000Z",
}  # fmt: skip
_PAIRED = {
    "access_token": "eyJhbGciOi…", "refresh_token": "mZ0h…", "token_type": "bearer", "expires_in": 900,
    "refresh_expires_in": 2592000, "detail": "Paired",
}  # fmt: skip
_PAIRING = {
    "code": "b1VtQ0h3…", "url": "http://192.168.1.10:8000/pair#b1VtQ0h3…", "qr": "data:image/svg+xml;charset=utf-8,…",
    "expires_at": "2026-11-20T09:02:00.000000Z",
}  # fmt: skip


@routes.get("/auth/profile")
@api(example=Example(answer=_PROFILE))
async def profile(request: web.Request) -> Profile:
    """Who is signed in, and what they may do."""
    who = identity(request)
    row = await request.app[DB].row("accounts.user", id=who.user_id)
    assert row is not None
    return _profile(request, row)


@routes.patch("/auth/profile")
@api(scope="write", errors=(400,), example=Example(body={"name": "Ana"}, answer=_PROFILE))
async def edit_profile(request: web.Request, body: ProfileEdit) -> Profile:
    """Change one's name. An API key needs the scope `admin` for it."""
    who = _person(request)
    return _profile(request, await request.app[DB].write(users.set_name, who.actor, who.user_id, body.name.strip()))


@routes.get("/auth/sessions")
@api(example=Example(answer={"items": [_SESSION], "total": 1}))
async def list_sessions(request: web.Request) -> sessions.SessionList:
    """The devices that this account is signed in on. An API key needs the scope `admin` to see them."""
    who = _person(request)
    return await sessions.devices(request.app[DB], who.user_id, who.session_id)


@routes.delete("/auth/sessions/{session_id}")
@api(scope="write", status=204, errors=(400, 404), example=Example(path={"session_id": _SESSION_ID}))
async def end_session(request: web.Request, session_id: Uuid) -> None:
    """Sign a device out, at once. An API key needs the scope `admin` for it."""
    who = _person(request)
    await request.app[DB].write(sessions.end, who.actor, who.user_id, session_id)


@routes.post("/auth/pair")
@api(scope="write", status=201, example=Example(answer=_PAIRING))
async def offer_pairing(request: web.Request) -> Json[Pairing]:
    """Show a code that lets another device sign in to this account: once, within two minutes.

    An older code of the account ends. An API key needs the scope `admin` for it.
    """
    offer = request.app[PAIRINGS].offer(_person(request))
    host = for_others(request.host, request.app[CONFIG].host)
    link = f"{request.scheme}://{host}/pair#{offer.code}"
    qr = await asyncio.to_thread(pairing.qr_code, link)
    shown = Pairing(offer.code, link, qr, times.to_text(offer.ends))
    return Json(msgspec.json.encode(shown), {"Cache-Control": "no-store"})


@routes.post("/auth/pair/exchange")
@api(
    scope=None, errors=(400, 401, 429),
    example=Example(body={"code": "b1VtQ0h3…", "device_name": "Ana's phone"}, answer=_PAIRED),
)  # fmt: skip
async def exchange_pairing(request: web.Request, body: PairingExchange) -> signin.Tokens:
    """Sign this device in with the code that another one shows. Cookies are set as at `/login`."""
    sign_ins, client = request.app[CREDENTIALS].sign_ins, f"{request.remote} pair"
    left = sign_ins.take(client)
    try:
        user_id = request.app[PAIRINGS].spend(body.code)
    except Unauthenticated:
        request[LEFT] = left
        raise
    sign_ins.give_back(client)
    user = await request.app[DB].row("accounts.user", id=user_id)
    if not user:
        raise pairing.refused()
    return await signin.sign_in(request, user, body.device_name, "Paired")


@routes.get("/auth/keys")
@api(scope="admin", example=Example(answer={"items": [_KEY], "total": 1}))
async def list_keys(request: web.Request) -> keys.KeyList:
    """This account's API keys."""
    return await keys.keys(request.app[DB], identity(request).user_id)


@routes.post("/auth/keys")
@api(
    scope="admin", status=201, errors=(400,),
    example=Example(body={"name": "NAS", "scope": "upload"}, answer=_NEW_KEY),
)  # fmt: skip
async def add_key(request: web.Request, body: KeyRequest) -> keys.NewKey:
    """Make an API key. It is shown this once."""
    who = identity(request)
    return await request.app[DB].write(keys.add, who.actor, who.user_id, body.name.strip(), body.scope, body.expires_at)


@routes.post("/auth/keys/{key_id}/rotate")
@api(
    scope="admin", status=201, errors=(400, 404, 409),
    example=Example(path={"key_id": _KEY_ID}, body={"overlap_seconds": 3600}, answer=_ROTATED),
)  # fmt: skip
async def rotate_key(request: web.Request, key_id: Uuid, body: Rotation | None) -> keys.NewKey:
    """Replace a key; the old one stays valid for a day, or as long as is said."""
    who = identity(request)
    overlap = (body or Rotation()).overlap_seconds
    return await request.app[DB].write(keys.rotate, who.actor, who.user_id, key_id, overlap)


@routes.delete("/auth/keys/{key_id}")
@api(scope="admin", status=204, errors=(400, 404), example=Example(path={"key_id": _KEY_ID}))
async def revoke_key(request: web.Request, key_id: Uuid) -> None:
    """Revoke a key, at once."""
    who = identity(request)
    await request.app[DB].write(keys.revoke, who.actor, who.user_id, key_id)


def _person(request: web.Request) -> Identity:
    """Who is asking; raises Denied for a key whose scope is about photos, not about the people they belong to."""
    who = identity(request)
    if who.key_id and not who.may("admin"):
        raise Denied(f"For an API key this needs the scope `admin`; this one has `{who.scope}`.")
    return who


def _profile(request: web.Request, row: Row) -> Profile:
    return Profile(
        row["id"], row["email"], row["name"], row["avatar_url"], row["role"], row["tier"], Usage(row["usage_count"]),
        Limits(request.app[CONFIG].rate_limit), identity(request).scope, times.to_text(row["created_at"]),
    )  # fmt: skip


async def _accounts(app: web.Application) -> AsyncIterator[None]:
    config, db = app[CONFIG], app[DB]
    credentials = Credentials(config, db, config.jwt_secret or tokens.kept_secret(config.data_dir))
    app[CREDENTIALS] = credentials
    app[PAIRINGS] = Pairings()
    app[HUB].listen(credentials.forget)
    app[HUB].listen(app[PAIRINGS].forget)
    if config.backend_password:
        await users.follow_configured_password(db, passwords.mark(config.backend_password, credentials.secret))
    await app[FIRST_RUN].begin(config, db)
    yield


def setup(app: web.Application) -> None:
    """Accounts' routes, and the resolver of credentials for everybody's."""
    app[FIRST_RUN] = FirstRun()
    app[RESOLVER] = lambda request: request.app[CREDENTIALS].resolve(request)
    app.cleanup_ctx.append(_accounts)
    app.on_response_prepare.append(signin.set_cookies)
    mount(app, signin.routes, ("", "/api", "/api/v1"), invalid=422)
    mount(app, routes, ("/api", "/api/v1"), invalid=400)
