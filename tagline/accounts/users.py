"""Users: one owner from the first start on, whom the household's password signs in."""

import uuid

from tagline.api import Role
from tagline.changes import SERVICE, Actor, difference, record
from tagline.db import Database, Row, Tx
from tagline.errors import NotFound

# The setting that keeps the mark of the configured password.
CONFIGURED = "configured_password"


def ensure_owner(tx: Tx) -> Row:
    """The owner's account; made, without a password, where there is none yet."""
    found = tx.row("accounts.owner")
    if found:
        return found
    user_id = str(uuid.uuid4())
    role: Role = "owner"
    tx.run("accounts.add_user", id=user_id, name="", role=role, password_hash=None, at=tx.at)
    record(tx, SERVICE, "user", user_id, "create", 1, {"role": role})
    made = tx.row("accounts.owner")
    assert made is not None
    return made


async def owner(db: Database) -> Row:
    """The owner's account, which every library has."""
    found = await db.row("accounts.owner")
    return found if found else await db.write(ensure_owner)


def set_password(tx: Tx, actor: Actor, user_id: str, password_hash: str) -> list[str]:
    """Change a password and sign all devices of the account out; gives the sessions that ended."""
    tx.run("accounts.set_password", id=user_id, password_hash=password_hash, at=tx.at)
    ended = tx.rows("accounts.revoke_other_families", user_id=user_id, family_id="", at=tx.at)
    record(tx, actor, "user", user_id, "update", 1, {"password": "changed"})
    return sorted({row[0] for row in ended})


async def follow_configured_password(db: Database, mark: str) -> None:
    """Sign the owner's devices out when the configured password is another one than at the last start.

    `mark` is what `passwords.mark` makes of it; after a change of the signing secret it is another one as well.
    """
    if await db.value("library.setting", name=CONFIGURED) != mark:
        await db.write(_configured_anew, mark)


def _configured_anew(tx: Tx, mark: str) -> None:
    user_id = ensure_owner(tx)["id"]
    tx.run("library.set", name=CONFIGURED, value=mark)
    if tx.rows("accounts.revoke_other_families", user_id=user_id, family_id="", at=tx.at):
        record(tx, SERVICE, "user", user_id, "update", 1, {"password": "changed"})


def set_name(tx: Tx, actor: Actor, user_id: str, name: str) -> Row:
    """Change the display name; gives the account as it is then."""
    before = tx.row("accounts.user", id=user_id)
    if not before:
        raise NotFound("User not found")
    changed = difference({"name": before["name"]}, {"name": name})
    if changed:
        tx.run("accounts.set_name", id=user_id, name=name, at=tx.at)
        record(tx, actor, "user", user_id, "update", 1, changed)
    after = tx.row("accounts.user", id=user_id)
    assert after is not None
    return after
