{#
    Every row of an input with the rule for which it is rejected, if any, as a query in parentheses.
    Only ids that stand in more than one row are numbered, so that the many others pass without a
    sort. They are found by their hashes, numbers being compared with less work than texts; rows that
    share no more than a hash are told apart when they are numbered. Broken rows are numbered apart:
    they must not hide a sound row of the same key.

    `rows` is what to read, a relation or the name of a CTE. It is named in three places, and not in
    a CTE of its own, because engines would keep a copy of all rows of such a CTE. `columns` are those
    that are wanted, by default all. Copies that are alike in them stand for each other.
#}
{% macro checked_rows(input, rows, columns=none) %}
    {%- set columns = columns or coterie.input_columns(input) | list -%}
    {%- set key = coterie.input_key(input) -%}
    {%- set key_of_row = [] -%}
    {%- for name in key -%}
        {%- do key_of_row.append("input_rows." ~ name) -%}
    {%- endfor -%}
    (
        with

        hashed_keys as (

            select {{ coterie.row_hash(key) }} as key_hash

            from {{ rows }}

            where {{ key[0] }} is not null

        ),

        repeated_keys as (

            {{ coterie.repeated_values("hashed_keys", "key_hash") | trim }}

        ),

        single_rows as (

            select
                input_rows.{{ columns | join(", input_rows.") }},
                {{ coterie.broken_rule(input) }} as rejection_rule

            from {{ rows }} as input_rows

            left join repeated_keys
                on {{ coterie.row_hash(key_of_row) }} = repeated_keys.key_hash

            where repeated_keys.key_hash is null

        ),

        numbered_rows as (

            select
                input_rows.*,
                row_number() over (
                    partition by input_rows.{{ (key + ["broken_rule"]) | join(", input_rows.") }}
                    order by {{ coterie.order_of_copies(input, columns) }}
                ) as row_number_of_key

            from (
                select
                    input_rows.{{ columns | join(", input_rows.") }},
                    {{ coterie.broken_rule(input) }} as broken_rule

                from {{ rows }} as input_rows

                inner join repeated_keys
                    on {{ coterie.row_hash(key_of_row) }} = repeated_keys.key_hash
            ) as input_rows

        )

        select
            {{ columns | join(", ") }},
            rejection_rule

        from single_rows

        union all

        select
            {{ columns | join(", ") }},
            coalesce(broken_rule, case when row_number_of_key > 1 then 'duplicate' end)
                as rejection_rule

        from numbered_rows
    )
{%- endmacro %}


{#
    The rows that a build reads again, as a query in parentheses: every row of a key of which some
    row lies in the days that are read again, by its own time or by that of a change. Each time has
    a query of its own, so that engines can skip the blocks of older rows. Rows of other days are
    looked for by their key and own time alone, and then read between the first and the last of
    these times, because reading all columns of all rows would cost most. `days_to_read` is a CTE of
    the model.
#}
{% macro rows_read_again(input) %}
    {%- set key = coterie.input_key(input)[0] -%}
    {%- set own_time = coterie.input_time(input) -%}
    {%- set input_rows = ref("coterie", "stg_coterie__" ~ input) -%}
    (
        with

        keys_read_again as (

            select {{ key }} from {{ input_rows }}
            where {{ own_time }} is null
            {%- for name, spec in coterie.input_columns(input).items() if spec.startswith("timestamp") %}

            union all

            select {{ key }} from {{ input_rows }}
            where {{ coterie.is_read_again(name) }}

            union all

            -- A row that has vanished, and a change that has been taken back, stand here alone.
            select {{ key }} from {{ this }}
            where {{ coterie.is_read_again(name) }}
            {%- endfor %}

        ),

        rows_of_other_days as (

            select distinct
                {{ key }},
                {{ own_time }}

            from {{ input_rows }}

            where
                {{ key }} in (select keys_read_again.{{ key }} from keys_read_again)
                and not {{ coterie.is_read_again(own_time) }}

        )

        select * from {{ input_rows }}
        where {{ own_time }} is null

        union all

        select * from {{ input_rows }}
        where {{ coterie.is_read_again(own_time) }}

        union all

        -- Without a key a row cannot be looked for: these are few, and all are read.
        select * from {{ input_rows }}
        where
            {{ key }} is null
            and not {{ coterie.is_read_again(own_time) }}

        union all

        select input_rows.*

        from {{ input_rows }} as input_rows

        inner join rows_of_other_days
            on
                input_rows.{{ key }} = rows_of_other_days.{{ key }}
                and input_rows.{{ own_time }} = rows_of_other_days.{{ own_time }}

        where
            input_rows.{{ own_time }} >= (
                select coalesce(min(rows_of_other_days.{{ own_time }}), cast('9999-12-31' as timestamp))
                from rows_of_other_days
            )
            and input_rows.{{ own_time }} <= (
                select max(rows_of_other_days.{{ own_time }}) from rows_of_other_days
            )
    )
{%- endmacro %}
