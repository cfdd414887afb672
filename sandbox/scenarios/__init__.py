"""Outages as files: what fails, when, and how."""
