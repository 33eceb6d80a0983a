"""Training frames: labels in, the same rows with their features out, each as of strictly before its time."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from services.features import joining, tables
from services.features.errors import BadLabelsError
from services.features.kernel import FloatArray
from services.features.plan import EntityPlan
from shared.contracts.base import FieldError


def _bad(field: str, message: str, given: str, allowed: str) -> BadLabelsError:
    error = FieldError(field=field, message=message, given=given[:120], allowed=allowed)
    return BadLabelsError(f"labels: {field} {message} ({given[:120]}); allowed: {allowed}", errors=[error])


class Labels:
    """Labels that were looked at: `entity` texts, `at` microseconds since 1970; duplicates are fine, every row is answered."""

    def __init__(self, table: pa.Table) -> None:
        for name in ("entity", "time"):
            if name not in table.column_names:
                raise _bad(name, "is no column", ", ".join(table.column_names), "the columns entity and time")
        self.table = table
        self.entity = table["entity"].combine_chunks()
        if pa.types.is_dictionary(self.entity.type):
            self.entity = self.entity.dictionary_decode()
        if not pa.types.is_string(self.entity.type) and not pa.types.is_large_string(self.entity.type):
            raise _bad("entity", "is not text", str(self.entity.type), "the ids as text")
        self.entity = self.entity.cast(pa.string())
        self._whole("entity", self.entity)
        self.at = self._times(table["time"].combine_chunks())

    @staticmethod
    def _whole(name: str, column: Any) -> None:
        if column.null_count:
            row = pc.index(pc.is_null(column), True).as_py()
            raise _bad(
                name, f"is missing in {column.null_count} of {len(column)} rows", f"first: row {row}", "none missing"
            )

    def _times(self, column: Any) -> Any:
        if not pa.types.is_timestamp(column.type) or column.type.tz is None:
            raise _bad("time", "is no moment", str(column.type), "timestamps with a time zone")
        self._whole("time", column)
        return column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()


def read_labels(path: Path) -> Labels:
    """The labels in a Parquet file.

    Raises:
        BadLabelsError: it is none, or a column is missing, of another type or has gaps.
    """
    try:
        return Labels(pq.read_table(path))
    except (pa.ArrowException, OSError) as error:
        raise _bad("labels", "cannot be read", f"{path.name}: {error}", "a Parquet file below ATELIER_DATA") from error


def here(plan: EntityPlan, events: Any, labels: Labels) -> FloatArray:
    """The features of every label by arrays, shape (labels, features); `events` is an Ibis table on DuckDB."""
    from services.features import expressions  # Ibis is a large library: imported where it is used

    if not len(labels.at):
        return np.empty((0, len(plan.features)))
    rows = expressions.records(plan, events, int(labels.at.min()), int(labels.at.max())).to_pyarrow()
    entities = pc.unique(labels.entity)
    found = tables.events(plan, rows, entities)
    codes = pc.index_in(labels.entity, value_set=entities).to_numpy().astype(np.int64)
    return joining.frame(plan, found, codes, labels.at)


def there(plan: EntityPlan, connection: Any, events: Any, labels: Labels) -> FloatArray:
    """The same by the expressions alone, on whatever engine the table is."""
    import ibis

    from services.features import expressions

    rows = pa.table({"row": np.arange(len(labels.at)), "entity": labels.entity, "as_of": labels.at})
    answer = connection.to_pyarrow(expressions.at_labels(plan, events, ibis.memtable(rows)))
    return tables.values(plan, answer, len(labels.at))


def write(labels: Labels, plan: EntityPlan, values: FloatArray, path: Path) -> None:
    """The labels' own columns and one more a feature."""
    table = labels.table
    for position, name in enumerate(plan.names):
        cells = pa.array(np.ascontiguousarray(values[:, position]))
        place = table.column_names.index(name) if name in table.column_names else -1
        table = table.append_column(name, cells) if place < 0 else table.set_column(place, name, cells)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd")
