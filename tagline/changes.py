"""The change feed: one row for every write, in its own transaction, and the telling of it after the commit."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
from aiohttp import web

from tagline.db import Tx

log = logging.getLogger(__name__)

Action = Literal["create", "update", "delete"]


class Actor(msgspec.Struct, frozen=True):
    """Who writes: a person on a device, or (id None) the service itself."""

    id: str | None = None
    device: str = ""


SERVICE = Actor(None, "tagline")


class Change(msgspec.Struct, frozen=True):
    """One row of the feed. `data` maps each changed field to `[before, after]`, or to its value at creation."""

    seq: int
    entity: str
    entity_id: str
    action: Action
    version: int


def record(
    tx: Tx,
    actor: Actor,
    entity: str,
    entity_id: str,
    action: Action,
    version: int,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Write the row of one change; `Hub` tells it once the transaction has committed."""
    seq = tx.value(
        "changes.record",
        at=tx.at, actor=actor.id, device=actor.device, entity=entity, entity_id=entity_id, action=action,
        version=version, data=msgspec.json.encode(data).decode() if data else "{}",
    )  # fmt: skip
    tx.committed.append(Change(seq, entity, entity_id, action, version))


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """`{field: [before, after]}` of what `after` names and changes."""
    return {name: [before[name], value] for name, value in after.items() if before[name] != value}


Listener = Callable[[list[Change]], None]


class Hub:
    """Tells listeners of committed changes, on the event loop. Nobody else announces anything."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._told: set[int] = set()

    def listen(self, listener: Listener) -> None:
        """Call `listener` with each commit's changes; it must be quick and not raise."""
        self._listeners.append(listener)

    def tell(self, changes: list[Change]) -> None:
        """Pass committed changes on, each once; a listener's fault is logged and stops no other."""
        news = [change for change in changes if change.seq not in self._told]
        if not news:
            return
        self._told.update(change.seq for change in news)
        for listener in self._listeners:
            try:
                listener(news)
            except Exception:
                log.exception("a listener of the change feed failed")

    def passed(self, seq: int) -> None:
        """Changes up to `seq` will not come again, so they need not be remembered."""
        self._told = {told for told in self._told if told > seq}


HUB = web.AppKey("hub", Hub)
