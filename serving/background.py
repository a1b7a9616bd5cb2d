"""Work that repeats for as long as the app runs."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from serving.logs import failure

_log = logging.getLogger(__name__)

_CANCEL_AGAIN_S: Final = 0.5


@asynccontextmanager
async def repeated(step: Callable[[], Awaitable[None]], *, every_s: float) -> AsyncIterator[None]:
    """Await ``step`` again and again while the context lasts; a step that fails is logged and tried again."""
    task = asyncio.create_task(_repeat(step, every_s))
    try:
        yield
    finally:
        while not task.done():  # a step may swallow a cancellation and go on: then it comes again
            task.cancel()
            await asyncio.wait([task], timeout=_CANCEL_AGAIN_S)


async def _repeat(step: Callable[[], Awaitable[None]], every_s: float) -> None:
    task = asyncio.current_task()
    while not (task and task.cancelling()):  # a step may turn its cancellation into a failure, as of a driver's timeout
        await asyncio.sleep(every_s)
        try:
            await step()
        except Exception as error:  # the outermost handler: no caller waits for this, and the next round must come
            _log.error("background work failed", extra=failure(error))
