"""Requests at a steady pace, each kind in a thread and on a connection of its own; how long each took."""

import http.client
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tests.benchmarks.load import LoadError
from tests.benchmarks.servers import Server

A_SECOND = 20.0

Asked = tuple[str, str, Any]


def paced(server: Server, kinds: Mapping[str, Iterator[Asked]], ended: threading.Event) -> dict[str, list[float]]:
    """Ask until `ended`, 20 times a second each; gives seconds. Raises LoadError if anything was answered badly."""
    took: dict[str, list[float]] = {name: [] for name in kinds}
    wrong: list[str] = []
    threads = [threading.Thread(target=_ask, args=(server, kinds[name], ended, took[name], wrong)) for name in kinds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise LoadError(wrong[0])
    return took


def _ask(server: Server, asked: Iterator[Asked], ended: threading.Event, took: list[float], wrong: list[str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
    try:
        while not ended.is_set():
            method, path, body = next(asked)
            began = time.perf_counter()
            connection.request(method, path, None if body is None else msgspec.json.encode(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            took.append(time.perf_counter() - began)
            if answer.status != 200:
                wrong.append(f"{method} {path}: {answer.status} {text[:500]!r}")
                ended.set()
            ended.wait(max(0.0, 1 / A_SECOND - (time.perf_counter() - began)))
    except (OSError, http.client.HTTPException) as error:
        wrong.append(repr(error))
        ended.set()
    finally:
        connection.close()
