"""Sessions: a device that signed in, as a family of refresh tokens of which only the newest is good.

A refresh token is spent by its use. A spent one that is used again was stolen, or its answer got lost on the way:
within 30 s that is forgiven once, else the whole family ends.
"""

import uuid

import msgspec

from tagline import times
from tagline.accounts import tokens
from tagline.api import Role
from tagline.changes import Actor, record
from tagline.db import Database, Tx
from tagline.errors import NotFound, Unauthenticated

FORGIVEN_WITHIN = 30 * 1_000_000
REFRESH_MICROSECONDS = tokens.REFRESH_SECONDS * 1_000_000
AHEAD_MICROSECONDS = tokens.AHEAD_SECONDS * 1_000_000


class Device(msgspec.Struct, frozen=True):
    """What a client tells of itself when it signs in or refreshes."""

    name: str
    user_agent: str
    address: str


class Granted(msgspec.Struct, frozen=True):
    """What a sign-in or refresh gives: whom, in which session, and the new refresh token."""

    user_id: str
    role: Role
    session_id: str
    refresh_token: str


class Session(msgspec.Struct, frozen=True):
    """A signed-in device, as people see it."""

    id: str
    device_name: str
    user_agent: str
    address: str
    signed_in_at: str
    last_used_at: str
    expires_at: str
    current: bool


class SessionList(msgspec.Struct, frozen=True):
    """The devices of an account."""

    items: list[Session]
    total: int


def start(tx: Tx, user_id: str, role: Role, device: Device) -> Granted:
    """Sign a device in."""
    tx.run("accounts.purge_sessions", before=tx.at)
    family_id = str(uuid.uuid4())
    token = _add_token(tx, user_id, family_id, device)
    record(tx, Actor(user_id, device.name), "session", family_id, "create", 1, {"device": device.name})
    return Granted(user_id, role, family_id, token)


def _add_token(tx: Tx, user_id: str, family_id: str, device: Device) -> str:
    token = tokens.new_refresh_token()
    tx.run(
        "accounts.add_session",
        id=str(uuid.uuid4()), user_id=user_id, family_id=family_id, refresh_hash=tokens.digest(token),
        device_name=device.name, user_agent=device.user_agent, address=device.address,
        issued_at=tx.at, expires_at=tx.at + REFRESH_MICROSECONDS,
    )  # fmt: skip
    return token


def refresh(tx: Tx, token: str, device: Device) -> Granted | None:
    """Spend a refresh token for the next one. None: it is not valid, and if it was reused, its family has ended.

    That end must be committed, so it is a value and not an exception, which would undo it.
    """
    row = tx.row("accounts.session_by_hash", refresh_hash=tokens.digest(token))
    if not row or row["revoked_at"] is not None:
        return None
    if not row["issued_at"] - AHEAD_MICROSECONDS <= tx.at < row["expires_at"]:
        return None
    user_id, family_id = row["user_id"], row["family_id"]
    actor = Actor(user_id, row["device_name"])
    if row["spent_at"] is not None:
        lost_answer = tx.at - row["spent_at"] <= FORGIVEN_WITHIN and row["forgiven_at"] is None
        if not lost_answer:
            tx.run("accounts.revoke_family", family_id=family_id, user_id=user_id, at=tx.at)
            record(tx, actor, "session", family_id, "delete", 1, {"reason": "refresh token reused"})
            return None
        tx.run("accounts.forgive_session", id=row["id"], at=tx.at)
        tx.run("accounts.revoke_unspent", family_id=family_id, at=tx.at)
    else:
        tx.run("accounts.spend_session", id=row["id"], at=tx.at)
    named = Device(row["device_name"], device.user_agent, device.address)
    successor = _add_token(tx, user_id, family_id, named)
    record(tx, actor, "session", family_id, "update", 1)
    return Granted(user_id, row["role"], family_id, successor)


def end(tx: Tx, actor: Actor, user_id: str, session_id: str) -> None:
    """Sign a device out; raises NotFound if it is not this account's."""
    if not tx.row("accounts.device", family_id=session_id, user_id=user_id):
        raise NotFound("Session not found")
    if tx.run("accounts.revoke_family", family_id=session_id, user_id=user_id, at=tx.at):
        record(tx, actor, "session", session_id, "delete", 1)


def end_by_token(tx: Tx, token: str) -> None:
    """Sign out the device that holds this refresh token, whatever became of the token."""
    row = tx.row("accounts.session_by_hash", refresh_hash=tokens.digest(token))
    if row:
        end(tx, Actor(row["user_id"], row["device_name"]), row["user_id"], row["family_id"])


async def devices(db: Database, user_id: str, current: str | None) -> SessionList:
    """The devices of an account, the one that was used last first."""
    rows = await db.rows("accounts.devices", user_id=user_id, now=times.now())
    items = [
        Session(
            row["family_id"], row["device_name"], row["user_agent"], row["address"], times.to_text(row["signed_in_at"]),
            times.to_text(row["last_used_at"]), times.to_text(row["expires_at"]), row["family_id"] == current,
        )
        for row in rows
    ]  # fmt: skip
    return SessionList(items, len(items))


def refused() -> Unauthenticated:
    """The one answer to every refresh token that is not valid."""
    return Unauthenticated(
        "Invalid or expired refresh token",
        code="invalid_refresh_token",
        headers={"WWW-Authenticate": "Bearer"},
    )
