"""What the tests of uploads share."""

import pytest

from tagline.photos import digest


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The background does not wait for a phone to be done: here somebody waits for the background."""
    monkeypatch.setattr(digest, "REST_SECONDS", 0.0)
