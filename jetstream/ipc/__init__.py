"""How processes reach each other: frames through shared memory (`ring`), everything else through doorways (`bus`)."""
