"""Typed clients: the only way services, stores and models are reached."""
