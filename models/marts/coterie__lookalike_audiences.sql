with

as_of as (

    select as_of_date from {{ ref('int_coterie__as_of') }}

),

listed as (

    select
        audience_code,
        count(*) as listed_count

    from {{ ref('int_coterie__checked_seed_audiences') }}

    where rejection_rule is null

    group by audience_code

),

members as (

    select
        audience_code,
        count(*) as member_count

    from {{ ref('int_coterie__audience_members') }}

    group by audience_code

),

ranks as (

    select
        audience_code,
        count(*) as ranked_customer_count

    from {{ ref('int_coterie__lookalike_ranks') }}

    group by audience_code

),

judged as (

    select
        listed.audience_code,
        as_of.as_of_date,
        listed.listed_count,
        coalesce(members.member_count, 0) as member_count,
        versions.method,
        coalesce(versions.status, 'too_few_members') as status,
        coalesce(ranks.ranked_customer_count, 0) as ranked_customer_count,
        case
            when versions.method = 'closeness' then versions.closeness_roc_auc
            else versions.model_roc_auc
        end as roc_auc,
        case
            when versions.method = 'closeness' then versions.closeness_roc_auc_lower
            else versions.model_roc_auc_lower
        end as roc_auc_lower,
        case
            when versions.method = 'closeness' then versions.closeness_roc_auc_upper
            else versions.model_roc_auc_upper
        end as roc_auc_upper,
        versions.closeness_roc_auc,
        versions.closeness_roc_auc_lower,
        versions.closeness_roc_auc_upper,
        versions.top_decile_lift,
        versions.training_member_count,
        versions.training_other_count,
        versions.model_version,
        versions.fitted_as_of

    from listed

    cross join as_of

    left join members
        on listed.audience_code = members.audience_code

    left join {{ ref('int_coterie__lookalike_versions') }} as versions
        on listed.audience_code = versions.audience_code

    left join ranks
        on listed.audience_code = ranks.audience_code

),

lookalike_audiences as (

    select
        *,
        case status
            when 'too_few_members'
                then
                    cast(member_count as string)
                    || ' of '
                    || cast(listed_count as string)
                    || ' members are known to other inputs; it takes 10 of them, '
                    || 'and as many others.'
            when 'withheld'
                then
                    'Nothing tells the members from the other customers: of a member and another '
                    || 'customer the member is ranked first in '
                    || {{ coterie.percent_words('roc_auc', '1') }}
                    || ' of cases, which may be chance.'
            else
                'Members whom the fit did not see are ranked before another customer in '
                || {{ coterie.percent_words('roc_auc', '1') }}
                || ' of cases, and stand among the first tenth '
                || cast(cast(top_decile_lift as decimal(9, 1)) as string)
                || ' times as often as by chance.'
        end as words

    from judged

)

select
    cast(audience_code as string) as audience_code,
    as_of_date,
    cast(listed_count as bigint) as listed_count,
    cast(member_count as bigint) as member_count,
    cast(method as string) as method,
    cast(status as string) as status,
    cast(words as string) as words,
    cast(ranked_customer_count as bigint) as ranked_customer_count,
    cast(roc_auc as double) as roc_auc,
    cast(roc_auc_lower as double) as roc_auc_lower,
    cast(roc_auc_upper as double) as roc_auc_upper,
    cast(closeness_roc_auc as double) as closeness_roc_auc,
    cast(closeness_roc_auc_lower as double) as closeness_roc_auc_lower,
    cast(closeness_roc_auc_upper as double) as closeness_roc_auc_upper,
    cast(top_decile_lift as double) as top_decile_lift,
    cast(training_member_count as bigint) as training_member_count,
    cast(training_other_count as bigint) as training_other_count,
    cast(model_version as string) as model_version,
    fitted_as_of

from lookalike_audiences
