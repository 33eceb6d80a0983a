"""The real servers of the embedded default, installed by pip and started on loopback."""
