"""The chunks of a workspace in LanceDB; no other room imports lancedb."""
