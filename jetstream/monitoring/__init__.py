"""What an operator's programs see: `page` in Prometheus's words, `health`, what `meters` read, and the `server` of it.

Knows no stage and no process of ours but by what `Status` says. Nobody's name is in it.
"""
