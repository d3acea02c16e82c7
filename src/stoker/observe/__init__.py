"""Logs and metrics: subscribers to events that other packages emit."""
