"""Tokens: JWT for access, opaque random ones for refresh and API keys; only hashes of the latter are stored."""

import hashlib
import os
import secrets
import uuid
from pathlib import Path
from typing import Any

import jwt
import msgspec

from tagline import times
from tagline.api import Role

ACCESS_SECONDS = 15 * 60
REFRESH_SECONDS = 30 * 24 * 3600
# How far ahead a token may be dated. A board without a clock starts again at the time it last wrote down, up to an
# hour ago, and nobody shall have to sign in for that; but a token that was made when it was 2099 is none.
AHEAD_SECONDS = 24 * 3600
ALGORITHM = "HS256"


class Claims(msgspec.Struct, frozen=True):
    """What an access token says. `sid` is the session (the family of its refresh tokens)."""

    sub: str
    id: str
    email: str | None
    role: Role
    type: str
    sid: str
    jti: str
    iat: int
    exp: int


def access_token(secret: str, user_id: str, email: str | None, role: Role, session_id: str) -> str:
    """A signed access token, valid for a quarter of an hour."""
    issued = times.now() // 1_000_000
    claims = Claims(
        user_id, user_id, email, role, "access", session_id, uuid.uuid4().hex, issued, issued + ACCESS_SECONDS
    )
    return jwt.encode(msgspec.to_builtins(claims), secret, ALGORITHM)


def read_access_token(secret: str, token: str) -> Claims | None:
    """The claims of a token that we signed and that is valid now, else None."""
    try:
        # Times are checked below, against our own clock: the system's may not have been set yet.
        unchecked: dict[str, Any] = jwt.decode(
            token, secret, algorithms=[ALGORITHM],
            options={"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False},
        )  # fmt: skip
        claims = msgspec.convert(unchecked, Claims)
    except (jwt.PyJWTError, msgspec.ValidationError, ValueError):
        return None
    now = times.now() // 1_000_000
    lives = claims.iat - AHEAD_SECONDS <= now < claims.exp <= claims.iat + ACCESS_SECONDS
    return claims if claims.type == "access" and lives else None


def new_refresh_token() -> str:
    """32 random bytes."""
    return secrets.token_urlsafe(32)


def new_key() -> tuple[str, str]:
    """An API key and its prefix, which names it in lists: `tgl_<prefix>_<32 random bytes>`."""
    prefix = secrets.token_hex(5)
    return f"tgl_{prefix}_{secrets.token_urlsafe(32)}", prefix


def key_prefix(key: str) -> str | None:
    """The prefix of what looks like one of our API keys."""
    parts = key.split("_", 2)
    return parts[1] if len(parts) == 3 and parts[0] == "tgl" else None


def digest(token: str) -> str:
    """What is stored of a random token. They have 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def kept_secret(data_dir: Path) -> str:
    """The signing secret of this installation, made at the first start and readable by its owner only."""
    path = data_dir / "jwt_secret"
    try:
        secret = path.read_text(encoding="ascii").strip()
        if len(secret) >= 32:
            return secret
    except FileNotFoundError:
        pass
    secret = secrets.token_urlsafe(48)
    part = path.with_name(f".{path.name}.part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return secret
