-- The tables that drt writes into. It creates none itself.
create schema if not exists crm;

create table if not exists crm.customers (
    customer_id text primary key,
    email text,
    segment_code text,
    segment_name text,
    rfm_segment_code text,
    value_band text,
    purchase_band text,
    churn_band text,
    order_count_band text,
    top_interest text,
    last_ordered_on date,
    audiences text,
    is_deleted boolean not null,
    row_hash text not null,
    changed_at timestamp not null,
    change_number bigint not null
);

create table if not exists crm.audience_members (
    audience_code text,
    customer_id text,
    channel text not null,
    entered_on date not null,
    reason text,
    primary key (audience_code, customer_id)
);

create table if not exists crm.audience_changes (
    audience_code text,
    customer_id text,
    change_number bigint,
    action text not null check (action in ('add', 'update', 'remove')),
    channel text not null,
    reason text,
    changed_at timestamp not null,
    row_hash text,
    primary key (audience_code, customer_id, change_number)
);

-- An erased customer is in no mart any more, so no change tells that they have left. The tombstone
-- does, and here it takes everything else of them with it.
create or replace function crm.forget() returns trigger language plpgsql as $$
begin
    delete from crm.audience_members where customer_id = new.customer_id;
    delete from crm.audience_changes where customer_id = new.customer_id;
    return null;
end
$$;

create or replace trigger forget
after insert or update on crm.customers
for each row when (new.is_deleted) execute function crm.forget();

-- Members by the changes: right also when the last member has left.
create or replace view crm.members as
select
    audience_code,
    customer_id,
    channel,
    changed_at,
    reason
from (
    select distinct on (audience_code, customer_id) *
    from crm.audience_changes
    order by audience_code, customer_id, change_number desc
) as newest
where action <> 'remove';
