"""jetstream as a systemd service: the text of the unit (`unit`), its installation, removal and status (`manage`)."""
