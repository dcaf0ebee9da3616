"""API keys: for programs and devices without a sign-in, each with a scope."""

import asyncio
import os
import sys
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.house import Client, House, behind_its_back, until

SCOPES = ["read", "upload", "write", "admin"]
# One route for each scope; nothing takes uploads yet.
ROUTES = {
    "read": ("GET", "/api/jobs", None),
    "write": ("POST", "/rescan", None),
    "admin": ("GET", "/api/auth/keys", None),
}


async def make(house: House, **body: Any) -> Any:
    answer = await house.ana.post("/api/auth/keys", {"name": "NAS", "scope": "read", **body})
    assert answer.status == 201, answer
    return answer.json


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_key_may_do_what_its_scope_covers_and_nothing_else(house: House, scope: str) -> None:
    key = await house.key(scope)
    for needed, (method, path, body) in ROUTES.items():
        answer = await key.ask(method, path, body)
        if SCOPES.index(scope) >= SCOPES.index(needed):
            assert answer.status == 200, needed
        else:
            assert answer.status == 403, needed
            assert answer.json["code"] == "forbidden"
            assert f"`{needed}`" in answer.json["detail"]
            assert f"`{scope}`" in answer.json["detail"]


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_key_has_no_say_over_people_and_their_devices_unless_it_may_do_everything(
    house: House, scope: str
) -> None:
    [device] = (await house.ana.get("/api/auth/sessions")).json["items"]
    key = await house.key(scope)
    answers = [
        await key.get("/api/auth/sessions"),
        await key.patch("/api/auth/profile", {"name": "Mallory"}),
        await key.delete(f"/api/auth/sessions/{device['id']}"),
    ]
    if scope == "admin":
        assert [answer.status for answer in answers] == [200, 200, 204]
    else:
        assert [answer.status for answer in answers] == [403] * 3
        assert answers[0].json["detail"] == f"For an API key this needs the scope `admin`; this one has `{scope}`."
        assert (await house.ana.get("/api/auth/profile")).json["name"] == ""


async def test_a_key_is_shown_once_and_only_its_hash_is_kept(house: House) -> None:
    made = await make(house, name="NAS", scope="upload")
    assert made["key"].startswith(f"tgl_{made['prefix']}_")
    assert (made["name"], made["scope"], made["expires_at"]) == ("NAS", "upload", None)
    listed = (await house.ana.get("/api/auth/keys")).json
    assert listed["total"] == 1
    [shown] = listed["items"]
    assert set(shown) == {"id", "name", "prefix", "scope", "created_at", "last_used_at", "expires_at"}
    secret = made["key"].rpartition(made["prefix"])[2].strip("_")
    for table in ("api_keys", "changes"):
        assert secret not in str(behind_its_back(house, f"select * from {table}"))


@pytest.mark.parametrize("how", ["x-api-key", "Authorization"])
async def test_a_key_is_taken_in_either_header(house: House, how: str) -> None:
    key = (await make(house))["key"]
    client = house.client(**{how: key if how == "x-api-key" else f"bearer {key}"})
    assert (await client.get("/photos")).status == 200


async def test_a_key_in_the_cookie_still_has_to_come_from_our_own_pages(house: House) -> None:
    key = (await make(house, scope="write"))["key"]
    browser = house.client(Cookie=f"tagline_access_token={key}")
    assert (await browser.get("/photos")).status == 200
    assert (await browser.post("/rescan")).status == 403


@pytest.mark.parametrize("change", ["secret", "prefix", "cut", "doubled"])
async def test_a_key_that_is_nearly_right_is_wrong(house: House, change: str) -> None:
    made = await make(house)
    key, prefix = made["key"], made["prefix"]
    wrong = {
        "secret": key[:-1] + ("a" if key[-1] != "a" else "b"),
        "prefix": key.replace(prefix, "0" * len(prefix)),
        "cut": key[:-1],
        "doubled": key + key,
    }[change]
    answer = await house.client(**{"x-api-key": wrong}).get("/photos")
    assert answer.status == 401
    assert "WWW-Authenticate" in answer.headers


async def test_a_revoked_key_is_void_at_once(house: House) -> None:
    made = await make(house)
    nas = house.bearer(made["key"])
    assert (await nas.get("/photos")).status == 200
    assert (await house.ana.delete(f"/api/auth/keys/{made['id']}")).status == 204
    assert (await nas.get("/photos")).status == 401
    assert (await house.ana.get("/api/auth/keys")).json["items"] == []
    assert (await house.ana.delete(f"/api/auth/keys/{made['id']}")).status == 404


async def test_a_rotated_key_goes_on_for_the_stated_time(house: House) -> None:
    old = await make(house, name="NAS", scope="upload")
    answer = await house.ana.post(f"/api/auth/keys/{old['id']}/rotate", {"overlap_seconds": 3600})
    assert answer.status == 201
    new = answer.json
    assert (new["name"], new["scope"]) == ("NAS", "upload")
    until = datetime.fromisoformat(new["old_key_valid_until"])
    assert timedelta(minutes=59) < until - datetime.now(UTC) <= timedelta(hours=1)
    for key in (old["key"], new["key"]):
        assert (await house.bearer(key).get("/photos")).status == 200
    listed = {key["id"]: key["expires_at"] for key in (await house.ana.get("/api/auth/keys")).json["items"]}
    assert listed == {old["id"]: new["old_key_valid_until"], new["id"]: None}


async def test_a_key_that_has_expired_is_not_rotated(house: House) -> None:
    old = await make(house)
    await house.ana.post(f"/api/auth/keys/{old['id']}/rotate", {"overlap_seconds": 0})
    answer = await house.ana.post(f"/api/auth/keys/{old['id']}/rotate")
    assert (answer.status, answer.json["code"]) == (409, "key_expired")


