"""Tables to arrays and back: what Ibis answers as records, heads and frames."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.features import packing
from services.features.joining import Events
from services.features.kernel import FloatArray
from services.features.plan import EntityPlan


def _told(column: pa.ChunkedArray) -> Any:
    """Texts as the numbers that tell them apart; each different text is hashed once."""
    coded = (
        column.combine_chunks().dictionary_encode() if column.num_chunks != 1 else column.chunk(0).dictionary_encode()
    )
    numbers = np.array([0, *(packing.told(text) for text in coded.dictionary.to_pylist())], np.uint64)
    return numbers[pc.fill_null(pc.add(coded.indices.cast(pa.int64()), 1), 0).to_numpy(zero_copy_only=False)]


def _floats(column: pa.ChunkedArray) -> FloatArray:
    found: FloatArray = column.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    return found


def columns(plan: EntityPlan, table: pa.Table) -> dict[str, Any]:
    """The columns of a table of records, by the names that a record has them under."""
    found: dict[str, Any] = {name: _floats(table[name]) for name in plan.measures}
    return found | {f"h_{name}": _told(table[f"h_{name}"]) for name in plan.told}


def _at(table: pa.Table) -> Any:
    return table["at"].to_numpy().astype(np.int64, copy=False)


def _mask(table: pa.Table) -> Any:
    return table["mask"].to_numpy().astype(np.uint64)


def events(plan: EntityPlan, table: pa.Table, entities: pa.Array) -> Events:
    """The records of a table as events; an entity's code is its place in `entities`, others are left out."""
    codes = pc.index_in(table["entity"], value_set=entities)
    if codes.null_count:
        known = pc.is_valid(codes)
        table, codes = table.filter(known), codes.filter(known)
    return Events(codes.to_numpy().astype(np.int64), _at(table), _mask(table), columns(plan, table))


def records(plan: EntityPlan, table: pa.Table) -> Iterator[tuple[str, bytes]]:
    """(entity, its records) of a table that is sorted by entity."""
    rows = np.zeros(table.num_rows, plan.record)
    rows["at"], rows["mask"] = _at(table), _mask(table)
    for name, values in columns(plan, table).items():
        rows[name] = values
    raw, size = rows.tobytes(), plan.record.itemsize
    runs = table["entity"].combine_chunks()
    coded = pc.run_end_encode(runs)
    start = 0
    for name, end in zip(coded.values.to_pylist(), coded.run_ends.to_pylist(), strict=True):
        yield name, raw[start * size : end * size]
        start = end


def values(plan: EntityPlan, table: pa.Table, labels: int | None = None) -> FloatArray:
    """The columns f0, f1, ... as a matrix; with `labels`, in the place of each row's label, defaults elsewhere."""
    found = np.column_stack([_floats(table[f"f{i}"]) for i in range(len(plan.features))]) if plan.features else None
    if labels is None:
        return found if found is not None else np.empty((table.num_rows, 0))
    out = np.tile(np.array(plan.defaults), (labels, 1))
    if found is not None:
        out[table["row"].to_numpy()] = found
    return out
