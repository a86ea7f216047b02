select * from {{ demo_file('messages') }}
