"""Work on octets from anybody, off the event loop, in a thread that ends with it.

lxml keeps every name that a thread has ever parsed for as long as the thread lives: in a thread of a pool, documents
full of new names would fill the memory, a message at a time, without ever being accepted. A thread costs some 100 µs.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


async def apart(work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
    """Do some work in a thread of its own.

    Args:
        work: what to call; it may take as long as it likes.
        args: its arguments.
        kwargs: its named arguments.
    """
    pool = ThreadPoolExecutor(1, "apart")
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, lambda: work(*args, **kwargs))
    finally:
        pool.shutdown(wait=False)
