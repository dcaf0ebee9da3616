"""Sixteen clients edit one photo: each edit is applied or told 409, and the history has exactly the applied ones."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.house import Client
from tests.photos.files import photo
from tests.robustness.service import serving, signed_in

CLIENTS = 16
EDITS = 12

pytestmark = pytest.mark.slow


async def edit(client: Client, name: str, photo_id: str, by: str) -> tuple[list[str], int]:
    """Read and edit, again and again; gives the lines that were applied, and how many were refused."""
    applied, refused = [], 0
    for number in range(EDITS):
        seen = (await client.get(f"/photos/{photo_id}")).json
        line = f"{name} {number}"
        headers = {"If-Match": f'"{seen["version"]}"'} if by == "if_match" else {}
        body = {"description": line} if by == "if_match" else {"description": line, by: seen[by]}
        answer = await client.patch(f"/photos/{photo_id}/metadata", body, headers=headers)
        if answer.status == 200:
            assert answer.json["description"] == line
            applied.append(line)
        else:
            assert answer.status == (412 if by == "if_match" else 409)
            assert answer.json["detail"] == "Photo has been modified since last retrieval"
            assert answer.json["current"]["version"] > seen["version"]
            refused += 1
    return applied, refused


@pytest.mark.parametrize("by", ["last_modified", "version", "if_match"])
async def test_each_edit_is_applied_or_refused(tmp_path: Path, by: str) -> None:
    photo(tmp_path / "photos/a.jpg", 1)
    async with serving(tmp_path) as (service, ana):
        [photo_id] = (await ana.post("/rescan")).json["imported"]
        async with ClientSession() as one, ClientSession() as other:
            clients = [ana, await signed_in(one, service.address), await signed_in(other, service.address)]
            results = await asyncio.gather(
                *(edit(clients[number % 3], f"client {number}", photo_id, by) for number in range(CLIENTS))
            )
        applied = [line for lines, _ in results for line in lines]
        refused = sum(count for _, count in results)
        assert len(applied) + refused == CLIENTS * EDITS
        assert applied
        assert refused
        history = (await ana.get(f"/photos/{photo_id}/history")).json["items"]
        assert sorted(item["description"] for item in history) == sorted(applied)
        now = (await ana.get(f"/photos/{photo_id}")).json
        assert now["version"] == 1 + len(applied)
        assert now["description"] == history[0]["description"]
        assert [item["version"] for item in history] == list(range(now["version"], 1, -1))


async def test_edits_that_are_based_on_nothing_are_all_applied(tmp_path: Path) -> None:
    photo(tmp_path / "photos/a.jpg", 1)
    async with serving(tmp_path) as (_, ana):
        [photo_id] = (await ana.post("/rescan")).json["imported"]
        answers = await asyncio.gather(
            *(ana.patch(f"/photos/{photo_id}/metadata", {"description": f"line {number}"}) for number in range(64))
        )
        assert {answer.status for answer in answers} == {200}
        assert sorted(answer.json["version"] for answer in answers) == list(range(2, 66))
        assert (await ana.get(f"/photos/{photo_id}/history")).json["total"] == 64
