"""API keys: 256 random bits, shown once, stored as a hash. Pure."""

import hashlib
import secrets

SCOPES = (
    "profiles", "events", "catalog", "search", "generate", "copy", "approve", "decide", "policies", "experiments", "imports",
    "batches", "evaluations", "models",
)  # fmt: skip
PREFIX = "atl_"


def new_key() -> str:
    """A key to be shown once."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(key: str) -> str:
    """What is stored. A fast hash is right here: the key is random, so there is nothing to guess."""
    return hashlib.sha256(key.encode()).hexdigest()


def key_id_of(key: str) -> str:
    """The public name of a key, for listing and revoking."""
    return f"key_{hash_of(key)[:12]}"
