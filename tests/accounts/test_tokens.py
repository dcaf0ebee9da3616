"""Access tokens: what is taken, and all that is not."""

import base64
import stat
import time
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagline.accounts import tokens
from tagline.accounts.credentials import CREDENTIALS
from tests.house import House, running

SECRET = "a secret of no less than thirty-two bytes"


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    made = {
        "sub": "u", "id": "u", "email": None, "role": "owner", "type": "access", "sid": "s", "jti": "j", "iat": now,
        "exp": now + 900, **changed,
    }  # fmt: skip
    return {name: value for name, value in made.items() if value != "left out"}


def read(key: str = SECRET, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **changed: Any) -> bool:
    token = jwt.encode(claims(**changed), key, algorithm, headers)
    return tokens.read_access_token(SECRET, token) is not None


def test_our_own_token_says_who_what_and_until_when() -> None:
    token = tokens.access_token(SECRET, "u", "ana@example.com", "owner", "s")
    said = tokens.read_access_token(SECRET, token)
    assert said is not None
    assert (said.sub, said.id, said.email, said.role, said.sid, said.type) == (
        "u",
        "u",
        "ana@example.com",
        "owner",
        "s",
        "access",
    )
    assert said.exp - said.iat == 900
    assert jwt.get_unverified_header(token)["alg"] == "HS256"
    assert tokens.access_token(SECRET, "u", None, "owner", "s") != token
    assert read()


@pytest.mark.parametrize("name", ["sub", "id", "role", "type", "sid", "jti", "iat", "exp"])
def test_a_token_without_one_of_its_claims_is_none(name: str) -> None:
    token = jwt.encode(claims(**{name: "left out"}), SECRET, "HS256")
    assert tokens.read_access_token(SECRET, token) is None


@pytest.mark.parametrize(
    ("issued", "ends"),
    [
        (-900, -1),
        (-900, 0),
        (24 * 3600 + 60, 24 * 3600 + 160),
        (73 * 365 * 24 * 3600, 73 * 365 * 24 * 3600 + 900),
        (3600, 3600 + 901),
        (0, 24 * 3600),
        (0, 901),
        (-901, 100),
        (0, 2**62),
        (0, 10**30),
        (-(10**30), 900),
    ],
)
def test_a_token_that_has_ended_or_lies_ahead_or_lives_too_long_is_none(issued: int, ends: int) -> None:
    """Both in seconds from now."""
    now = int(time.time())
    assert not read(iat=now + issued, exp=now + ends)


@pytest.mark.parametrize("ahead", [301, 40 * 60, 23 * 3600])
def test_a_token_of_before_the_clock_stepped_back_goes_on(ahead: int) -> None:
    now = int(time.time())
    assert read(iat=now + ahead, exp=now + ahead + 900)


@pytest.mark.parametrize(
    "changed",
    [{"type": "refresh"}, {"type": ""}, {"role": "emperor"}, {"sub": 7}, {"exp": "2099"}, {"exp": None}],
    ids=str,
)
def test_a_signed_token_that_says_something_else_is_none(changed: dict[str, Any]) -> None:
    assert not read(**changed)


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_only_the_one_algorithm_is_taken(algorithm: str) -> None:
    assert not read(SECRET * 2, algorithm)
    token = jwt.encode(claims(), SECRET * 2, algorithm)
    assert tokens.read_access_token(SECRET * 2, token) is None


def test_a_token_that_is_not_signed_is_none() -> None:
    assert tokens.read_access_token(SECRET, jwt.encode(claims(), None, "none")) is None
    for name in ("none", "None", "NONE", "nOnE"):
        head, body = (base64.urlsafe_b64encode(msgspec.json.encode(part)).rstrip(b"=").decode()
                      for part in ({"alg": name, "typ": "JWT"}, claims()))  # fmt: skip
        for signature in ("", "AA", jwt.encode(claims(), SECRET).rpartition(".")[2]):
            assert tokens.read_access_token(SECRET, f"{head}.{body}.{signature}") is None


def test_a_token_of_another_key_is_none() -> None:
    assert not read("another secret of at least thirty-two bytes")
    assert not read(
        "another secret of at least thirty-two bytes", headers={"kid": "../../dev/null", "jwk": {"kty": "oct"}}
    )


