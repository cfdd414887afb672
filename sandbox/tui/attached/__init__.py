"""The screen on a gateway that runs elsewhere: its events by the admin API, its answers by the vendors' endpoint."""
