"""`python -m benchmarks report`: the README's table of figures, made of the results; a test keeps them equal."""

import json
import re
import statistics
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
    deciding, faster = one["deciding"], one["deciding_fast_machine"]
    joining, serving, streaming = one["joining"]["1000000_labels_10000000_rows"], one["serving"], one["streaming"]
    peers = deciding["peers"]
    first, later, many = starting["first_run"], starting["later_run"], writing["offers_per_second"]
    recommending, idle, writing_many = one["recommending"], one["batching"]["no_op"], one["batching"]["writing"]
    own_texts, shared, direct = writing_many["without"], writing_many["with_sharing"], writing_many["of_vllm"]
    effects = one["engine"]["effects_at_16"]
    drifted = one["drifting"]["numbers"]["power_one_of_20_moved_0.2_sd"]["that_column_alone"]
    calm = one["drifting"]["numbers"]["false_alarms_of_windows"]
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
        ("decisions/s over the public API, workload D1, server on one core", "shown",
         (f"{deciding['closed_16']['per_second']} at 16 connections; at 200/s p50 {deciding['open_200']['p50_ms']} ms, p99 "
          f"{deciding['open_200']['p99_ms']} ms; a request that does nothing p50 {deciding['floor_closed_1']['p50_ms']} ms")),
        ("the same on an earlier machine, four times as fast, with older and slower code", "p50 2 ms, p99 8 ms at 500/s",
         (f"{faster['closed_16']['per_second']:,} at 16 connections; at 500/s p50 {faster['open_500']['p50_ms']} ms, p99 "
          f"{faster['open_500']['p99_ms']} ms")),
        ("the same against FastAPI + MABWiser + redis-py, 500 offers", "10x",
         "; ".join(f"{name.split('_')[2]} {peer['ratio']}x" for name, peer in peers.items() if "mabwiser" in name)),
        ("the same against FastAPI + Vowpal Wabbit + redis-py, 100 offers", "3x", f"{peers['fastapi_vowpal_wabbit_100_offers']['ratio']}x"),
        ("memory of the services over 10 minutes of decisions", "flat",
         f"{deciding['soak']['mib'][0]:.0f} MiB after 30 s, {deciding['soak']['mib'][-1]:.0f} MiB after {deciding['soak']['seconds']:.0f} s"),
        ("a decision's time, by part (sampled under load)", "shown",
         "; ".join(f"{name} {share:.0f} %" for name, share in list(one["layers"]["percent_of_samples"]["by_part"].items())[:6])),
        ("500 offers through 100 and 300 trees, compiled, against LightGBM on one thread", "compiled where it wins",
         f"{one['trees']['100_trees']['ratio']}x, {one['trees']['300_trees']['ratio']}x, the same bits"),
        ("pieces of copy checked a second on one core", "1,000",
         f"{one['checking']['claims_per_second']:,} for claims, {one['checking']['claims_and_rules_per_second']:,} with the rules"),
        ("point-in-time join of 1M labels on 10M rows against Feast's file store", "20x",
         (f"{joining['ratio']}x ({joining['ours_seconds'][0]:.0f} s against {joining['peer_seconds'][0]:.0f} s), the same numbers")),
        ("50 features of 1 / 10 / 100 people out of Redis against Feast's online store", "5x at 1, 10x at 100",
         (" / ".join(f"{serving[f'{n}_people']['ratio']}x" for n in (1, 10, 100)) + ", p50 "
          + " / ".join(f"{serving[f'{n}_people']['ours']['p50_ms']}" for n in (1, 10, 100)) + " ms; after an event for each "
          + " / ".join(f"{serving[f'{n}_people']['ours_after_an_event']['p50_ms']}" for n in (1, 10, 100)) + " ms")),
        ("events/s counted out of the stream, one consumer, exactly once", "30,000 on 2 cores",
         (f"{streaming['ours_events_per_second']:,} against {streaming['counters_events_per_second']:,} with redis-py counters "
          f"({streaming['against_counters']['ratio']}x) and {streaming['bytewax_events_per_second']:,} with Bytewax in memory "
          f"({streaming['against_bytewax']['ratio']}x)")),
        ("event accepted over HTTP to servable feature, 5,000 events/s", "p99 250 ms",
         f"p50 {streaming['freshness_at_5000']['p50_ms']:.0f} ms, p99 {streaming['freshness_at_5000']['p99_ms']:.0f} ms"),
        ("exploration in 20 simulated worlds", "beats greedy and random in 18",
         "; ".join(f"{name} {count}" for name, count in one["simulation"]["wins"].items())),
        ("MovieLens-100k, training against cornac's BiVAE, three splits", "100x at its nDCG at 10",
         (f"{recommending['ratio']:.0f}x ({min(recommending['ours_seconds']):.1f} s against {min(recommending['peer_seconds']):.0f} s), nDCG "
          f"{statistics.fmean(recommending['ndcg_at_10']['ours']):.3f} against {statistics.fmean(recommending['ndcg_at_10']['peer']):.3f}")),
        ("items/s through batches that cost nothing, against one Celery task an item, two workers", "20x",
         (f"{idle['ratio']:.0f}x ({min(idle['ours_items_per_second']):,} against {max(idle['celery_items_per_second']):,})")),
        ("written offers/s of a batch against a loop over customers on the same vLLM, everybody has a text of their own", "8x",
         f"{own_texts['ratio']}x ({own_texts['ratio_95'][0]} to {own_texts['ratio_95'][1]})"),
        ("the same, 10,000 people, texts shared", "100x",
         f"{writing_many['with']:,.0f}x ({shared['people']:,} people, {shared['texts']} texts, {shared['seconds']:.0f} s)"),
        ("answers/s of vLLM in a batch without sharing against the same vLLM asked directly, 32 at once", "97 %",
         f"{100 * direct['ratio']:.0f} % ({100 * direct['ratio_95'][0]:.0f} to {100 * direct['ratio_95'][1]:.0f})"),
        ("our services' share of the processor time of such a batch, what they take at rest included", "shown",
         "; ".join(f"{100 * one['ours'] / (one['ours'] + one['vllm']):.1f} %"
                   for one in (turn["processor_seconds"] for turn in writing_many["without_sharing"]))),
        ("windows of 20 columns of 10,000 rows that alarm without drift", "5 %",
         (f"{100 * calm['with_floor']['share']:.1f} % (at most {100 * calm['with_floor']['interval_95'][1]:.1f} %), of {calm['with_floor']['of']:,}; "
          f"{100 * calm['without_floor']['share']:.1f} % without a floor of effect, {100 * calm['without_control']['share']:.0f} % without adjusting")),
        ("the same with one column moved 0.2 standard deviations", "power 0.9",
         f"{drifted['share']} (at least {drifted['interval_95'][0]}), of {drifted['of']}"),
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
