"""LightGBM's text format, looked at before LightGBM reads it. Pure.

LightGBM trusts its own files: an index out of range in one is an address out of range, and ends the process. So every
index, every length and every number is checked here first.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

_OBJECTIVES = ("binary", "cross_entropy")
_START, _END = b"\nTree=", b"\nend of trees"
_PARAMETERS = b"\nparameters:", b"\nend of parameters"
_MOST_TREES, _MOST_LEAVES = 10_000, 100_000


class _Wrong(Exception):  # noqa: N818  (never leaves this file)
    pass


def fault(text: str) -> str:
    """What is wrong with a model of a probability; "" for a sound one."""
    try:
        raw = text.encode()
        if not text.startswith("tree\n") or _END not in raw:
            return "is not a model in LightGBM's text format (Booster.model_to_string)"
        end = raw.index(_END)
        starts = _places(raw[: end + 1])
        if _PARAMETERS[0] in raw[end:] and _PARAMETERS[1] not in raw[end:]:
            raise _Wrong("its parameters have no end")
        head = _fields(raw[: starts[0]])
        objective = head.get("objective", "").split()
        if not objective or objective[0] not in _OBJECTIVES:
            return f"must be trained with objective {' or '.join(_OBJECTIVES)}, so that it gives a probability"
        features = _header(head, [last - first for first, last in pairwise(starts)])
        for number, (first, last) in enumerate(pairwise(starts)):
            _tree(_fields(raw[first:last]), features, f"tree {number}")
    except _Wrong as wrong:
        return f"is damaged: {wrong}"
    except (ValueError, UnicodeError) as error:
        return f"is damaged: {str(error)[:200]}"
    return ""


def _places(raw: bytes) -> list[int]:
    """Where each tree starts, and where the last one ends."""
    found, at = [], raw.find(_START)
    while at >= 0:
        found.append(at + 1)
        at = raw.find(_START, at + 1)
    if not 0 < len(found) <= _MOST_TREES:
        message = f"{len(found)} trees, 1 to {_MOST_TREES} are read"
        raise _Wrong(message)
    return [*found, len(raw)]


def _fields(raw: bytes) -> dict[str, str]:
    lines = [line.partition("=") for line in raw.decode().splitlines()]
    return {name: value for name, equal, value in lines if equal}


def _header(head: Mapping[str, str], sizes: Sequence[int]) -> int:
    """The number of features."""
    names, features = head.get("feature_names", "").split(), int(head.get("max_feature_idx", "-1")) + 1
    if not names or len(names) != features or len(head.get("feature_infos", "").split()) != features:
        raise _Wrong("feature_names, feature_infos and max_feature_idx differ")
    if (head.get("num_class"), head.get("num_tree_per_iteration")) != ("1", "1"):
        raise _Wrong("it has several classes")
    if [int(size) for size in head.get("tree_sizes", "").split()] != list(sizes):
        raise _Wrong("tree_sizes are not the sizes of the trees")
    return features


def _tree(tree: Mapping[str, str], features: int, name: str) -> None:
    leaves, categories = int(tree.get("num_leaves", "0")), int(tree.get("num_cat", "0"))
    if not 1 <= leaves <= _MOST_LEAVES:
        message = f"{name} has {leaves} leaves"
        raise _Wrong(message)
    if int(tree.get("is_linear", "0")):
        message = f"{name} is linear; constant leaves are read"
        raise _Wrong(message)
    splits = leaves - 1
    _floats(tree, "leaf_value", leaves, name)
    if not math.isfinite(float(tree.get("shrinkage", "1"))):
        message = f"{name}: shrinkage is not finite"
        raise _Wrong(message)
    if not splits:
        return
    _ints(tree, "split_feature", splits, (0, features - 1), name)
    thresholds = _floats(tree, "threshold", splits, name)
    kinds = _ints(tree, "decision_type", splits, (0, 15), name)
    children = [_ints(tree, side, splits, (-leaves, splits - 1), name) for side in ("left_child", "right_child")]
    # Each inner node but the root, and each leaf, hangs once under an inner node that comes before it: no circles.
    hung = sorted(child for side in children for child in side)
    if hung != [*range(-leaves, 0), *range(1, splits)]:
        message = f"{name} is no tree"
        raise _Wrong(message)
    if any(0 <= child <= node for side in children for node, child in enumerate(side)):
        message = f"{name} has a child before its parent"
        raise _Wrong(message)
    _categories(tree, categories, [int(t) for t, kind in zip(thresholds, kinds, strict=True) if kind & 1], name)


def _categories(tree: Mapping[str, str], count: int, used: Sequence[int], name: str) -> None:
    """Splits by category point into boundaries, and those into bits."""
    if not count:
        if used:
            message = f"{name} splits by categories that it does not list"
            raise _Wrong(message)
        return
    bits = tree.get("cat_threshold", "").split()
    bounds = _ints(tree, "cat_boundaries", count + 1, (0, len(bits)), name)
    _ints(tree, "cat_threshold", len(bits), (0, 2**32 - 1), name)
    if bounds[0] != 0 or bounds[-1] != len(bits) or bounds != sorted(bounds) or any(not 0 <= n < count for n in used):
        message = f"{name}: cat_boundaries do not fit"
        raise _Wrong(message)


def _ints(tree: Mapping[str, str], field: str, count: int, between: tuple[int, int], name: str) -> list[int]:
    found = [int(text) for text in tree.get(field, "").split()]
    if len(found) != count or not all(between[0] <= value <= between[1] for value in found):
        message = f"{name}: {field} needs {count} numbers from {between[0]} to {between[1]}"
        raise _Wrong(message)
    return found


def _floats(tree: Mapping[str, str], field: str, count: int, name: str) -> list[float]:
    found = [float(text) for text in tree.get(field, "").split()]
    if len(found) != count or not all(map(math.isfinite, found)):
        message = f"{name}: {field} needs {count} finite numbers"
        raise _Wrong(message)
    return found
