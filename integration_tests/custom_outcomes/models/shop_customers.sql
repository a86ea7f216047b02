select * from {{ demo_file('customers') }}
