"""The first run: a link, told once to whoever started the server, lets them choose the household's password."""

import hmac
import secrets

from aiohttp import web

from tagline.accounts import users
from tagline.changes import Actor
from tagline.config import Config
from tagline.db import Database, Tx
from tagline.errors import Denied, Gone


class FirstRun:
    """The set-up token of this start. It is kept in memory only: the next start makes another."""

    def __init__(self) -> None:
        self.token: str | None = None

    async def begin(self, config: Config, db: Database) -> None:
        """Make a token if nobody could sign in otherwise."""
        owner = await users.owner(db)
        if not config.backend_password and not owner["password_hash"]:
            self.token = secrets.token_urlsafe(16)

    def check(self, token: str) -> None:
        """Raises Gone when the library is set up already, Denied for a wrong token."""
        if self.token is None:
            raise _set_up_already()
        if not hmac.compare_digest(token.encode(errors="replace"), self.token.encode()):
            raise Denied(
                "This set-up link is not valid. The newest one is in the server's output.",
                code="invalid_setup_token",
            )

    async def choose_password(self, db: Database, token: str, password_hash: str) -> None:
        """Spend the token for the password. Of two at once, one wins; a password that was set meanwhile stays."""
        self.check(token)
        await db.write(_choose, password_hash)
        self.token = None


def _choose(tx: Tx, password_hash: str) -> None:
    owner = users.ensure_owner(tx)
    if owner["password_hash"]:
        raise _set_up_already()
    users.set_password(tx, Actor(owner["id"], "set-up link"), owner["id"], password_hash)


def _set_up_already() -> Gone:
    return Gone("Tagline is set up already. Sign in with the household's password.", code="already_set_up")


FIRST_RUN = web.AppKey("first_run", FirstRun)
