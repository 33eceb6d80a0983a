"""`python -m benchmarks report`: the README's table of figures, made of the results; a test keeps them equal."""

import json
import re
from typing import Any

from benchmarks.harness import RESULTS, ROOT

_BLOCK = re.compile(r"(<!-- measured -->\n).*?(\n<!-- /measured -->)", re.DOTALL)


def table() -> str:
    """The figures as Markdown."""
    one = {path.stem: json.loads(path.read_text()) for path in RESULTS.glob("*.json")}
    rows = ["| what | goal | measured |", "| --- | --- | --- |"]
    rows += [f"| {what} | {goal} | {said} |" for what, goal, said in _rows(one)]
    return "\n".join(rows)


def _rows(one: dict[str, Any]) -> list[tuple[str, str, str]]:
    embedding, search, importing = one["embedding"], one["search"], one["importing"]
    writing, starting = one["writing"], one["starting"]
    first, later, many = starting["first_run"], starting["later_run"], writing["offers_per_second"]
    effects = one["engine"]["effects_at_16"]
    return [
        ("text embedding against sentence-transformers", "3x, loss <= 0.5 points",
         (f"{embedding['ratio']}x ({embedding['ours_sentences_per_second']:,} sentences/s), loss {embedding['loss_points']} points, "
         f"one query {embedding['ours_single_query_ms']} ms")),
        ("hybrid filtered search of 10,000 assets against qdrant-client's local mode", "30x at recall 1.0",
         (f"{search['ratio']:.0f}x, recall {min(search['recall_at_10'].values())}, p50 {search['ours_latency']['p50_ms']} ms, "
         f"p99 {search['ours_latency']['p99_ms']} ms")),
        ("event lines/s into Postgres", "50,000",
         (f"{importing['parquet']['rows_per_second']:,.0f} from Parquet, {importing['csv']['rows_per_second']:,.0f} from CSV "
         f"(a bare COPY that checks nothing: {importing['bare_copy_rows_per_second']:,})")),
        ("checked offers/s against a naive loop on the same vLLM", "4x",
         (f"{many['1']:.2f} / {many['16']:.2f} / {many['64']:.2f} at 1 / 16 / 64 "
         f"at once against {many['naive']:.2f}; {writing['ratio_16']}x at 16, {writing['ratio_64']}x at 64")),
        ("the same at 16, one thing changed", "shown once",
         "; ".join(f"{name} {value['offers_per_second']:.2f}" for name, value in effects.items())),
        ("demo, first run, environments there", "600 s",
         f"first offer after {first['first_offer_seconds']} s, {first['offers']} offers after {first['all_offers_seconds']} s"),
        ("demo, later run", "60 s to the first offer",
         f"first offer after {later['first_offer_seconds']} s, all after {later['all_offers_seconds']} s"),
    ]  # fmt: skip


def in_readme() -> str:
    """The block that stands in the README now."""
    found = _BLOCK.search((ROOT / "README.md").read_text())
    return found.group(0) if found else ""


def main() -> None:
    """Write the table into the README."""
    path = ROOT / "README.md"
    path.write_text(_BLOCK.sub(lambda m: m.group(1) + table() + m.group(2), path.read_text()))
