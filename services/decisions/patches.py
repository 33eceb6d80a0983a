"""Changes of a policy as JSON merge patches: what arms of experiments and candidate policies are made of. Pure."""

from typing import Any

import msgspec

from shared.contracts.base import FieldError
from shared.contracts.policies import Policy
from shared.errors import InvalidInputError


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386: objects are merged, null removes, anything else replaces."""
    if not isinstance(patch, dict):
        return patch
    found = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merge_patch(found.get(name), value)
    return found


def patched(policy: Policy, patch: dict[str, Any]) -> Policy:
    """A policy with some of it changed.

    Raises:
        InvalidInputError: the result is not a policy.
    """
    if not patch:
        return policy
    try:
        return msgspec.convert(merge_patch(msgspec.to_builtins(policy), patch), Policy)
    except msgspec.ValidationError as error:
        message = f"policy: {error}"
        raise InvalidInputError(message, errors=[FieldError(field="policy", message=str(error))]) from error
