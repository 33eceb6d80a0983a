"""`atelier up` on an empty folder: everything comes up, takes work over HTTP and Celery, mends itself, leaves nothing."""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pyarrow.parquet as pq
import pytest
from PIL import Image

from services.gateway.documentation import request_examples
from shared.stack.run_folder import RunFolder
from shared.stack.valkey import free_port
from tests.conftest import ROOT

pytestmark = pytest.mark.timeout(900)
ATELIER = [sys.executable, "-m", "services"]
CSV = (
    "Kunde,Zeit,Nr,Art\nanna,2026-01-01T10:00:00Z,1,visit\nanna,yesterday,2,visit\nbert,2026-01-02T10:00:00Z,3,visit\n"
)
MAPPING = "columns: {Kunde: profileId, Zeit: time, Nr: eventId, Art: type}\n"


class Suite:
    """A running suite and what talks to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # A private environment: nothing of the caller's settings reaches the suite.
        clean = {k: v for k, v in os.environ.items() if not k.endswith("_URL")}
        self.environment = clean | {"ATELIER_DATA": str(folder), "ENGINE_PYTHON": "/nonexistent/python",
                                    "PORT": str(free_port()), "COLUMNS": "200"}  # fmt: skip
        self.process = subprocess.Popen(
            [*ATELIER, "up"], cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, text=True
        )
        self.wait_until(lambda: RunFolder(folder).running(), 600)
        running = RunFolder(folder).running()
        assert running
        self.running = running
        key = self.atelier("keys", "create", "acme").stdout.strip()
        self.http = httpx.Client(base_url=running.url, headers={"authorization": f"Bearer {key}"}, timeout=120)

    def atelier(self, *arguments: str, seconds: float = 600) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*ATELIER, *arguments], cwd=ROOT, env=self.environment, capture_output=True, text=True,
                              check=False, timeout=seconds)  # fmt: skip

    def wait_until(self, true: Any, seconds: float = 240) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.process.stdout.read() if self.process.stdout else ""
            try:
                if found := true():
                    return found
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        raise AssertionError("it did not come true in time")

    def imported(self, kind: str, name: str, content: bytes, mapping: str | None = None) -> dict[str, Any]:
        job = (
            self.http.post("/v1/imports", json={"kind": kind, "file": name, "mapping": mapping})
            .raise_for_status()
            .json()
        )
        sent = self.http.put(f"/v1/imports/{job['jobId']}/file", content=content)
        assert sent.status_code == 202, sent.text
        at = f"/v1/imports/{job['jobId']}"
        self.wait_until(lambda: self.http.get(at).json()["state"] in {"done", "failed"})
        return dict(self.http.get(at).json())


@pytest.fixture(scope="module")
def suite() -> Iterator[Suite]:
    with tempfile.TemporaryDirectory(prefix="atl-up-") as folder:
        made = Suite(Path(folder))
        try:
            yield made
        finally:
            if made.process.poll() is None:
                made.process.send_signal(signal.SIGTERM)
                made.process.wait(60)


def test_status_names_every_part_and_doctor_finds_nothing_wrong(suite: Suite) -> None:
    status = suite.atelier("status")
    assert status.returncode == 0, status.stderr
    for part in ("gateway", "events", "profiles", "retrieval", "generation", "decisions", "model server"):
        assert part in status.stdout
    assert suite.atelier("doctor").returncode == 0


def test_a_second_up_is_told_who_holds_the_folder(suite: Suite) -> None:
    second = suite.atelier("up")
    assert second.returncode == 1
    assert f"process {suite.process.pid}" in second.stderr
    assert suite.running.url in second.stderr


def test_a_file_over_http_comes_in_with_its_bad_row_reported(suite: Suite) -> None:
    done = suite.imported("events", "besuche.csv", CSV.encode(), MAPPING)
    report = done["report"]
    assert (done["state"], report["read"], report["stored"], report["rejected"]) == ("done", 3, 2, 1)
    assert (report["firstErrors"][0]["line"], report["firstErrors"][0]["field"]) == (3, "time")
    rejects = suite.http.get(report["rejectsFile"])
    assert json.loads(rejects.text)["row"]["Nr"] == "2"
    assert suite.http.get("/v1/profiles/anna/events").json()["events"][0]["eventId"] == "1"


def test_the_same_file_again_stores_nothing(suite: Suite) -> None:
    suite.imported("events", "besuche.csv", CSV.encode(), MAPPING)
    again = suite.imported("events", "besuche.csv", CSV.encode(), MAPPING)["report"]
    assert (again["stored"], again["duplicates"], again["rejected"]) == (0, 2, 1)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"kind": "events", "file": "x.docx"}, 422, "unreadable-file"),
        ({"kind": "nonsense", "file": "x.csv"}, 422, "invalid-input"),
        ({"kind": "events", "file": "../x.csv"}, 422, "invalid-input"),
        ({"kind": "events", "file": "x.csv", "mapping": "columns: ["}, 422, "mapping"),
        ({"kind": "events", "file": "x.csv", "mapping": "constants: {a: &a [1], b: [*a, *a]}"}, 422, "mapping"),
    ],
)
def test_an_import_that_cannot_be_is_refused_at_once(
    suite: Suite, body: dict[str, str], status: int, code: str
) -> None:
    answer = suite.http.post("/v1/imports", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_a_file_that_is_none_fails_with_a_reason_and_stops_nothing(suite: Suite) -> None:
    done = suite.imported("events", "x.parquet", b"this is not parquet")
    assert done["state"] == "failed"
    assert "parquet" in done["problem"].lower()
    assert suite.imported("events", "ok.csv", CSV.encode(), MAPPING)["state"] == "done"


def test_of_two_uploads_at_once_one_counts_and_the_other_is_told(suite: Suite) -> None:
    job = suite.http.post("/v1/imports", json={"kind": "events", "file": "x.csv", "mapping": MAPPING}).json()["jobId"]
    with ThreadPoolExecutor(4) as pool:
        sent = list(pool.map(lambda _: suite.http.put(f"/v1/imports/{job}/file", content=CSV.encode()), range(4)))
    assert sorted(answer.status_code for answer in sent) == [202, 409, 409, 409]
    suite.wait_until(lambda: suite.http.get(f"/v1/imports/{job}").json()["state"] == "done")


def test_another_tenant_does_not_see_an_import(suite: Suite) -> None:
    job = suite.http.post("/v1/imports", json={"kind": "events", "file": "x.csv"}).json()["jobId"]
    other = suite.atelier("keys", "create", "globex").stdout.strip()
    for path in (f"/v1/imports/{job}", f"/v1/imports/{job}/rejects", "/v1/imports/..%2f..%2facme"):
        assert suite.http.get(path, headers={"authorization": f"Bearer {other}"}).status_code == 404
    sent = suite.http.put(f"/v1/imports/{job}/file", content=b"x", headers={"authorization": f"Bearer {other}"})
    assert sent.status_code == 404


def test_the_import_command_says_what_was_refused_and_ends_with_2(suite: Suite, tmp_path: Path) -> None:
    (tmp_path / "people.jsonl").write_text('{"profileId": "anna"}\n{"profileId": 7, "locale": []}\n')
    done = suite.atelier("import", "profiles", str(tmp_path / "people.jsonl"), "--tenant", "acme")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "2 rows read = 1 stored" in " ".join(done.stdout.split())
    missing = suite.atelier("import", "profiles", str(tmp_path / "nowhere.csv"))
    assert (missing.returncode, "nowhere.csv: no such file" in missing.stderr) == (1, True)


def test_imported_people_get_facts_and_a_vector_without_being_asked_for(suite: Suite) -> None:
    offer = {"offerId": "tea", "name": "Tea", "productName": "tea", "category": "tea", "startDate": "2020-01-01T00:00:00Z",
             "endDate": "2099-01-01T00:00:00Z", "discount": {"kind": "percent", "value": "10"}}  # fmt: skip
    assert suite.http.put("/v1/offers/tea", json=offer).status_code == 200
    yes = {"personalize": {"content": {"val": "y"}}, "marketing": {"any": {"val": "y"}}}
    lines = [{"eventId": f"c{day}", "profileId": "carl", "type": "commerce.purchases", "category": "tea", "value": "2",
              "sessionId": f"s{day}", "time": f"2026-0{1 + day // 28}-{1 + day % 28:02d}T10:00:00Z"} for day in range(0, 56, 4)]  # fmt: skip
    suite.imported("profiles", "p.jsonl", json.dumps({"profileId": "carl", "consents": yes}).encode())
    suite.imported("events", "e.jsonl", "\n".join(map(json.dumps, lines)).encode())
    suite.wait_until(
        lambda: suite.http.post("/v1/search/offers", json={"query": {"profileId": "carl"}}).status_code == 200
    )
    answer = suite.http.post("/v1/generate/ranked", json={"profileId": "carl", "limit": 1}).json()
    variant = answer["copies"][0]["variants"][0]
    assert (variant["source"], answer["personalized"]) == ("template", True)
    assert "Save 10% on tea." in variant["sections"]["body"]
    assert answer["copies"][0]["degraded"][0].startswith("llm_unavailable")


def test_a_revoked_key_stops_working(suite: Suite) -> None:
    key = suite.atelier("keys", "create", "initech", "--scope", "search").stdout.strip()
    headers = {"authorization": f"Bearer {key}"}
    assert suite.http.get("/v1/offers", headers=headers).status_code == 403
    assert suite.http.post("/v1/search/offers", json={"query": {"text": "tea"}}, headers=headers).status_code == 200
    listed = suite.atelier("keys", "list", "initech").stdout
    key_id = next(word for word in listed.split() if word.startswith("key_"))
    assert suite.atelier("keys", "revoke", "initech", key_id).returncode == 0
    suite.wait_until(
        lambda: (
            suite.http.post("/v1/search/offers", json={"query": {"text": "tea"}}, headers=headers).status_code == 401
        ),
        15,
    )


def test_a_picture_above_a_megabyte_comes_in_and_one_above_the_limit_does_not(suite: Suite) -> None:
    suite.http.put("/v1/assets/big", json={"assetId": "big", "name": "big picture"}).raise_for_status()
    noise = os.urandom(900 * 900 * 3)
    out = io.BytesIO()
    Image.frombytes("RGB", (900, 900), noise).save(out, "PNG")
    assert len(out.getvalue()) > 2_000_000
    assert suite.http.put("/v1/assets/big/image", content=out.getvalue()).status_code == 200
    assert suite.http.put("/v1/assets/big/image", content=b"x" * 11_000_000).status_code == 413


def test_every_example_of_the_api_page_works_on_an_empty_tenant(suite: Suite) -> None:
    key = suite.atelier("keys", "create", "examples").stdout.strip()
    for example in request_examples():
        answer = suite.http.request(
            example.method, example.url, json=example.request, headers={"authorization": f"Bearer {key}"}
        )
        expected = {example.empty} if example.empty else {200, 201, 202}
        assert answer.status_code in expected, f"{example.operation}: {answer.text}"
        if example.operation.endswith("/stream"):
            assert "event: copy" in answer.text


def test_a_batch_is_written_by_the_worker_and_fetched_as_lines_and_parquet(suite: Suite, tmp_path: Path) -> None:
    suite.http.put("/v1/offers/tea", json={"offerId": "tea", "name": "Tea", "productName": "tea", "category": "tea",
                                           "startDate": "2020-01-01T00:00:00Z", "endDate": "2099-01-01T00:00:00Z"})  # fmt: skip
    people = tmp_path / "people.csv"
    people.write_text("profileId\n" + "".join(f"reader-{n}\n" for n in range(40)))
    for n in range(40):
        body = {"profileId": f"reader-{n}", "consents": {"marketing": {"any": {"val": "y"}}}}
        assert suite.http.put(f"/v1/profiles/reader-{n}", json=body).status_code == 200
    body = {"batchId": "teas", "offerIds": ["tea"], "fromFile": True, "whenModelDown": "template"}
    assert suite.http.post("/v1/batches", json=body).status_code == 202
    taken = suite.http.put("/v1/batches/teas/audience", content=people.read_bytes())
    assert (taken.status_code, taken.json()["taken"]) == (202, 40)
    suite.wait_until(lambda: suite.http.get("/v1/batches/teas").json()["state"] == "done", 60)
    counts = suite.http.get("/v1/batches/teas").json()["counts"]
    assert (counts["template"], counts["texts"], counts["open"]) == (40, 1, 0)
    lines = suite.http.get("/v1/batches/teas/results").text.splitlines()
    table = pq.read_table(io.BytesIO(suite.http.get("/v1/batches/teas/results", params={"format": "parquet"}).content))
    assert len(lines) == table.num_rows == 40
    shown = suite.atelier("batch", "show", "teas", "--tenant", "acme")
    assert (shown.returncode, "batch done" in shown.stdout) == (0, True), shown.stdout + shown.stderr


def test_stored_copy_is_evaluated_by_command_with_a_report_and_a_gate(suite: Suite) -> None:
    offer = {"offerId": "rye", "name": "Rye", "productName": "rye bread", "startDate": "2020-01-01T00:00:00Z",
             "endDate": "2099-01-01T00:00:00Z", "discount": {"kind": "percent", "value": "10"}}  # fmt: skip
    suite.http.put("/v1/offers/rye", json=offer).raise_for_status()
    for n, body in enumerate(("Save 10% on rye bread.", "Save 20% on rye bread.")):
        copy = {
            "copyId": f"rye-{n}",
            "offerId": "rye",
            "channel": "web",
            "by": "ida",
            "sections": {"headline": "Rye bread", "body": body},
        }
        suite.http.post("/v1/copy", json=copy).raise_for_status()
    asked = ("evaluate", "--tenant", "acme", "--offer", "rye", "--metric", "claim_support", "--metric", "chrf_score")
    done = suite.atelier(*asked, "--gate", "claim_support>=0.9")
    shown = " ".join(done.stdout.split())
    assert done.returncode == 3, done.stdout + done.stderr
    assert "done, 2 samples, seed 0" in shown
    assert "claim_support │ 0.750" in shown
    assert "gate claim_support >= 0.9: does not hold" in shown
    again = suite.atelier(*asked, "--json", "--gate", "claim_support>=0.4")
    assert again.returncode == 0, again.stderr
    report = json.loads(again.stdout)
    assert (report["state"], report["gates"][0]["passed"], report["summaries"][0]["n"]) == ("done", True, 2)
    seen = suite.atelier("evaluate", "--tenant", "acme", "--run", report["runId"])
    assert report["runId"] in seen.stdout


def test_services_that_were_killed_come_back_and_lose_nothing(suite: Suite) -> None:
    before = suite.http.get("/v1/profiles/anna/events").json()
    server = next(p for p in psutil.Process(suite.process.pid).children() if "serve" in p.cmdline())
    for process in [server, *server.children(recursive=True)]:
        process.kill()
    suite.wait_until(lambda: suite.http.get("/v1/offers").status_code == 200, 90)
    assert suite.http.get("/v1/profiles/anna/events").json() == before


def test_stopping_stops_everything_it_started(suite: Suite) -> None:
    family = psutil.Process(suite.process.pid).children(recursive=True)
    assert len(family) > 3
    suite.process.send_signal(signal.SIGINT)
    assert suite.process.wait(60) == 0
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert RunFolder(suite.folder).running() is None
    status = suite.atelier("status")
    assert (status.returncode, "nothing runs" in status.stdout) == (1, True)


def test_after_a_kill_the_next_up_clears_what_was_left_and_keeps_what_was_stored(suite: Suite) -> None:
    again = Suite(suite.folder)
    event = {"eventId": "k1", "profileId": "kai", "type": "visit", "time": "2026-01-01T00:00:00Z"}
    assert again.http.post("/v1/events", json=event).json()["stored"] == 1
    orphans = psutil.Process(again.process.pid).children(recursive=True)
    again.process.kill()
    again.process.wait()
    third = Suite(suite.folder)
    try:
        ours = [p for p in orphans if p.is_running() and "postgres" not in p.name() and p.status() != "zombie"]
        assert not ours
        assert third.http.get("/v1/profiles/kai/events").json()["events"][0]["eventId"] == "k1"
    finally:
        third.process.send_signal(signal.SIGTERM)
        assert third.process.wait(60) == 0
