"""Scenarios from life: what a trace or the usage log tells of requests, providers and failures, as a file to replay."""
