"""Traces and metrics for OpenTelemetry, made of the bus's events and sent to a collector (extra `otel`)."""
