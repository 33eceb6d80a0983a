"""The HTTP plumbing every service shares: app factory, errors, request context, health, metrics, traces."""
