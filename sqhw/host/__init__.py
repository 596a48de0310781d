"""The host's side of an engine behind a serial port."""