@given(at=st.integers(0, 10**6), character=st.characters(codec="ascii"))
def test_a_token_in_which_anything_was_changed_is_none(at: int, character: str) -> None:
    token = jwt.encode(claims(), SECRET, "HS256")
    at %= len(token)
    changed = token[:at] + character + token[at + 1 :]
    said = tokens.read_access_token(SECRET, changed)
    # The last character of a part may carry bits that mean nothing.
    assert said is None or said == tokens.read_access_token(SECRET, token)


@given(st.text(max_size=200))
def test_any_text_can_be_tried_as_a_token(text: str) -> None:
    assert tokens.read_access_token(SECRET, text) is None
    tokens.key_prefix(text)
    tokens.digest(text)


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer",
        "Bearer ",
        "Basic YW5hOmFuYQ==",
        "Bearer x",
        "Bearer a.b.c",
        "Bearer null",
        "Digest x",
        "x",
        "Bearer " + "x" * 5000,
    ],
)
async def test_a_request_with_other_credentials_is_answered_401(house: House, authorization: str) -> None:
    answer = await house.client(Authorization=authorization).get("/photos")
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="tagline"'
    assert answer.json["code"] == "unauthenticated"


async def test_wrong_credentials_in_a_header_are_not_made_good_by_a_cookie(house: House) -> None:
    good = house.ana.headers["Authorization"].removeprefix("Bearer ")
    cookie = {"Cookie": f"tagline_access_token={good}"}
    assert (await house.client(**cookie).get("/photos")).status == 200
    assert (await house.client(**cookie, Authorization="Bearer x").get("/photos")).status == 401
    assert (await house.client(**cookie, **{"x-api-key": "x"}).get("/photos")).status == 401


async def test_a_well_made_token_of_no_session_or_of_somebody_elses_is_refused(home: House) -> None:
    secret = home.app[CREDENTIALS].secret
    good = jwt.decode(home.ana.headers["Authorization"].removeprefix("Bearer "), secret, ["HS256"])
    ben = jwt.decode(home.ben.headers["Authorization"].removeprefix("Bearer "), secret, ["HS256"])
    for changed in ({"sid": "no such"}, {"sid": ben["sid"]}, {"sub": ben["sub"]}):
        forged = jwt.encode({**good, **changed}, secret, "HS256")
        assert (await home.bearer(forged).get("/photos")).status == 401
    # The account's role is asked of the database, whatever a token says.
    promoted = jwt.encode({**ben, "role": "owner"}, secret, "HS256")
    assert (await home.bearer(promoted).get("/api/auth/keys")).status == 403


async def test_a_token_that_was_good_ends_when_its_time_is_over(house: House) -> None:
    secret = house.app[CREDENTIALS].secret
    good = jwt.decode(house.ana.headers["Authorization"].removeprefix("Bearer "), secret, ["HS256"])
    short = house.bearer(jwt.encode({**good, "exp": int(time.time()) + 1}, secret, "HS256"))
    status = (await short.get("/photos")).status
    while status == 200:
        status = (await short.get("/photos")).status
    assert status == 401


async def test_the_secret_is_made_once_and_kept_where_only_its_owner_reads(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        file = house.config.data_dir / "jwt_secret"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        kept = file.read_text().strip()
        assert len(kept) >= 32
        ana = house.ana.headers
    async with running(tmp_path) as house:
        assert file.read_text().strip() == kept
        assert (await house.client(**ana).get("/photos")).status == 200


async def test_a_configured_secret_is_taken_and_none_is_made(tmp_path: Path) -> None:
    async with running(tmp_path, JWT_SECRET=SECRET) as house:
        token = house.ana.headers["Authorization"].removeprefix("Bearer ")
        assert tokens.read_access_token(SECRET, token) is not None
        assert not (house.config.data_dir / "jwt_secret").exists()


def test_a_secret_that_was_cut_short_by_a_power_cut_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "jwt_secret").write_text("short\n")
    assert len(tokens.kept_secret(tmp_path)) >= 32
    assert stat.S_IMODE((tmp_path / "jwt_secret").stat().st_mode) == 0o600
