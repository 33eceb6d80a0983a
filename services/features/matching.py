"""Packed events as the records of entities: which filters each passes, and the columns that are kept. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from services.features.packing import told
from services.features.plan import EntityPlan
from shared.contracts.stream import PackedEvents

BoolArray = npt.NDArray[np.bool_]


def _places(plan: EntityPlan) -> dict[str, dict[str, int]]:
    """Label -> value -> its number, of every value that a filter asks for; 0 is any other."""
    found: dict[str, dict[str, int]] = {}
    for condition in plan.filters:
        for label, values in condition:
            known = found.setdefault(label, {})
            for value in values:
                known.setdefault(value, len(known) + 1)
    return found


class Matcher:
    """Makes records for one plan; made once, used for every message."""

    def __init__(self, plan: EntityPlan) -> None:
        self.plan = plan
        self._places = _places(plan)
        # Filter -> label -> which of the label's numbers pass.
        self._tables: list[dict[str, BoolArray]] = []
        for condition in plan.filters:
            tables = {}
            for label, values in condition:
                table = np.zeros(len(self._places[label]) + 1, dtype=bool)
                table[[self._places[label][value] for value in values]] = True
                tables[label] = table
            self._tables.append(tables)

    def mask(self, labels: Mapping[str, Sequence[str | None]], count: int) -> npt.NDArray[np.uint64]:
        """Bit i of each event: does it pass filter i? A label that no event has is an empty list."""
        codes = {}
        for label, places in self._places.items():
            get = places.get
            values = labels[label]
            codes[label] = np.array([get(v, 0) if v else 0 for v in values], np.intp) if values else None
        mask = np.zeros(count, dtype=np.uint64)
        for bit, tables in enumerate(self._tables):
            passing: Any = np.ones(count, dtype=bool)
            for label, table in tables.items():
                code = codes[label]
                passing &= table[code] if code is not None else False
            mask |= passing.astype(np.uint64) << np.uint64(bit)
        return mask

    def records(self, batch: PackedEvents) -> tuple[list[str], npt.NDArray[Any]]:
        """(entity of each record, the records) of the events that have the entity and pass a filter."""
        plan = self.plan
        ids: list[str | None] = getattr(batch, plan.column)
        count = len(batch.profile_id)
        if not ids or not plan.filters:
            return [], np.empty(0, plan.record)
        labels = {label: getattr(batch, label) for label in self._places}
        rows = np.zeros(count, plan.record)
        rows["at"] = np.frombuffer(batch.time, "<i8")
        rows["mask"] = self.mask(labels, count)
        for name in plan.measures:
            raw: bytes = getattr(batch, name)
            rows[name] = np.frombuffer(raw, "<f8") if raw else np.nan
        for name in plan.told:
            values = getattr(batch, name)
            rows[f"h_{name}"] = np.array([told(value) for value in values], np.uint64) if values else 0
        keep = rows["mask"] != 0
        if None in ids:
            keep &= np.array([name is not None for name in ids])
        if keep.all():
            return ids, rows  # type: ignore[return-value]
        return [ids[i] for i in np.flatnonzero(keep)], rows[keep]  # type: ignore[misc]
