"""Usage records in DynamoDB, by way of a spool on the local disk.

    store = DynamoUsageStore("llm_usage_logs", AwsAccess(region="eu-north-1"), folder=data_dir, clock=clock)

A `UsageStore` like the one of SQLite, with `spool_state()` for health besides. Opening it asks AWS nothing.

Where a record goes
-------------------
`record` hands it to the writer thread, which commits it to the spool (an SQLite database beside the local one, kept
for each table and endpoint) within 100 ms. A second thread sends what the spool holds, in numbered batches, and takes
it out of the spool when DynamoDB has it all. A batch's contents are fixed before the first byte leaves, so that it may
be sent again after any failure, by this process or another:

- A record is put whole under its `log_id`: a second time changes nothing. What is in the table already under a
  `log_id` when a batch is made up is left out of it.
- A roll-up item is added to on the condition that it has not seen this batch of this spool: it remembers the number of
  the last batch of each spool, 20 bytes for each one that wrote into its period.

A transaction over records and sums would do the same at twice the price for each write, and would be refused when two
processes add to the same sum; this needs neither.

What it costs
-------------
For each record one write of its size (1 KB is one unit), one in each index, and two units for the small item that
finds it by its request id; for each batch, twice (table and index) two periods for each of five kinds of roll-up, times
the different values in it: 20 units where all of it is one tenant, agent, provider and model. Batches wait half a
second for company. A report reads sums of hours and days, and records only of the hours that its range cuts.

The indexes follow the table within a second or so, and reports with them.
"""

from sandbox.usage.dynamodb.access import AwsAccess
from sandbox.usage.dynamodb.store import DynamoUsageStore
from sandbox.usage.spool_state import SpoolState

__all__ = ["AwsAccess", "DynamoUsageStore", "SpoolState"]
