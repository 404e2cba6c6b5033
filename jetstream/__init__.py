"""jetstream: live face recognition as a multiprocess stream processor."""

__version__ = "0.1.0"
