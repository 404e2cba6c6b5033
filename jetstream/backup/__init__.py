"""Backups: one file with all that a site has learnt and recorded of people, and with its keys; and its restore."""
