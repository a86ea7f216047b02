"""A small database with the marts of a made-up shop, as the command line finds them."""

from __future__ import annotations

from pathlib import Path

import duckdb

import coterie

#: A name that a page must not take for HTML, nor a table of Markdown for a border.
HOSTILE = "Fans | <script>alert(1)</script> of @all"

FEATURES = (
    "days_since_last_order",
    "order_count_365d",
    "net_amount_365d",
    "avg_net_amount",
    "avg_gap_days",
    "discount_share",
    "refund_share",
    "category_count",
    "session_count_90d",
    "open_share_90d",
)


def write_marts(
    path: Path, schema: str = "main_coterie", *, audiences: bool = False, names: str = "{}"
) -> Path:
    """Write the marts of 40 customers, of whom 5 moved between two dates.

    Parameters
    ----------
    path : Path
    schema : str, optional
        Schema of the marts.
    audiences : bool, optional
        Whether the marts of audiences are built.
    names : str, optional
        What tables are called, with ``{}`` for the name of the package.
    """
    z_scores = ", ".join(
        f"case code when 'good' then {i / 4} when 'bad' then {-i / 4} end as z_{feature}"
        for i, feature in enumerate(FEATURES)
    )
    tables = {
        "coterie__customers": """
            select
                printf('c%02d', i) as customer_id, date '2025-10-01' as as_of_date,
                i % 4 as order_count_365d, cast(100 * (i % 4) as decimal(18, 2)) as net_amount_365d
            from range(40) as customers (i)
        """,
        "coterie__segment_profiles": f"""
            select
                'rfm' as segmentation_name, code as segment_code, name as segment_name, customers
                as customer_count, customers / 40 as customer_share, revenue as revenue_share,
                25.5 as avg_predicted_value_365d, 'Say hello.' as suggested_action,
                'They read.' as profile, customers is null as is_suppressed, {z_scores}
            from (
                values ('good', $name, 22, 0.75), ('bad', 'Bad', 15, 0.25),
                ('few', 'Few', null, null)
            ) as segments (code, name, customers, revenue)
        """,
        "coterie__customer_segment_history": """
            select
                customer_id, 'rfm' as segmentation_name, valid_from_on, valid_to_on, segment_code,
                previous_segment_code
            from (
                select
                    printf('c%02d', i), date '2025-09-01',
                    case when i < 5 then date '2025-10-01' end,
                    case when i < 3 then 'bad' when i < 23 then 'good' when i < 37 then 'bad'
                        else 'few' end,
                    null
                from range(40) as customers (i)
                union all
                select
                    printf('c%02d', i), date '2025-10-01', null, if(i < 3, 'good', 'bad'),
                    if(i < 3, 'bad', 'good')
                from range(5) as moved (i)
            ) as states (
                customer_id, valid_from_on, valid_to_on, segment_code, previous_segment_code
            )
        """,
        "coterie__segment_migrations": """
            select
                'rfm' as segmentation_name, date '2025-10-01' as as_of_date, f as from_segment_code,
                t as to_segment_code, cause, f_name as from_segment_name, t_name as to_segment_name,
                n as customer_count, cast(n * 100 as decimal(18, 2)) as net_amount
            from (
                values ('bad', 'good', 'Bad', $name, 'customer_moved', 3),
                ('good', 'bad', $name, 'Bad', 'definition_moved', 2)
            ) as moves (f, t, f_name, t_name, cause, n)
        """,
        "coterie__model_versions": """
            select
                model_name, 'v1' as model_version, date '2025-10-01' as fitted_as_of,
                1234 as training_row_count, gate_status, 'It is so.' as gate_reason,
                true as is_newest, gate_status = 'published' as is_champion
            from (
                values ('purchase_30d', 'published'), ('value_365d', 'published'),
                ('second_order_90d', 'insufficient_data')
            ) as versions (model_name, gate_status)
        """,
        "coterie__model_metrics": """
            select
                'purchase_30d' as model_name, 'v1' as model_version, 'pooled' as origin,
                scorer_name, 'all' as group_name, 'all' as group_value, metric_name, metric_value,
                metric_value - 0.01 as interval_lower, metric_value + 0.01 as interval_upper
            from (
                values ('model', 'roc_auc', 0.8764), ('rfm_cell', 'roc_auc', 0.7),
                ('model', 'log_loss', 0.3)
            ) as metrics (scorer_name, metric_name, metric_value)
            union all
            select 'value_365d', 'v1', 'pooled', 'model', 'all', 'all', 'mae', 12.5, null, null
        """,
        "coterie__model_curves": """
            select
                'purchase_30d' as model_name, 'v1' as model_version, curve_name, i as bin,
                i / 10 as predicted_mean, i / 11 as observed_rate, 1.0 as lift,
                i / 3 as cumulative_gain, i / 3 as cumulative_share
            from range(1, 4) as bins (i)
            cross join (values ('calibration'), ('lift')) as curves (curve_name)
        """,
        "coterie__model_features": """
            select 'purchase_30d' as model_name, 'v1' as model_version, 'days' as feature,
                1.0 as importance, 'steady' as drift_status
        """,
        "coterie__customer_predictions": """
            select customer_id, 'purchase_30d' as prediction_name, 'purchase_30d' as model_name,
                0.25 as probability, 'medium' as band, 'scored' as score_status
            from {coterie__customers}
        """,
        "coterie__prediction_outcomes": """
            select 'purchase_30d' as prediction_name, date '2025-08-01' as as_of_date,
                'low' as band, 30 as customer_count, 0.2 as predicted_rate, 0.21 as observed_rate,
                0.1 as observed_rate_lower, 0.3 as observed_rate_upper
        """,
        "coterie__customer_lifetime_values": """
            select customer_id, 'scored' as value_status, 'nbd' as method,
                cast(10 as decimal(18, 2)) as predicted_value_90d,
                cast(30.5 as decimal(18, 2)) as predicted_value_365d,
                date '2025-11-01' as expected_next_order_on, false as is_overdue
            from {coterie__customers}
        """,
        "coterie__value_concentration": """
            select 'net_amount_365d' as measure, top_share, 4 as top_customer_count,
                1200.0 as top_amount, 0.2 as amount_share
            from (values (0.1), (0.2)) as shares (top_share)
        """,
        "coterie__data_quality": """
            select * from (
                values ('orders', 'duplicate', 'ok', 'Fine.'),
                ('orders', 'freshness', 'watch', 'A bit old.'),
                ('events', 'not_mapped', 'not_mapped', 'The input is not mapped.')
            ) as rules (input_name, rule_name, status, words)
        """,
        "int_coterie__fit_settings": f"select '{coterie.__version__}' as package_version",
    }
    if audiences:
        tables |= {
            "coterie__audiences": """
                select 'win_back' as audience_code, 'c01' as customer_id,
                    date '2025-10-01' as entered_on, 'Old.' as reason
            """,
            "coterie__audience_changes": """
                select 'win_back' as audience_code, action, as_of_date
                from (
                    values ('add', date '2025-10-01'), ('add', date '2025-10-01'),
                    ('remove', date '2025-10-01'), ('remove', date '2025-09-01')
                ) as changes (action, as_of_date)
            """,
            "coterie__audience_statuses": """
                select 'win_back' as audience_code, 17 as member_count, 90 as proposed_count,
                    'held' as status, 'Held, because it would grow too fast.' as words
            """,
        }
    relations = {name: f'"{schema}"."{names.format(name)}"' for name in tables}
    with duckdb.connect(str(path)) as connection:
        connection.execute(f'create schema if not exists "{schema}"')
        for name, query in tables.items():
            given = {"name": HOSTILE} if "$name" in query else None
            query = query.format_map(relations) if "{" in query else query
            connection.execute(f"create table {relations[name]} as {query}", given)
    return path
