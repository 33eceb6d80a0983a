"""Rolling versions out: pure rules."""
