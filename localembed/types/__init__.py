"""Records and protocols shared between packages; nothing here imports a heavy library."""
