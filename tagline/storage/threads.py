"""Work for callers that may be cancelled before it is done."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(threads: Executor, work: Callable[[], T], let_go: Callable[[T], object] | None = None) -> T:
    """Do `work` in one of the threads.

    `let_go` gets the result if the caller is cancelled before it is there: mostly it closes what was opened.
    """
    doing = threads.submit(work)
    try:
        return await asyncio.wrap_future(doing)
    except asyncio.CancelledError:
        if let_go:
            doing.add_done_callback(partial(_hand_over, let_go))
        raise


def _hand_over(let_go: Callable[[T], object], doing: Future[T]) -> None:
    if not doing.cancelled() and doing.exception() is None:
        let_go(doing.result())


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Do what must not be left half done: a caller that is cancelled goes only when it has ended."""
    doing = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.wait([doing])
        raise
