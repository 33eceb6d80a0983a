"""The stages of a model version, as a state machine. Pure; who may move and what must hold first is roll-out's business.

apprentice: trained, serves nobody. shadow: scores what the live one decides. canary: decides for a share of traffic.
live: decides. retired: decided once, or never will. A version comes back from `retired` only as an apprentice, except that
the last live one may be put back in one step (rollback).
"""

from shared.contracts.training import Stage

FIRST: Stage = "apprentice"
MOVES: dict[Stage, tuple[Stage, ...]] = {
    "apprentice": ("shadow", "retired"),
    "shadow": ("canary", "apprentice", "retired"),
    "canary": ("live", "shadow", "retired"),
    "live": ("retired",),
    "retired": ("apprentice", "live"),
}


def objection(before: Stage, after: Stage, *, was_live: bool = False) -> str:
    """Why a version cannot move so; empty when it can. `was_live`: it has been live before."""
    if before == after:
        return f"it is {before} already"
    if after not in MOVES[before]:
        return f"from {before} a version goes to {', '.join(MOVES[before])}, not to {after}"
    if (before, after) == ("retired", "live") and not was_live:
        return "only a version that was live before is put back to live; this one starts as an apprentice"
    return ""
