"""`tagline user` and `tagline key`: accounts and API keys from the command line, whether the service runs or not."""

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tagline import times
from tagline.accounts import keys, passwords, users
from tagline.api import Scope
from tagline.changes import Actor
from tagline.commands.serve import Locked, Refused, data_directory, prepare
from tagline.config import Config
from tagline.db import Database, opened
from tagline.errors import NotFound, Problem

COMMAND_LINE = Actor(None, "command line")


def with_database(config: Config, work: Callable[[Database], Awaitable[int]]) -> int:
    """Do something with the database. Where the service runs, it has the schema already and notices what is written.

    Raises Refused where there is none: a second library, made by mistake, would take what was meant for the first.
    """
    try:
        with suppress(PermissionError):  # data_directory tells of that
            config.data_dir.stat()
            config.database.stat()
    except OSError as error:
        raise Refused(
            f"There is no library in {config.data_dir}. TAGLINE_DATA_DIR names it; after `make run` it is ./data: "
            "TAGLINE_DATA_DIR=data .venv/bin/tagline …"
        ) from error
    with suppress(Locked), data_directory(config):
        prepare(config)

    async def run() -> int:
        async with opened(config.database) as db:
            return await work(db)

    try:
        return asyncio.run(run())
    except Problem as problem:
        raise Refused(problem.detail) from problem


async def list_users(db: Database) -> int:
    """Print all accounts."""
    await users.owner(db)
    for row in await db.rows("accounts.users"):
        password = "password set" if row["has_password"] else "no password"
        print(f"{row['id']}  {row['role']:<10}  {row['email'] or row['name'] or '-'}  {password}")
    return 0


def set_password(config: Config) -> Callable[[Database], Awaitable[int]]:
    """Choose the household's password; every device is signed out."""

    async def work(db: Database) -> int:
        if config.backend_password:
            raise Refused(
                "BACKEND_PASSWORD is set and is the household's password; change it there, or remove it first."
            )
        password = _asked()
        passwords.check_new(password)
        owner = await users.owner(db)
        ended = await db.write(users.set_password, COMMAND_LINE, owner["id"], await passwords.hashed(password))
        devices = "1 device was" if len(ended) == 1 else f"{len(ended)} devices were"
        print(f"The password is changed; {devices} signed out.")
        return 0

    return work


def _asked() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("New household password: ")
    if getpass.getpass("Again: ") != password:
        raise Refused("The two are not the same; nothing was changed.")
    return password


def add_key(name: str, scope: Scope) -> Callable[[Database], Awaitable[int]]:
    """Make an API key and print it."""

    async def work(db: Database) -> int:
        owner = await users.owner(db)
        made = await db.write(keys.add, COMMAND_LINE, owner["id"], name, scope, None)
        print(made.key)
        print(f"Key {made.id} ({made.scope}) for {made.name}. It is shown this once.", file=sys.stderr)
        return 0

    return work


async def list_keys(db: Database) -> int:
    """Print the owner's API keys."""
    owner = await users.owner(db)
    listed = await keys.keys(db, owner["id"])
    if not listed.items:
        print("There are no keys.")
    for key in listed.items:
        used = f"last used {key.last_used_at}" if key.last_used_at else "never used"
        print(f"{key.id}  {key.scope:<6}  tgl_{key.prefix}_…  {key.name}  made {key.created_at}  {used}")
    return 0


def revoke_key(key_id: str) -> Callable[[Database], Awaitable[int]]:
    """End an API key."""

    async def work(db: Database) -> int:
        owner = await users.owner(db)
        try:
            await db.write(keys.revoke, COMMAND_LINE, owner["id"], key_id)
        except NotFound as problem:
            raise Refused(f"{problem.detail}; see `tagline key list`.") from problem
        print(f"Revoked at {times.to_text(times.now())}.")
        return 0

    return work
