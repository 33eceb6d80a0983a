"""Columns of two windows, whatever they came as, as what the tests take. Pure.

A window is a pyarrow table or a mapping of names to numpy arrays (n,), (n, d) for embeddings, or lists. What a test cannot
take is `UntestableError` with the reason, so that one column's fault does not hide the others' drift.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.training.drift.errors import UntestableError
from services.training.drift.types import FloatArray, IntArray

Window: TypeAlias = pa.Table | Mapping[str, Any]
LEAST_ROWS = 20  # of a window, for a test of numbers or categories
LEAST_VECTORS = 50  # for a test of embeddings or texts
_DIMENSIONS = 2


def names(window: Window) -> list[str]:
    """The window's columns."""
    return list(window.column_names) if isinstance(window, pa.Table) else list(window)


def numbers(window: Window, name: str) -> tuple[FloatArray, int]:
    """(n,), NaN for missing; and how many infinite values were counted as missing."""
    column = _arrow(window, name)
    kind = column.type
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan), 0
    if not (_is_number(kind) or pa.types.is_boolean(kind)):
        raise UntestableError(f"{_called(kind)} where numbers are expected")
    if pa.types.is_boolean(kind):
        column = pc.cast(column, pa.int8())
    values: FloatArray = np.array(
        pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64
    )
    infinite = np.isinf(values)
    values[infinite] = np.nan
    return values, int(infinite.sum())


def categories(reference: Window, current: Window, name: str) -> tuple[IntArray, IntArray, IntArray]:
    """Rows by category (k,), (k,) of both windows, and missing rows of each (2,); missing is a category where there are any."""
    columns = [_arrow(window, name) for window in (reference, current)]
    kinds = {_family(column.type) for column in columns} - {"nothing"}
    if len(kinds) > 1:
        raise UntestableError(f"{_called(columns[0].type)} in the reference, {_called(columns[1].type)} now")
    wanted = {"numbers": pa.float64(), "yes or no": pa.bool_()}.get(next(iter(kinds), ""), pa.large_string())
    columns = [_without_nan(pc.cast(column, wanted, safe=False)) for column in columns]
    both = pa.concat_arrays([_whole(column) for column in columns])
    codes = pc.dictionary_encode(both, null_encoding="encode").indices.to_numpy(zero_copy_only=False)
    n, k = len(columns[0]), int(codes.max()) + 1 if len(codes) else 0
    missing = np.array([column.null_count for column in columns], dtype=np.int64)
    return np.bincount(codes[:n], minlength=k), np.bincount(codes[n:], minlength=k), missing


def vectors(window: Window, name: str) -> tuple[FloatArray, int]:
    """(n, d) of the rows that are whole, and how many are not: missing, or with a number that is not finite."""
    given = window[name] if not isinstance(window, pa.Table) else None
    if isinstance(given, np.ndarray) and given.dtype != object:
        if given.ndim != _DIMENSIONS or given.dtype.kind not in "fiu":
            raise UntestableError(
                f"an array of shape {given.shape} and type {given.dtype} where rows of numbers are expected"
            )
        rows = given.astype(np.float64)
    else:
        rows = _rows_of_lists(_arrow(window, name))
    whole = np.isfinite(rows).all(axis=1)
    return rows[whole], int((~whole).sum())


def texts(window: Window, name: str) -> tuple[list[str], int]:
    """The texts, a missing one empty, and how many are missing."""
    column = _arrow(window, name)
    if _family(column.type) not in {"texts", "nothing"}:
        raise UntestableError(f"{_called(column.type)} where texts are expected")
    column = pc.cast(column, pa.large_string())
    return [text or "" for text in column.to_pylist()], int(column.null_count)


def _rows_of_lists(column: pa.ChunkedArray) -> FloatArray:
    if not (
        pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type)
    ):
        raise UntestableError(f"{_called(column.type)} where embeddings are expected")
    if not _is_number(column.type.value_type):
        raise UntestableError(f"lists of {_called(column.type.value_type)} where embeddings are expected")
    lengths = pc.list_value_length(column)
    sizes = pc.unique(lengths.drop_null()).to_pylist()
    if len(sizes) > 1:
        raise UntestableError(
            f"embeddings of different lengths in one window: {', '.join(map(str, sorted(sizes)[:5]))}"
        )
    there = np.asarray(pc.is_valid(column).to_numpy(zero_copy_only=False), dtype=bool)
    rows = np.full((len(column), sizes[0] if sizes else 0), np.nan)
    flat = pc.list_flatten(column.filter(pc.is_valid(column)))
    values = pc.cast(flat, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    rows[there] = np.asarray(values, dtype=np.float64).reshape(int(there.sum()), -1)
    if not rows.shape[1]:
        raise UntestableError("no embedding has a number")
    return rows


def _arrow(window: Window, name: str) -> pa.ChunkedArray:
    if isinstance(window, pa.Table):
        column = window.column(name)
        return pc.cast(column, column.type.value_type) if pa.types.is_dictionary(column.type) else column
    return pa.chunked_array([_array(window[name])])


def _array(given: Any) -> pa.Array:
    if isinstance(given, np.ndarray) and given.ndim != 1:
        raise UntestableError(f"an array of shape {given.shape} where one value a row is expected")
    values: npt.NDArray[Any] | list[Any] = given if isinstance(given, np.ndarray) else list(given)
    if isinstance(values, np.ndarray) and values.dtype.kind == "U":
        values = values.astype(object)
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise UntestableError(
            "values of different types in one column, or of a type that is none of a table"
        ) from error


def _without_nan(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    found = column.combine_chunks()
    return pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _family(kind: pa.DataType) -> str:
    if _is_number(kind):
        return "numbers"
    if pa.types.is_boolean(kind):
        return "yes or no"
    if pa.types.is_null(kind):
        return "nothing"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "texts"
    return str(kind)


def _called(kind: pa.DataType) -> str:
    """For a reason."""
    family = _family(kind)
    return f"values of type {family}" if family == str(kind) else family
