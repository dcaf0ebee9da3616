"""API keys: for programs and devices without a sign-in, each with a scope."""

import uuid

import msgspec

from tagline import times
from tagline.accounts import tokens
from tagline.api import Scope
from tagline.changes import Actor, record
from tagline.db import Database, Row, Tx
from tagline.errors import Conflict, Invalid, NotFound

MICROSECONDS = 1_000_000
LAST_MOMENT = times.from_text("9999-12-31T23:59:59Z")[0]


class Key(msgspec.Struct, frozen=True):
    """An API key as it is listed; the key itself is never shown again."""

    id: str
    name: str
    prefix: str
    scope: Scope
    created_at: str
    last_used_at: str | None
    expires_at: str | None


class KeyList(msgspec.Struct, frozen=True):
    """The keys of an account."""

    items: list[Key]
    total: int


class NewKey(msgspec.Struct, frozen=True):
    """A key at its creation, the only time that `key` is told."""

    id: str
    name: str
    prefix: str
    scope: Scope
    key: str
    created_at: str
    expires_at: str | None
    old_key_valid_until: str | None = None


def add(tx: Tx, actor: Actor, user_id: str, name: str, scope: Scope, expires_at: str | None) -> NewKey:
    """Make a key; `expires_at` is RFC 3339."""
    ends = _moment(expires_at)
    if ends is not None and not tx.at < ends <= LAST_MOMENT:
        raise Invalid("expires_at", "lies in the past" if ends <= tx.at else "lies behind the year 9999")
    key_id = str(uuid.uuid4())
    key, prefix = tokens.new_key()
    tx.run(
        "accounts.add_key",
        id=key_id, user_id=user_id, name=name, prefix=prefix, hash=tokens.digest(key), scope=scope,
        created_at=tx.at, expires_at=ends,
    )  # fmt: skip
    record(tx, actor, "api_key", key_id, "create", 1, {"name": name, "scope": scope})
    return NewKey(key_id, name, prefix, scope, key, times.to_text(tx.at), _text(ends))


def rotate(tx: Tx, actor: Actor, user_id: str, key_id: str, overlap_seconds: int) -> NewKey:
    """A new key with the old one's name and scope; the old one stays valid for `overlap_seconds`."""
    old = tx.row("accounts.key", id=key_id, user_id=user_id)
    if not old:
        raise NotFound("API key not found")
    if old["expires_at"] is not None and old["expires_at"] <= tx.at:
        raise Conflict("The key has expired; make a new one.", code="key_expired")
    made = add(tx, actor, user_id, old["name"], old["scope"], _text(old["expires_at"]))
    until = tx.at + overlap_seconds * MICROSECONDS
    tx.run("accounts.expire_key", id=key_id, expires_at=until)
    record(tx, actor, "api_key", key_id, "update", 1, {"replaced_by": made.id})
    return msgspec.structs.replace(made, old_key_valid_until=times.to_text(until))


def revoke(tx: Tx, actor: Actor, user_id: str, key_id: str) -> None:
    """End a key at once."""
    if not tx.run("accounts.revoke_key", id=key_id, user_id=user_id, at=tx.at):
        raise NotFound("API key not found")
    record(tx, actor, "api_key", key_id, "delete", 1)


async def keys(db: Database, user_id: str) -> KeyList:
    """The keys of an account, newest first."""
    rows = await db.rows("accounts.keys", user_id=user_id)
    return KeyList([_key(row) for row in rows], len(rows))


def _key(row: Row) -> Key:
    return Key(
        row["id"], row["name"], row["prefix"], row["scope"], times.to_text(row["created_at"]),
        _text(row["last_used_at"]), _text(row["expires_at"]),
    )  # fmt: skip


def _text(at: int | None) -> str | None:
    return None if at is None else times.to_text(at)


def _moment(text: str | None) -> int | None:
    try:
        return None if text is None else times.from_text(text)[0]
    except ValueError as error:
        raise Invalid("expires_at", str(error)) from None
