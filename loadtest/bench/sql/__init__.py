"""What the analysts' views cost against the floor that no plan can beat: their columns, scanned and grouped by visitor.

`--events` events (20 million) in two months, and a twentieth of them in another table, are made in SQL; then
`--history-events` events (400,000) a month, with one, six and twelve months of history. All days are closed as the sink
closes them. Answers are made whole, and thrown away. The engine is a process of its own with a memory limit of 4 GiB;
CPU time is that process's own.
"""

from loadtest.bench.sql.contestants import prepare as prepare
