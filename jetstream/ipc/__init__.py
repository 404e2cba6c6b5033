"""Communication between processes: frames through shared memory (`ring`), messages through ZeroMQ endpoints (`bus`)."""
