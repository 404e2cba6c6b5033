"""Sightings: who was where, from when to when, and why. Kept in a database, with a few pictures of each face."""
