"""Alerts: which changes of sightings and cameras are told to a webhook or a program, and that each arrives."""
