"""What the purchase models cost on week states, beside one row per customer and beside lifetimes.

    python bench/nbd.py --customers 1000000 --lifetimes-python other/venv/bin/python

Customers are simulated as MBG/NBD says, over two years. Each part runs in a process of its own that
has loaded its libraries and its rows before it is measured: the fit and the scores of week states
(the grouping is SQL in the project, and not counted), the same states without the correction of
what was rounded up, one row per customer in days, and the package lifetimes for these rows.
lifetimes is old: give it an environment of its own; without one its part is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from purchase_process import simulate_customers

# Of the CDNOW sample, in weeks.
PARAMETERS = {"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614}
HORIZON = 26.0
PARTS = {
    "states": "week states",
    "uncorrected": "week states, uncorrected",
    "days": "customers, days",
    "lifetimes": "lifetimes, customers, days",
}
TARGET_CPU_SECONDS = 3.0
TARGET_BYTES = 200e6
TARGET_GAP = 0.01
TARGET_SPEEDUP = 10.0


def simulate(customer_count: int, seed: int, longest_days: int = 730) -> np.ndarray:
    """Simulate customers of MBG/NBD; gives x, t_x and T in weeks, cut to days."""
    from coterie.lifetime_value import ModifiedBetaGeometricNBD

    age = np.random.default_rng(seed).integers(1, longest_days + 1, customer_count) / 7
    model = ModifiedBetaGeometricNBD.from_parameters(**PARAMETERS)
    x, t_x, age = simulate_customers(model, age, seed=seed).states.T
    return np.column_stack([x, np.ceil(t_x * 7) / 7, age])


def in_weeks(customers: np.ndarray) -> np.ndarray:
    """Round times up to whole weeks, as the models of the package do."""
    return np.column_stack([customers[:, 0], np.ceil(customers[:, 1:] - 1e-9)])


# ---- the measured process -----------------------------------------------------------------------


def run_part(part: str, rows: Path) -> None:
    """Load, say so, wait for a line, and measure the fit and the scores."""
    loaded = np.load(rows)
    X, weight = loaded["X"], loaded["weight"]
    if part == "lifetimes":
        from lifetimes import ModifiedBetaGeoFitter

        def work() -> tuple[Mapping[str, float], np.ndarray, np.ndarray]:
            model = ModifiedBetaGeoFitter().fit(*X.T)
            found = {name: float(model.params_[name]) for name in PARAMETERS}
            alive = model.conditional_probability_alive(*X.T)
            bought = model.conditional_expected_number_of_purchases_up_to_time(HORIZON, *X.T)
            return found, alive, bought
    else:
        from coterie.lifetime_value import ModifiedBetaGeometricNBD, unrounded_weeks

        def work() -> tuple[Mapping[str, float], np.ndarray, np.ndarray]:
            rows = unrounded_weeks(X) if part == "states" else X
            model = ModifiedBetaGeometricNBD().fit(rows, sample_weight=weight)
            found = {name: getattr(model, f"{name}_") for name in PARAMETERS}
            times["fit"] = time.process_time() - started
            model.probability_of_purchase(rows, HORIZON)
            return found, model.probability_alive(rows), model.expected_purchases(rows, HORIZON)

    print("ready", flush=True)
    sys.stdin.readline()
    times: dict[str, float] = {}
    started = time.process_time()
    found, alive, bought = work()
    seconds = time.process_time() - started
    measured = {
        "cpu_seconds": round(seconds, 3),
        "fit_cpu_seconds": round(times.get("fit", float("nan")), 3) if times else None,
        "row_count": len(X),
        "parameters": found,
        "mean_probability_alive": float(np.average(np.asarray(alive), weights=weight)),
        "mean_expected_purchases": float(np.average(np.asarray(bought), weights=weight)),
    }
    print(json.dumps(measured), flush=True)


def measure(part: str, rows: Path, python: str) -> dict:
    """Run a part in a process of its own; its memory counts from when it is ready."""
    import psutil

    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    if python != sys.executable:
        environment.pop("PYTHONPATH", None)
    process = psutil.Popen(
        [python, __file__, "--part", part, "--rows", str(rows)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    if process.stdout.readline().strip() != "ready":
        raise SystemExit(f"The part {part} did not start: run {python} {__file__} by hand.")
    start = peak = process.memory_info().rss
    process.stdin.write("\n")
    process.stdin.flush()
    while process.poll() is None:
        try:
            peak = max(peak, process.memory_info().rss)
        except psutil.Error:
            break
        time.sleep(0.005)
    output = process.stdout.read()
    if process.wait():
        raise SystemExit(f"The part {part} ended with {process.returncode}.")
    return {**json.loads(output.splitlines()[-1]), "peak_extra_bytes": peak - start}


def has_lifetimes(python: str) -> bool:
    found = subprocess.run([python, "-c", "import lifetimes"], capture_output=True, check=False)
    return found.returncode == 0


# ---- the report ---------------------------------------------------------------------------------


def gap(left: Mapping, right: Mapping) -> float:
    """Give the largest relative difference of the parameters."""
    return max(abs(left["parameters"][n] / right["parameters"][n] - 1) for n in PARAMETERS)


def targets(parts: Mapping[str, Mapping]) -> dict[str, tuple[float, float, bool]]:
    """Give what was reached, what was wanted, and whether it is enough."""
    states = parts["states"]
    reached = {
        "CPU seconds of the states": (states["cpu_seconds"], TARGET_CPU_SECONDS),
        "extra MB of the states": (states["peak_extra_bytes"] / 1e6, TARGET_BYTES / 1e6),
        "parameters, states to customers": (gap(states, parts["days"]), TARGET_GAP),
    }
    found = {name: (value, wanted, value <= wanted) for name, (value, wanted) in reached.items()}
    if "lifetimes" in parts:
        speedup = parts["lifetimes"]["cpu_seconds"] / states["cpu_seconds"]
        found["times faster than lifetimes"] = (speedup, TARGET_SPEEDUP, speedup >= TARGET_SPEEDUP)
    return found


def report(parts: Mapping[str, Mapping]) -> str:
    from tabulate import tabulate

    rows = [
        [
            PARTS[name],
            f"{part['row_count']:,}",
            f"{part['cpu_seconds']:.2f}",
            "" if part["fit_cpu_seconds"] is None else f"{part['fit_cpu_seconds']:.2f}",
            f"{part['peak_extra_bytes'] / 1e6:.0f}",
            *(f"{part['parameters'][parameter]:.4f}" for parameter in PARAMETERS),
            f"{part['mean_probability_alive']:.4f}",
            f"{part['mean_expected_purchases']:.4f}",
        ]
        for name, part in parts.items()
    ]
    rows.append(["simulated with", *[""] * 4, *(f"{v:.4f}" for v in PARAMETERS.values()), "", ""])
    heads = ["rows of", "rows", "CPU s", "fit, s", "MB", *PARAMETERS, "P(alive)", "E[Y]"]
    lines = [tabulate(rows, heads, tablefmt="github", disable_numparse=True), ""]
    for name, (value, wanted, is_met) in targets(parts).items():
        lines.append(f"{name}: {value:.4g} (target {wanted:g}){'' if is_met else ', NOT MET'}")
    difference = gap(parts["uncorrected"], parts["days"])
    lines.append(f"parameters, uncorrected states to customers: {difference:.4g}")
    return "\n".join(lines)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--customers", type=int, default=1_000_000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument(
        "--lifetimes-python",
        default=sys.executable,
        help="a Python that has the package lifetimes (default: this one)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).parent / "results" / "nbd.json",
        help="default: bench/results/nbd.json",
    )
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    given = parse_arguments(arguments)
    if given.part:
        run_part(given.part, given.rows)
        return 0
    days = simulate(given.customers, given.seed)
    weeks = in_weeks(days)
    states, counts = np.unique(weeks, axis=0, return_counts=True)
    print(f"{given.customers:,} customers are {len(states):,} week states", flush=True)
    ones = np.ones(given.customers)
    inputs = {
        "states": (states, counts),
        "uncorrected": (states, counts),
        "days": (days, ones),
        "lifetimes": (days, ones),
    }
    parts = {}
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.npz"
        for part, (X, weight) in inputs.items():
            python = given.lifetimes_python if part == "lifetimes" else sys.executable
            if part == "lifetimes" and not has_lifetimes(python):
                print(f"{python} has no package lifetimes: left out; see --lifetimes-python")
                continue
            np.savez(rows, X=X, weight=weight.astype(np.float64))
            parts[part] = measure(part, rows, python)
    found = {
        "customer_count": given.customers,
        "seed": given.seed,
        "state_count": len(states),
        "horizon_weeks": HORIZON,
        "parts": parts,
        "targets": {
            name: {"value": value, "target": wanted, "is_met": is_met}
            for name, (value, wanted, is_met) in targets(parts).items()
        },
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(report(parts))
    return int(not all(is_met for _, _, is_met in targets(parts).values()))


if __name__ == "__main__":
    sys.exit(main())
