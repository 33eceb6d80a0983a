"""The `atelier` command, one file a group; only these and the host import several services."""
