"""What all tests share: a house that runs, with its people."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.house import House, running


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """An empty house, with ana signed in."""
    async with running(tmp_path / "data") as house:
        yield house


@pytest.fixture
async def home(house: House) -> House:
    """The same with ben living there as well."""
    house.ben = await house.add_user("ben")
    return house
