"""What is wrong with a built database, and how to mend it: behind ``coterie doctor``."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import coterie
from coterie.warehouse import Marts

OK, WATCH, ACT = "ok", "watch", "act"

#: Gates that somebody can and should do something about. Too little data mends itself, or does not.
SHUT = ("worse_than_baseline", "miscalibrated", "unstable", "stale")

REMEDIES = {
    "worse_than_baseline": (
        "Read the reason in coterie__model_versions. Inputs that say more (events, messages) help; "
        "coterie__publish_baseline: true publishes the baseline in its place."
    ),
    "miscalibrated": (
        "Read the calibration curve in coterie__model_curves and mend the data quality of the test "
        "dates; the next fit is tested again."
    ),
    "unstable": (
        "Choose fewer clusters or other features in coterie__segmentations; see docs/segments.md."
    ),
    "stale": (
        "Build with fits: dbt build without --exclude tag:fit, as of the newest date of the data."
    ),
}

#: Features that are named, the weightiest first.
DRIFTED = 5

#: Marts that every build has, whatever topics are on.
ALWAYS = ("coterie__customers", "coterie__data_quality")

#: Marts of topics that can be switched off.
BY_TOPIC = (
    "coterie__segment_profiles",
    "coterie__customer_segments",
    "coterie__segment_migrations",
    "coterie__model_versions",
    "coterie__customer_predictions",
    "coterie__customer_lifetime_values",
    "coterie__audiences",
    "coterie__crm_customers",
)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    check : str
        database, marts, versions, inputs, data_quality, gates, fits or drift.
    status : str
        ok, watch (know about it) or act (mend it).
    subject : str
        What it is about: a mart, an input and rule, a model.
    words : str
        What was found.
    remedy : str
        What to do; empty where there is nothing.
    """

    check: str
    status: str
    subject: str
    words: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        """Give the fields by name, as JSON has them."""
        return asdict(self)


def examine(marts: Marts) -> list[Finding]:
    """Look at a built database.

    Parameters
    ----------
    marts : Marts

    Returns
    -------
    list of Finding
        At least one of each check that could be made, in a fixed order.
    """
    as_of_date, customers = marts.rows(
        "select max(as_of_date), count(*) from {coterie__customers}"
    )[0]
    found = [
        Finding("database", OK, marts.path.name, f"{customers:,} customers as of {as_of_date}.")
    ]
    if not customers:
        found[0] = Finding(
            *("database", ACT, marts.path.name, "coterie__customers is empty."),
            "Look at coterie__data_quality: is the input orders empty, or is every row rejected?",
        )
    for check in (_marts, _versions, _inputs, _data_quality, _gates, _drift):
        found += check(marts)
    return found


def _marts(marts: Marts) -> list[Finding]:
    wanted = sorted(marts.expected) or [*ALWAYS, *BY_TOPIC]
    missing = [name for name in wanted if not marts.has(name)]
    found = []
    for name in missing:
        if name in marts.expected or name in ALWAYS:
            words, remedy = "is enabled, but not built.", f"dbt build --select +{name}"
            found.append(Finding("marts", ACT, name, words, remedy))
        else:
            words = "is not built: its topic is switched off, or the package is older."
            found.append(Finding("marts", WATCH, name, words))
    built = sum(name.startswith("coterie__") and marts.has(name) for name in wanted)
    return [Finding("marts", OK, "marts", f"{built} of {len(wanted)} are built."), *found]


def _versions(marts: Marts) -> list[Finding]:
    library = coterie.__version__
    if not marts.has("int_coterie__fit_settings"):
        words = f"Library {library}; the tables do not say which version of the package built them."
        return [Finding("versions", OK, "library", words)]
    packages = [
        version
        for (version,) in marts.rows(
            "select distinct package_version from {int_coterie__fit_settings} order by all"
        )
    ]
    if packages == [library]:
        return [Finding("versions", OK, "library", f"Package and library are both {library}.")]
    built = ", ".join(packages) or "none"
    return [
        Finding(
            *("versions", ACT, "library"),
            f"The tables were built by the package {built}, and the library is {library}.",
            f"pip install coterie=={packages[-1]}, or build anew with the package {library}."
            if packages
            else "dbt build",
        )
    ]


def _inputs(marts: Marts) -> list[Finding]:
    if not marts.has("coterie__data_quality"):
        return []
    rows = marts.rows(
        "select input_name, max(words) filter (where status = 'not_mapped') "
        "from {coterie__data_quality} group by input_name order by input_name"
    )
    found = [
        Finding("inputs", WATCH if words else OK, name, words or "is mapped.")
        for name, words in rows
    ]
    return found


def _data_quality(marts: Marts) -> list[Finding]:
    if not marts.has("coterie__data_quality"):
        return []
    rows = marts.rows(
        "select input_name || '.' || rule_name, status, words from {coterie__data_quality} "
        "where status in ('act', 'watch', 'unknown') "
        "order by case status when 'act' then 1 when 'watch' then 2 else 3 end, 1"
    )
    found = [
        Finding(
            *("data_quality", ACT if status == "act" else WATCH, subject, words),
            "docs/data_quality.md says what each rule means and how to mend it."
            if status == "act"
            else "",
        )
        for subject, status, words in rows
    ]
    if not any(finding.status == ACT for finding in found):
        found.insert(0, Finding("data_quality", OK, "inputs", "Nothing must be mended."))
    return found


def _gates(marts: Marts) -> list[Finding]:
    if not marts.has("coterie__model_versions"):
        return []
    rows = marts.rows(
        """
        select
            model_name,
            fitted_as_of,
            gate_status,
            gate_reason,
            coalesce(bool_or(is_champion) over (partition by model_name), false)
                as has_champion,
            is_newest or model_version = 'none' as is_shown
        from {coterie__model_versions}
        qualify is_shown
        order by model_name, fitted_as_of
        """
    )
    found = []
    for model, fitted, gate, reason, has_champion, _ in rows:
        check = "fits" if gate == "stale" else "gates"
        if gate in SHUT:
            words = f"{gate.replace('_', ' ')}: {reason}"
            words += " An older version is in use." if has_champion else " Nothing is published."
            status = WATCH if has_champion and gate != "stale" else ACT
            found.append(Finding(check, status, model, words, REMEDIES[gate]))
        elif gate == "insufficient_data":
            remedy = "Wait for more data, or leave it out: null in the var that names it."
            found.append(Finding(check, WATCH, model, str(reason), remedy))
        else:
            words = f"{gate}, fitted as of {fitted}. {reason}"
            found.append(Finding(check, OK, model, words))
    return found


def _drift(marts: Marts) -> list[Finding]:
    if not marts.has("coterie__model_features", "coterie__model_versions"):
        return []
    rows = marts.rows(
        """
        select
            model_name,
            list(feature order by importance desc, feature)
        from {coterie__model_features}
        inner join {coterie__model_versions} using (model_name, model_version)
        where is_newest and drift_status = 'act'
        group by model_name
        order by model_name
        """
    )
    return [
        Finding(
            *("drift", WATCH, model),
            f"{len(features)} features have moved far from what the model learned from: "
            f"{', '.join(features[:DRIFTED])}{', ...' if len(features) > DRIFTED else ''}.",
            "Look for a change in the inputs; the next fit learns the new values.",
        )
        for model, features in rows
    ]