async def test_a_key_rotated_without_overlap_is_void_at_once(house: House) -> None:
    old = await make(house)
    nas = house.bearer(old["key"])
    assert (await nas.get("/photos")).status == 200
    await house.ana.post(f"/api/auth/keys/{old['id']}/rotate", {"overlap_seconds": 0})
    assert (await nas.get("/photos")).status == 401


async def test_rotation_without_a_body_leaves_a_day(house: House) -> None:
    old = await make(house)
    new = (await house.ana.post(f"/api/auth/keys/{old['id']}/rotate")).json
    left = datetime.fromisoformat(new["old_key_valid_until"]) - datetime.now(UTC)
    assert timedelta(hours=23) < left <= timedelta(days=1)


async def test_rotation_does_not_prolong_a_key_that_ends_sooner(house: House) -> None:
    ends = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    old = await make(house, expires_at=ends)
    await house.ana.post(f"/api/auth/keys/{old['id']}/rotate", {"overlap_seconds": 30 * 24 * 3600})
    listed = {key["id"]: key["expires_at"] for key in (await house.ana.get("/api/auth/keys")).json["items"]}
    assert datetime.fromisoformat(listed[old["id"]]) == datetime.fromisoformat(ends)


@pytest.mark.parametrize("overlap", [-1, 30 * 24 * 3600 + 1, 1.5, "1", None, 10**30])
async def test_an_overlap_that_makes_no_sense_is_answered_400(house: House, overlap: Any) -> None:
    made = await make(house)
    answer = await house.ana.post(f"/api/auth/keys/{made['id']}/rotate", {"overlap_seconds": overlap})
    assert answer.status == 400
    assert answer.json["errors"][0]["field"] == "overlap_seconds"


async def test_a_key_ends_when_it_expires(house: House) -> None:
    made = await make(house, expires_at=(datetime.now(UTC) + timedelta(seconds=0.3)).isoformat())
    nas = house.bearer(made["key"])
    assert (await nas.get("/photos")).status == 200

    async def ended() -> bool:
        return (await nas.get("/photos")).status == 401

    await until(ended)


@pytest.mark.parametrize(
    "body",
    [
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": "tomorrow"},
        {"expires_at": "2030-01-01"},
        {"expires_at": "2030-01-01T00:00:00"},
        {"expires_at": "2030-02-30T00:00:00Z"},
        {"expires_at": "9999-12-31T23:59:59-23:59"},
        {"expires_at": "0001-01-01T00:00:00+23:59"},
        {"expires_at": 1893456000},
        {"scope": "owner"},
        {"scope": None},
        {"name": ""},
        {"name": "   "},
        {"name": "x" * 101},
        {"colour": "red"},
    ],
)
async def test_a_key_that_makes_no_sense_is_answered_400(house: House, body: dict[str, Any]) -> None:
    answer = await house.ana.post("/api/auth/keys", {"name": "NAS", "scope": "read", **body})
    assert answer.status == 400
    assert answer.json["code"] == "validation_error"
    assert answer.json["errors"][0]["field"] == next(iter(body))
    assert (await house.ana.get("/api/auth/keys")).json["total"] == 0


async def test_the_last_use_is_noted(house: House) -> None:
    made = await make(house)
    await house.bearer(made["key"]).get("/photos")
    [key] = (await house.ana.get("/api/auth/keys")).json["items"]
    assert key["created_at"] <= key["last_used_at"]


async def test_somebody_elses_key_is_not_there(home: House) -> None:
    made = await make(home)
    behind_its_back(home, "update users set role = 'admin' where name = 'ben'")
    # Ben's token was looked up as a user's: his next one says what he is now.
    ben = await fresh(home, "ben")
    assert (await ben.delete(f"/api/auth/keys/{made['id']}")).status == 404
    assert (await ben.post(f"/api/auth/keys/{made['id']}/rotate")).status == 404
    assert (await ben.get("/api/auth/keys")).json["items"] == []
    assert (await home.bearer(made["key"]).get("/photos")).status == 200


async def fresh(house: House, name: str) -> Client:
    """Somebody signed in anew."""
    [(user_id, role)] = behind_its_back(house, "select id, role from users where name = ?", name)
    return await house.sign_in(user_id, role, f"{name}'s tablet")


async def test_an_unknown_key_is_404_and_a_malformed_id_400(house: House) -> None:
    assert (await house.ana.delete(f"/api/auth/keys/{uuid.uuid4()}")).status == 404
    assert (await house.ana.post(f"/api/auth/keys/{uuid.uuid4()}/rotate")).status == 404
    assert (await house.ana.delete("/api/auth/keys/1")).status == 400


async def test_a_member_of_the_household_who_is_no_admin_makes_no_keys(home: House) -> None:
    assert (await home.ben.post("/api/auth/keys", {"name": "x", "scope": "read"})).status == 403
    assert (await home.ben.get("/api/auth/keys")).status == 403


async def test_a_key_made_or_revoked_on_the_command_line_counts_in_the_running_service(house: House) -> None:
    async def command(*arguments: str) -> str:
        environment = {
            "PATH": os.environ["PATH"], "TAGLINE_DATA_DIR": str(house.config.data_dir), "PYTHONWARNINGS": "error",
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tagline", "key", *arguments, env=environment, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        return out.decode().strip()

    script = house.bearer(await command("add", "a script", "--scope", "write"))
    assert (await script.post("/rescan")).status == 200
    [line] = (await command("list")).splitlines()
    assert "a script" in line
    assert "write" in line
    await command("revoke", line.split()[0])

    async def ended() -> bool:
        return (await script.get("/photos")).status == 401

    await until(ended, 5)
