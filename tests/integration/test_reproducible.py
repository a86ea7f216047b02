"""The same input gives the same rows, whatever the threads, the row order and the system's zone."""

import numpy as np
import pandas as pd
import pytest
from harness import differences, shuffled_demo
from scenarios import ENOUGH_ROWS, MANY_THREADS, WITHOUT_TESTS

TOLERANCE = 1e-9


@pytest.fixture
def rebuilt(new_host, tmp_path):
    """Return a function that builds `every_input` in another environment."""

    def build(environment, shuffle_seed=None):
        host = new_host("every_input")
        host.environment |= MANY_THREADS | environment
        host.variables |= ENOUGH_ROWS
        if shuffle_seed is not None:
            folder = shuffled_demo(tmp_path / "shuffled", shuffle_seed)
            host.environment["COTERIE_DEMO_SEEDS"] = str(folder)
        host.dbt("build", *WITHOUT_TESTS)
        return host.snapshot()

    return build


def test_nothing_depends_on_threads_row_order_and_zone(every_input, every_input_elsewhere):
    left, right = every_input.snapshot(), every_input_elsewhere.snapshot()
    assert len(left) > 20
    assert differences(left, right, tolerance=TOLERANCE) == []


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("environment", "shuffle_seed"),
    [
        pytest.param({"COTERIE_TEST_THREADS": "1"}, None, id="one dbt thread"),
        pytest.param({"COTERIE_TEST_DUCKDB_THREADS": "1"}, None, id="one DuckDB thread"),
        pytest.param({"OMP_NUM_THREADS": "1"}, None, id="one OpenMP thread"),
        pytest.param({}, 2, id="shuffled rows"),
        pytest.param({}, 3, id="rows shuffled otherwise"),
        pytest.param({"TZ": "Pacific/Auckland"}, None, id="another zone"),
        pytest.param({"TZ": "America/Los_Angeles"}, None, id="a zone west of Greenwich"),
    ],
)
def test_nothing_depends_on(every_input, rebuilt, environment, shuffle_seed):
    again = rebuilt(environment, shuffle_seed)
    assert differences(every_input.snapshot(), again, tolerance=TOLERANCE) == []


def test_the_comparison_notices_what_differs():
    left = pd.DataFrame(
        {
            "id": ["a", "b", "c"],
            "code": [1, 2, 3],
            "share": [0.1, 0.2, np.nan],
            "w": [[0.5], [], [1.0]],
        }
    )
    noisy = left.assign(share=left["share"] + 1e-13)
    assert differences({"t": left}, {"t": noisy[::-1]}, tolerance=TOLERANCE) == []
    assert differences({"t": left}, {"t": noisy}) != []
    assert differences({"t": left}, {"t": left.assign(code=[1, 2, 4])}, tolerance=1) != []
    assert differences({"t": left}, {"t": left.assign(share=[0.1, 0.2, 0.3])}, tolerance=1) != []
    assert differences({"t": left}, {"t": left.assign(w=[[0.5], [], [1.1]])}) != []
    assert differences({"t": left}, {"t": left.iloc[:2]}, tolerance=1) != []
    counted = left.assign(count=pd.array([1, None, 3], dtype="Int64"))
    miscounted = left.assign(count=pd.array([1, 2, 3], dtype="Int64"))
    assert differences({"t": counted}, {"t": counted[::-1]}) == []
    assert "count differs" in differences({"t": counted}, {"t": miscounted})[0]
    assert differences({"t": left}, {}) == ["t: only on the left"]
