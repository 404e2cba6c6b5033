"""jetstream as a service of systemd: the unit for this machine, put there, taken away, looked at."""
