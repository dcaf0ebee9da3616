"""The profile: who is signed in, and what they may do."""

from typing import Any

import pytest

from tests.house import House, behind_its_back


async def test_the_owner_sees_who_they_are(house: House) -> None:
    answer = await house.ana.get("/api/auth/profile")
    assert answer.status == 200
    body = answer.json
    assert (body["role"], body["tier"], body["scope"]) == ("owner", "free", "admin")
    assert (body["email"], body["name"], body["avatar_url"]) == (None, "", None)
    assert body["usage"] == {"count": 0}
    assert body["limits"] == {"requests_per_minute": 60000}
    assert body["created_at"].endswith("Z")


async def test_a_key_sees_the_account_with_its_own_scope(house: House) -> None:
    assert (await (await house.key("read")).get("/api/auth/profile")).json["scope"] == "read"


async def test_a_name_is_changed_trimmed_and_recorded(house: House) -> None:
    answer = await house.ana.patch("/api/v1/auth/profile", {"name": "  Ana Žižková 👩 "})
    assert (answer.status, answer.json["name"]) == (200, "Ana Žižková 👩")
    assert (await house.ana.get("/api/auth/profile")).json["name"] == "Ana Žižková 👩"
    await house.ana.patch("/api/auth/profile", {"name": "Ana Žižková 👩"})
    feed = behind_its_back(house, "select data from changes where entity = 'user' and action = 'update'")
    assert feed == [('{"name":["","Ana Žižková 👩"]}',)]


async def test_everybody_has_their_own(home: House) -> None:
    await home.ben.patch("/api/auth/profile", {"name": "Benjamin"})
    assert (await home.ben.get("/api/auth/profile")).json["name"] == "Benjamin"
    assert (await home.ben.get("/api/auth/profile")).json["role"] == "user"
    assert (await home.ben.get("/api/auth/profile")).json["scope"] == "write"
    assert (await home.ana.get("/api/auth/profile")).json["name"] == ""


@pytest.mark.parametrize(
    "body", [{}, {"name": ""}, {"name": " \t"}, {"name": 1}, {"name": "x" * 101}, {"role": "owner"}]
)
async def test_what_is_no_name_is_answered_400(house: House, body: dict[str, Any]) -> None:
    answer = await house.ana.patch("/api/auth/profile", body)
    assert answer.status == 400
    assert answer.json["errors"]


async def test_a_key_to_read_changes_nothing(house: House) -> None:
    assert (await (await house.key("read")).patch("/api/auth/profile", {"name": "x"})).status == 403


async def test_a_stranger_sees_no_profile_and_cannot_post_one(house: House) -> None:
    assert (await house.eve.get("/api/auth/profile")).status == 401
    answer = await house.ana.post("/api/auth/profile", {"name": "x"})
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET,HEAD,PATCH"
