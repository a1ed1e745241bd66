"""What goes over the wire, as values: no socket, thread, clock, file or array in this room."""
