with

fit_settings as (

    {% for topic in [
        'feature_bins', 'interests', 'lifetime_value', 'lookalikes', 'propensity', 'segmentation',
        'value'
    ] %}
    {% set settings = coterie.fit_settings(topic) %}
    {{ 'union all' if not loop.first }}
    select
        '{{ topic }}' as topic,
        cast({{ coterie.quoted(settings) }} as string) as settings_text,
        '{{ local_md5(settings) }}' as settings_hash,
        '{{ coterie.package_version() }}' as package_version,
        cast({{ coterie.refit_interval_days() }} as bigint) as refit_interval_days,
        cast({{ 'true' if flags.EMPTY else 'false' }} as boolean) as is_empty
    {% endfor %}

)

select * from fit_settings
