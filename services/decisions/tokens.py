"""Tracking tokens: which item of which decision, signed for one tenant; without the secret nobody can make one. Pure."""

import base64
import binascii
import hashlib
import hmac
import uuid

from services.decisions.errors import BadTokenError

_SIGNATURE = 12
_ID, _BYTE = 16, 256


def key_of(secret: str, tenant: str) -> bytes:
    """The signing key of a tenant."""
    return hashlib.sha256(f"decision-token:{tenant}:{secret}".encode()).digest()


def sign(key: bytes, decision_id: str, slot: int) -> str:
    """The token of one slot of a decision: 16 bytes id, 1 byte slot (2 from slot 256 on), 12 bytes HMAC-SHA256, in URL-safe
    base64.
    """
    body = uuid.UUID(decision_id).bytes + slot.to_bytes(1 if slot < _BYTE else 2, "big")
    return base64.urlsafe_b64encode(body + hmac.digest(key, body, "sha256")[:_SIGNATURE]).decode().rstrip("=")


def read(key: bytes, token: str) -> tuple[str, int]:
    """(decision id, slot) of a token.

    Raises:
        BadTokenError: not a token, altered, or of another tenant.
    """
    try:
        raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeError, ValueError):
        raw = b""
    body, signature = raw[:-_SIGNATURE], raw[-_SIGNATURE:]
    good = hmac.digest(key, body, "sha256")[:_SIGNATURE]
    if len(body) not in {_ID + 1, _ID + 2} or not hmac.compare_digest(signature, good):
        raise BadTokenError("The token was not given out for this tenant, or was altered on the way.")
    return str(uuid.UUID(bytes=body[:_ID])), int.from_bytes(body[_ID:], "big")
