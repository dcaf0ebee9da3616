"""schemathesis makes requests from the API's document, right ones and wrong ones, and holds each answer against it."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.command import ROOT
from tests.house import House, make_photo, running

PROGRAM = ROOT / ".venv-schemathesis/bin/schemathesis"
CONFIG = Path(__file__).with_name("schemathesis.toml")
# The same requests each time: what it finds once stays found.
SEED, EXAMPLES = "1", "50"


async def furnish(house: House) -> None:
    """Some photos with lines, keywords and places, so that not every answer is an empty list."""
    make_photo(house.library / "2024/07/lake.jpg", "navy", caption="Ana at the lake", taken="2024:07:01 16:02:11")
    make_photo(house.library / "2024/07/boat.jpg", "teal", taken="2024:07:01 16:03:11")
    make_photo(house.library / "2023/café.jpg", "plum", (640, 480), taken="2023:12:24 18:00:00", offset="-05:00")
    (house.library / "2023/broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no photo at all")
    await house.scan()
    lake = await house.photo("lake.jpg")
    edit = {"keywords": ["lake", "été"], "favourite": True, "location": {"lat": 46.1, "lon": 9.2}}
    assert (await house.ana.patch(f"/photos/{lake['id']}/metadata", edit)).status == 200


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_every_answer_is_one_that_the_document_promises(tmp_path: Path) -> None:
    assert PROGRAM.exists(), "`make .venv-schemathesis/.installed` makes schemathesis's own environment"
    async with running(tmp_path / "data", TAGLINE_LOGIN_LIMIT="1000000", TAGLINE_RATE_LIMIT="100000000") as house:
        await furnish(house)
        admin = await house.key("admin")
        spare = await house.ana.post("/api/auth/keys", {"name": "spare", "scope": "read"})
        key = admin.headers["Authorization"].removeprefix("Bearer ")
        process = await asyncio.create_subprocess_exec(
            PROGRAM, "--config-file", CONFIG, "run", f"{house.base}/api/openapi.json", "--url", house.base,
            "--checks", "all", "--max-examples", EXAMPLES, "--seed", SEED, "--no-color",
            env={**os.environ, "TAGLINE_KEY": key, "TAGLINE_SPARE_KEY": spare.json["id"]}, cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        told, _ = await process.communicate()
        assert process.returncode == 0, told.decode()
        # It has come to the end with the library still there.
        assert (await admin.get("/health")).json["checks"]["database"]["status"] == "healthy"
