{% set evidence = coterie.settings('evidence') %}

with

written_before as (

    -- A date is written once, and none after a later one.
    {% if is_incremental() %}
    select
        prediction_name,
        max(as_of_date) as as_of_date

    from {{ this }}

    group by prediction_name
    {% else %}
    select
        cast(null as string) as prediction_name,
        cast(null as date) as as_of_date

    where false
    {% endif %}

),

predictions as (

    {% for prediction in coterie.predictions() %}
    {{ 'union all' if not loop.first }}
    select
        {{ coterie.quoted(prediction.name) }} as prediction_name,
        {{ coterie.quoted(prediction.outcome) }} as outcome,
        {{ 'true' if prediction.complement_of else 'false' }} as is_complement
    {% endfor %}

),

published as (

    select
        customer_predictions.prediction_name,
        customer_predictions.as_of_date,
        customer_predictions.customer_id,
        predictions.outcome,
        predictions.is_complement,
        customer_predictions.model_version,
        customer_predictions.horizon_days,
        customer_predictions.probability,
        customer_predictions.band,
        customers.sample_position

    from {{ ref('coterie__customer_predictions') }} as customer_predictions

    inner join predictions
        on customer_predictions.prediction_name = predictions.prediction_name

    inner join {{ ref('int_coterie__customers') }} as customers
        on customer_predictions.customer_id = customers.customer_id

    left join written_before
        on customer_predictions.prediction_name = written_before.prediction_name

    where
        customer_predictions.score_status in ('scored', 'baseline_rate')
        and (
            written_before.as_of_date is null
            or customer_predictions.as_of_date > written_before.as_of_date
        )

),

limits as (

    -- Twice the share that is wanted, so that few rows are left to sort.
    select
        prediction_name,
        2000000.0 * {{ evidence.max_published_sample_count | int }} / count(*) as position_limit

    from published

    group by prediction_name

),

numbered as (

    -- The same customers on every date, so that they can be followed.
    select
        published.*,
        row_number() over (
            partition by published.prediction_name
            order by published.sample_position, published.customer_id
        ) as sample_number

    from published

    inner join limits
        on published.prediction_name = limits.prediction_name

    where published.sample_position < limits.position_limit

),

published_predictions as (

    select
        prediction_name,
        as_of_date,
        customer_id,
        outcome,
        is_complement,
        model_version,
        horizon_days,
        probability,
        band

    from numbered

    where sample_number <= {{ evidence.max_published_sample_count | int }}

)

select * from published_predictions
