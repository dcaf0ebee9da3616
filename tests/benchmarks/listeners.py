"""Clients that listen for events, and one that edits, as a program of their own that prints waits as JSON.

`python -m tests.benchmarks.listeners PORT WAY COUNT EDITS ID…`: EDITS edits of the photos ID, one after the other, each
as soon as all COUNT listeners have heard of the one before; the access token in TOKEN.

WAY    websocket: the plain one; socket.io: Socket.IO over a WebSocket

All in one process, with one clock and one loop over bare sockets, so that a listener costs some 20 µs.
"""

import base64
import os
import select
import socket
import sys
import time
from collections.abc import Sequence
from itertools import islice

import msgspec

from tests.benchmarks.load import LoadError, request

_TIMEOUT = 30.0
_KEY = base64.b64encode(bytes(16)).decode()


class Heard(msgspec.Struct):
    """Waits in ms from the moment in which an edit was sent: until each listener had its event, and the editor its
    answer."""

    events: list[float]
    answers: list[float]


class _Connection:
    """A socket, and what has come over it since it was last asked for something."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.come = b""

    def until(self, mark: bytes) -> None:
        """Read, at the beginning, until something has come; raises LoadError where the connection ends."""
        while mark not in self.come:
            if not (piece := self.socket.recv(65536)):
                raise LoadError(f"the server closed the connection: {self.come[:500]!r}")
            self.come += piece
        self.come = b""


def main(port: int, way: str, count: int, edits: int, ids: Sequence[str]) -> Heard:
    """Connect, edit and listen. Raises LoadError."""
    token = os.environ["TOKEN"]
    listeners = [_websocket(port, token) if way == "websocket" else _socket_io(port, token) for _ in range(count)]
    editor = _Connection(port)
    connections = {connection.socket.fileno(): connection for connection in (editor, *listeners)}
    poller = select.epoll()
    for number in connections:
        poller.register(number, select.EPOLLIN)
    heard = Heard([], [])
    for place in range(edits):
        # Another line than in the round before, else nothing changes.
        line = f"Ana at the lake, {os.getpid()}-{place}."
        body = msgspec.json.encode({"description": line})
        path = f"/photos/{ids[place % len(ids)]}/metadata"
        _edit(poller, connections, editor, request(path, token, "PATCH", body), line.encode(), heard)
    for connection in connections.values():
        connection.socket.close()
    return heard


def _edit(
    poller: select.epoll,
    connections: dict[int, _Connection],
    editor: _Connection,
    edit: bytes,
    mark: bytes,
    heard: Heard,
) -> None:
    """One edit; returns when everybody has heard of it, which is when `mark` has come."""
    for connection in connections.values():
        connection.come = b""
    waiting = set(connections)
    began = time.perf_counter()
    editor.socket.sendall(edit)
    while waiting:
        ready = poller.poll(_TIMEOUT)
        if not ready:
            raise LoadError(f"{len(waiting)} of {len(connections)} heard nothing for {_TIMEOUT:g} s")
        for number, _ in ready:
            connection = connections[number]
            if not (piece := connection.socket.recv(65536)):
                raise LoadError("the server closed a connection")
            connection.come += piece
            if number in waiting and mark in connection.come:
                waiting.discard(number)
                took = 1000 * (time.perf_counter() - began)
                (heard.answers if connection is editor else heard.events).append(took)
    if not editor.come.startswith(b"HTTP/1.1 200 "):
        raise LoadError(f"an edit was answered by {editor.come[:500]!r}")


def _websocket(port: int, token: str) -> _Connection:
    connection = _Connection(port)
    connection.socket.sendall(_opening("/ws/sync", token))
    connection.until(b'"cursor"')
    return connection


def _socket_io(port: int, token: str) -> _Connection:
    connection = _Connection(port)
    connection.socket.sendall(_opening("/socket.io/?EIO=4&transport=websocket"))
    connection.until(b'0{"sid"')
    connection.socket.sendall(_frame(b"40/ws/sync," + msgspec.json.encode({"token": token})))
    connection.until(b"40/ws/sync,")
    return connection


def _opening(path: str, token: str = "") -> bytes:
    return request(
        path, token, Upgrade="websocket", Connection="Upgrade", Sec_WebSocket_Version="13", Sec_WebSocket_Key=_KEY
    )  # fmt: skip


def _frame(text: bytes) -> bytes:
    """A text as a client sends it (RFC 6455 §5.2), under a mask of zeros."""
    length = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
    return b"\x81" + length + bytes(4) + text


if __name__ == "__main__":
    port, way, count, edits = islice(sys.argv, 1, 5)
    print(msgspec.json.encode(main(int(port), way, int(count), int(edits), sys.argv[5:])).decode())
