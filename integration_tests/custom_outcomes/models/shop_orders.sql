select * from {{ demo_file('orders') }}
