"""A run as one HTML page that needs nothing else: figures with intervals drawn, tables, gates, differences, cases with their
pictures, worst first.
"""

from collections.abc import Sequence
from pathlib import Path

import jinja2
import msgspec

from evals.gates import Outcome
from evals.runs import Difference, Metric, Run

_TEMPLATE = Path(__file__).with_name("report.html.j2")
_WIDTH = 220


def page(run: Run, outcomes: Sequence[Outcome], differences: Sequence[Difference], before: str = "") -> str:
    """The page."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string(_TEMPLATE.read_text())
    top = max([1.0, *(metric.high for metric in run.metrics)])
    rows = [(metric, drawn(metric, top)) for metric in run.metrics if not metric.table]
    return template.render(run=run, rows=rows, tables=tables(run.metrics), outcomes=outcomes, differences=differences,
                           before=before, width=_WIDTH)  # fmt: skip


class Table(msgspec.Struct, kw_only=True):
    """Metrics by row and column; a place without a metric is empty."""

    title: str
    columns: list[str] = []
    rows: dict[str, dict[str, Metric]] = {}

    def leads(self, metric: Metric) -> bool:
        """Is it the highest of those that it is compared with?"""
        rivals = [m.value for row in self.rows.values() for m in row.values() if m.among and m.among == metric.among]
        return len(rivals) > 1 and metric.value >= max(rivals)


def tables(metrics: Sequence[Metric]) -> list[Table]:
    """The metrics that have a place in a table, in their order."""
    made: dict[str, Table] = {}
    for metric in metrics:
        if metric.table:
            table = made.setdefault(metric.table, Table(title=metric.table))
            if metric.column not in table.columns:
                table.columns.append(metric.column)
            table.rows.setdefault(metric.row, {})[metric.column] = metric
    for table in made.values():
        # Columns of differences stand at the end, whichever row brought them first.
        plain = {metric.column for row in table.rows.values() for metric in row.values() if not metric.signed}
        table.columns.sort(key=lambda column: column not in plain)
    return list(made.values())


def drawn(metric: Metric, top: float) -> dict[str, float]:
    """Where the interval's bar and the value's mark stand, in pixels of a scale from 0 to `top`."""
    scale = _WIDTH / top if top > 0 else 0.0
    low, high = max(0.0, metric.low) * scale, max(0.0, metric.high) * scale
    return {"x": low, "w": max(high - low, 2.0), "at": max(0.0, metric.value) * scale}
