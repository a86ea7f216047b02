"""Hosts and builds that tests share. Builds run in the background, two at a time."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from harness import Host, copy_host, install
from scenarios import SCENARIOS, SLOW_SCENARIOS

HERE = Path(__file__).resolve().parent

#: Hosts that many scenarios build with the same vars: their copies start from one parse.
PARSED_ONCE = {"bare_shop"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long to build, before tests are chosen by their marks."""
    for item in items:
        if not item.path.is_relative_to(HERE):
            continue
        parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
        needed = {*getattr(item, "fixturenames", ()), *map(str, parameters)}
        if SLOW_SCENARIOS & needed:
            item.add_marker(pytest.mark.matrix)


@pytest.fixture(scope="session")
def new_host(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Host]:
    """Return a function that gives a fresh copy of a host, without a database.

    The package is installed once a host project.
    """
    installed: dict[str, Host] = {}
    locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
    root = tmp_path_factory.mktemp("hosts")
    numbers = iter(range(10**6))

    def get(name: str) -> Host:
        with locks[name]:
            if name not in installed:
                installed[name] = install(name, root / "installed" / name)
                if name in PARSED_ONCE:
                    installed[name].dbt("parse")
        return copy_host(installed[name], root / f"{next(numbers)}")

    return get


@pytest.fixture(scope="session", autouse=True)
def built(
    request: pytest.FixtureRequest,
    new_host: Callable[[str], Host],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], object]]:
    """Return a function that gives what a scenario has built.

    All scenarios that the collected tests ask for are started with the first test of this folder.
    """
    executor = ThreadPoolExecutor(max_workers=2)
    started: dict[str, Future] = {}

    def start(name: str) -> None:
        host_name, build = SCENARIOS[name]

        def run() -> object:
            return build(new_host(host_name) if host_name else tmp_path_factory.mktemp(name))

        started[name] = executor.submit(run)

    def get(name: str) -> object:
        if name not in started:
            start(name)
        return started[name].result()

    wanted = {
        name
        for item in request.session.items
        for name in item.fixturenames
        if not any(mark.args[0] for mark in item.iter_markers("skipif"))
    }
    for name in SCENARIOS:
        if name in wanted:
            start(name)
    yield get
    executor.shutdown(cancel_futures=True)


def _fixture_of(name: str) -> object:
    @pytest.fixture(scope="session", name=name)
    def scenario(built: Callable[[str], object]) -> object:
        return built(name)

    scenario.__doc__ = f"Return what the scenario {name} has built."
    return scenario


# One fixture a scenario, by its name.
globals().update({f"_{name}": _fixture_of(name) for name in SCENARIOS})
