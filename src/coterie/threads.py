"""One thread for what sums up over rows: with more, sums differ in their last bits."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from functools import lru_cache

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager:
    """Hold the libraries of linear algebra to one thread, as `threadpool_limits` does.

    To look for the libraries takes longer than many a fit; they are looked for again only where
    something was imported since.
    """
    return _controller(len(sys.modules)).limit(limits=1)


@lru_cache(maxsize=1)
def _controller(module_count: int) -> ThreadpoolController:
    return ThreadpoolController()
