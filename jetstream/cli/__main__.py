"""`python -m jetstream.cli` is `jetstream`."""

from jetstream.cli import main

main()
