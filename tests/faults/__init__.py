"""What must not lose or double a usage record: each fault with a count of what was sent, answered and recorded.

`python -m tests.faults` prints the table; pytest runs the same rows.
"""
