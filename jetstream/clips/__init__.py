"""Clips of sightings, copied from what the cameras send."""
