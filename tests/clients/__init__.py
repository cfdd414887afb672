"""The vendors' own clients against a running wiretap. `python -m tests.clients` prints the table."""
