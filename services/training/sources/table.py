"""A file as a frame: CSV or Parquet with an outcome, optionally a treatment, and covariates. Any randomised campaign fits.

Numbers stay numbers, other columns become one column a frequent value (`name=value`). A quarter of the entities is the test.
"""

import datetime as dt
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from services.training import rewards
from services.training.errors import BadDataError
from services.training.frames import FloatArray, Frame
from shared.contracts.base import FieldError
from shared.contracts.training import Columns, Dataset

_TEST_SHARE, _VALUES = 0.25, 20
_YES = {"1", "true", "yes", "y", "t", "treated", "treatment", "1.0"}
_NO = {"0", "false", "no", "n", "f", "control", "0.0"}


def read(path: Path) -> pa.Table:
    """A file's table.

    Raises:
        BadDataError: it is not there or not readable as its suffix says.
    """
    try:
        if path.suffix == ".parquet":
            return pyarrow.parquet.read_table(path)
        return pyarrow.csv.read_csv(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise BadDataError(f"dataset.path: {path} cannot be read ({str(error).splitlines()[0][:200]})") from error


def frame(dataset: Dataset, seed: int) -> Frame:
    """The file that the data set names.

    Raises:
        BadDataError: the file, or a column that it should have, is missing or holds something else.
    """
    if dataset.path is None or dataset.columns is None:
        raise BadDataError("dataset: a table needs `path` and `columns` (at least the outcome)")
    return of_table(read(Path(dataset.path)), dataset.columns, Path(dataset.path).name, seed)


def of_table(table: pa.Table, columns: Columns, name: str, seed: int) -> Frame:
    """A frame of a table."""
    for field in ("outcome", "treatment", "entity", "value", "observed_at", "outcome_at", "source"):
        _has(table, getattr(columns, field), field)
    for feature in columns.features:
        _has(table, feature, "features")
    special = {columns.outcome, columns.treatment, columns.entity, columns.value, columns.observed_at, columns.outcome_at,
               columns.source, columns.propensity}  # fmt: skip
    wanted = columns.features or [c for c in table.column_names if c not in special]
    known = pc.is_valid(table[columns.outcome])
    notes = []
    if missing := len(known) - pc.sum(known).as_py():
        notes.append(f"{missing} rows without an outcome left out")
        table = table.filter(known)
    n = table.num_rows
    entity = _texts(table, columns.entity) if columns.entity else np.array([f"row {k}" for k in range(n)])
    x, names = _inputs(table, wanted)
    treatment = _binary(table, columns.treatment) if columns.treatment else None
    source = _texts(table, columns.source) if columns.source else None
    y = _outcome(table, columns.value or columns.outcome)
    keep = np.ones(n, dtype=bool)
    if columns.value or source is not None:
        cleaned = rewards.clean(y, source)
        y, keep = cleaned.value, cleaned.keep
        notes += cleaned.notes
    people, place = np.unique(entity, return_inverse=True)
    chosen = np.random.default_rng([seed, 7]).random(len(people)) < _TEST_SHARE
    return Frame(
        name=name, columns=names, x=x, y=y, time=_times(table, columns.observed_at) if columns.observed_at else np.zeros(n),
        outcome_time=_times(table, columns.outcome_at) if columns.outcome_at else None, entity=entity, test=chosen[place],
        treatment=treatment, chance=_chance(table, columns.propensity, treatment), source=source, notes=notes,
    ).rows(keep)  # fmt: skip


def _has(table: pa.Table, column: str | None, field: str) -> None:
    if column is not None and column not in table.column_names:
        allowed = ", ".join(table.column_names)[:500]
        message = f"{field}: there is no column {column!r}"
        raise BadDataError(
            message, errors=[FieldError(field=field, message="is no column of the file", given=column, allowed=allowed)]
        )


def _texts(table: pa.Table, column: str) -> npt.NDArray[np.str_]:
    return np.array([str(v) for v in table[column].to_pylist()])


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
    )


