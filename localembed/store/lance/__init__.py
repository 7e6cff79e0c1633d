"""The chunks of a workspace in LanceDB, of which nothing outside this room knows."""
