"""What became of a photo after the version that somebody saw, read from the change feed."""

from functools import cached_property
from typing import Any

import msgspec

from tagline.api import Identity
from tagline.db import Row, Tx


class Meanwhile:
    """What others wrote at a photo after `version`, as a device sees it that edits that version.

    `known`: the feed has every version since. Where it does not (it was purged, or the version comes from a database
    that is no more), nobody can say what the device saw. `foreign`: something was written that was not by edits of the
    device's own session. Edits with an API key have none, since several devices may share it.
    """

    def __init__(self, tx: Tx, who: Identity, current: Row, version: int) -> None:
        rows = tx.rows("sync.after_version", photo_id=current["id"], version=version, session_id=who.session_id)
        self._current = current
        self._rows = rows
        self.known: bool = len({row["version"] for row in rows}) == current["version"] - version
        self.foreign = not self.known or not all(row["own"] for row in rows)

    @cached_property
    def _written(self) -> list[tuple[bool, dict[str, Any]]]:
        """Whether each change was the device's own, and what it changed. A phone alone needs none of it read."""
        return [(bool(row["own"]), msgspec.json.decode(row["data"])) for row in self._rows]

    def left(self, field: str) -> bool:
        """Whether a field is as the device saw it: nobody else wrote it, or it came back to what it was."""
        if not (self.known and self.foreign):
            return self.known
        touched = any(field in data for own, data in self._written if not own)
        return not touched or self.seen(field) == _value(field, self._current[field])

    def seen(self, field: str) -> Any:
        """What the device takes a field for: as it was then, with the device's own edits upon it; None if unknown."""
        if not self.known:
            return None
        befores = [data[field][0] for _, data in self._written if field in data]
        seen = _value(field, befores[0] if befores else self._current[field])
        for own, data in self._written:
            if own and field in data:
                before, after = (_value(field, value) for value in data[field])
                seen = three_way(before, after, seen) if field == "keywords" else after
            elif own and field == "description" and "kept" in data:
                seen = data["kept"][1]
        return seen


def _value(field: str, stored: Any) -> Any:
    return msgspec.json.decode(stored) if field == "keywords" else stored


def three_way(seen: list[str], ours: list[str], theirs: list[str]) -> list[str]:
    """Keywords with what we added to those that we saw, and without those that we removed; in their order."""
    removed = set(seen) - set(ours)
    added = [word for word in ours if word not in seen and word not in theirs]
    return [word for word in theirs if word not in removed] + added
