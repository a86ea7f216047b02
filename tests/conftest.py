"""How tests are shared out where several processes run them."""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling


class BuildsTogether(LoadScopeScheduling):
    """One process runs all tests of a folder that shares what is built, or servers.

    The tests of the library go one by one to whoever is free.
    """

    def _split_scope(self, nodeid: str) -> str:
        folder = nodeid.split("::", 1)[0].rpartition("/")[0]
        return nodeid if folder.endswith("python") else folder


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> BuildsTogether:
    """Share out tests by what they need to have built."""
    return BuildsTogether(config, log)
