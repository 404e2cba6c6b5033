"""What an operator's programs read: metrics for Prometheus, health, what `meters` read, and their HTTP server.

Knows stages and processes only from `Status` and the stage table. No person's name is in it.
"""
