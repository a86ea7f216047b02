"""A generated shop with a known truth: years of orders, events and messages.

Customers belong to planted groups. Each one is simulated forward, day by day, as a Markov
process: shopping missions start by a renewal process whose clock runs faster in season and on the
customer's own weekdays; a mission is one to four sessions, may fill a cart, and ends with an
order or without one; customers quit for ever at a rate of their own. All that decides the future
is the state at the end of the last day, so the probability of an order in the next 30 days is
computed exactly (`purchase_probability`) and written beside the data.

Every table draws from its own random stream, keyed by the seed, the name of the stream and the
number of the chunk of 1,000 customers. A new table, or one left out, changes no other; the first
customers do not depend on how many follow, nor on how many processes make them.

`python -m coterie.demo --help` says how to write the files: those of ``seeds/demo``, or Parquet
of any size.

- ``coterie.demo.catalogue``: groups, products and places, and how much happens (`Shop`).
- ``coterie.demo.process``: the process and its exact probabilities.
- ``coterie.demo.tables``: the tables, chunk by chunk.
- ``coterie.demo.files``: CSV and Parquet.
"""

from coterie.demo.catalogue import AS_OF_DATE, BUSY, GROUPS, INPUTS, LISTS, QUIET, STARTED_ON, Shop
from coterie.demo.files import write_csv, write_parquet
from coterie.demo.process import Process, State, purchase_probability, simulate
from coterie.demo.tables import generate_demo

__all__ = [
    "AS_OF_DATE",
    "BUSY",
    "GROUPS",
    "INPUTS",
    "LISTS",
    "QUIET",
    "STARTED_ON",
    "Process",
    "Shop",
    "State",
    "generate_demo",
    "purchase_probability",
    "simulate",
    "write_csv",
    "write_parquet",
]