def _numbers(table: pa.Table, column: str) -> FloatArray:
    return np.asarray(table[column].cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _outcome(table: pa.Table, column: str) -> FloatArray:
    return _numbers(table, column) if _is_number(table.schema.field(column).type) else _binary(table, column)


def _binary(table: pa.Table, column: str) -> FloatArray:
    """0 and 1 of what says yes and no."""
    words = [str(v).strip().lower() for v in table[column].to_pylist()]
    wrong = sorted({w for w in words if w not in _YES | _NO})
    if wrong:
        message = f"{column}: must say yes or no (1/0, true/false, treatment/control), not {wrong[0]!r}"
        raise BadDataError(message, errors=[FieldError(field=column, message="is neither yes nor no", given=wrong[0])])
    return np.array([float(w in _YES) for w in words])


def _times(table: pa.Table, column: str) -> FloatArray:
    """Epoch seconds; dates and times, numbers of seconds, or ISO 8601 texts."""
    if _is_number(table.schema.field(column).type):
        return _numbers(table, column)
    found = []
    for value in table[column].to_pylist():
        try:
            moment: Any = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
        except ValueError as error:
            raise BadDataError(f"{column}: {value!r} is no time") from error
        if isinstance(moment, dt.date) and not isinstance(moment, dt.datetime):
            moment = dt.datetime.combine(moment, dt.time())
        found.append(
            float("nan") if moment is None else (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
        )
    return np.array(found)


def _inputs(table: pa.Table, wanted: list[str]) -> tuple[FloatArray, list[str]]:
    parts, names = [], []
    for column in wanted:
        if _is_number(table.schema.field(column).type):
            parts.append(_numbers(table, column))
            names.append(column)
            continue
        values = ["" if v is None else str(v) for v in table[column].to_pylist()]
        for value, _ in Counter(values).most_common(_VALUES):
            parts.append(np.array([float(v == value) for v in values]))
            names.append(f"{column}={value}" if value else f"{column}=(missing)")
    if not parts:
        raise BadDataError("columns.features: the file has no column to learn from")
    return np.column_stack(parts), names


def _chance(table: pa.Table, given: str | float | None, treatment: FloatArray | None) -> FloatArray | None:
    """The known chance of treatment of every row; None where it is to be estimated."""
    if treatment is None or given is None:
        return None
    if isinstance(given, str):
        _has(table, given, "propensity")
        found = _numbers(table, given)
    else:
        found = np.full(len(treatment), float(given))
    if not ((found > 0) & (found < 1)).all():
        raise BadDataError("propensity: the chance of treatment lies in (0, 1) for every row")
    return found


def purchases(table: pa.Table, columns: Columns) -> tuple[npt.NDArray[np.str_], FloatArray, FloatArray]:
    """(customer, epoch seconds, value) of a table of purchases; amounts nobody spends are cut, see `rewards`."""
    for field in ("entity", "observed_at", "value"):
        _has(table, getattr(columns, field), field)
    assert columns.entity is not None  # noqa: S101  (the caller has looked)
    assert columns.observed_at is not None  # noqa: S101
    assert columns.value is not None  # noqa: S101
    value = rewards.clean(_numbers(table, columns.value), None).value
    return _texts(table, columns.entity), _times(table, columns.observed_at), value


def texts(table: pa.Table, column: str, field: str) -> list[str]:
    """A column of texts; empty ones count as missing and are refused."""
    _has(table, column, field)
    found = ["" if v is None else str(v).strip() for v in table[column].to_pylist()]
    if not all(found):
        raise BadDataError(f"{field}: {found.count('')} rows of {column!r} are empty")
    return found


def moments(table: pa.Table, column: str, field: str) -> FloatArray:
    """A column of times, epoch seconds; NaN where one is missing."""
    _has(table, column, field)
    return _times(table, column)
