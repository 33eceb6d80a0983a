"""Scorers made of trees: a LightGBM model over one row an offer, run as machine code where a C compiler is there.

LightGBM walks 500 rows through 100 trees in 0.9 ms; compiled by tl2cgen the same trees take 0.25 ms (`make bench
ARGS=trees`). Compiling takes seconds, so it happens beside serving; the compiled trees take over only when
they agree with LightGBM to the last bit on probes, so a replay need not know which of the two decided.

LightGBM's reader ends the process on some damaged models. No model is loaded here that was not looked at (`trees_text`)
and tried in another process (`trees_trial`) before; each process keeps the verdict by the model's hash.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import structlog

from services.decisions.errors import BadModelError
from services.decisions.rules import is_field
from services.decisions.trees_text import fault
from services.decisions.trees_trial import probes
from shared.contracts.base import FieldError
from shared.contracts.policies import CONTEXT_INPUTS, ScorerModel

FloatArray = npt.NDArray[np.float64]
Column = Callable[[str], list[Any]]
_COMPILER = "gcc"
_ROOT = Path(__file__).resolve().parents[2]
_TRIAL_SECONDS = 60
_TOO_SLOW = f"could not be tried within {_TRIAL_SECONDS} s"
_OFFER = "offer."
_verdicts: dict[str, str] = {}  # SHA-256 of a model's text -> what is wrong with it
_MOST_VERDICTS = 1000

log = structlog.get_logger()


class TreesBody(msgspec.Struct, forbid_unknown_fields=True):
    """LightGBM text models of the probability of success: when the offer is made, and when it is not."""

    model: str
    control: str | None = None


class Forest:
    """One model: `columns` are its inputs' names, `predict` takes shape (k, c), NaN for missing, and gives (k,) in [0, 1]."""

    def __init__(self, text: str) -> None:
        import lightgbm

        self._booster = lightgbm.Booster(model_str=text)
        self.columns: list[str] = self._booster.feature_name()
        self._compiled: Callable[[FloatArray], FloatArray] | None = None

    def predict(self, rows: FloatArray) -> FloatArray:
        """The probability of every row."""
        return self.interpreted(rows) if self._compiled is None else self._compiled(rows)

    def interpreted(self, rows: FloatArray) -> FloatArray:
        """By LightGBM itself; one thread, so that sums are always taken in the same order."""
        return np.asarray(self._booster.predict(rows, num_threads=1), dtype=np.float64)

    @property
    def is_compiled(self) -> bool:
        """Do compiled trees answer?"""
        return self._compiled is not None

    def compile(self) -> None:
        """Make machine code of the trees; without a compiler, or where it would differ in a bit, nothing changes."""
        if shutil.which(_COMPILER) is None:
            return
        import tl2cgen
        import treelite

        try:
            with tempfile.TemporaryDirectory(prefix="atelier-trees-") as folder:
                library = Path(folder) / "trees.so"  # may go once it is loaded
                model = treelite.frontend.from_lightgbm(self._booster)
                tl2cgen.export_lib(model, toolchain=_COMPILER, libpath=library, params={})
                predictor = tl2cgen.Predictor(library, nthread=1)
        except (treelite.TreeliteError, tl2cgen.TL2cgenError, OSError, RuntimeError) as error:
            log.warning("decisions.trees_not_compiled", kind=type(error).__name__, detail=str(error)[:200])
            return

        def run(rows: FloatArray) -> FloatArray:
            found = predictor.predict(tl2cgen.DMatrix(rows, dtype="float64"))
            return np.asarray(found, dtype=np.float64).reshape(len(rows))

        rows = probes(len(self.columns))
        if np.array_equal(run(rows), self.interpreted(rows)):
            self._compiled = run
        else:
            log.warning("decisions.trees_differ", columns=len(self.columns))


@lru_cache(maxsize=16)
def forest(text: str) -> Forest:
    """A model's trees, loaded once a process; compiled in the background."""
    made = Forest(text)
    threading.Thread(target=made.compile, name="compile-trees", daemon=True).start()
    return made


def read_trees(model: ScorerModel) -> TreesBody:
    """The body of a model of trees, checked.

    Raises:
        BadModelError: not LightGBM's text format, damaged, not of a probability, an input that nothing provides, or
            LightGBM is not installed.
    """
    try:
        body = msgspec.convert(model.body, TreesBody)
    except msgspec.ValidationError as error:
        raise BadModelError(f"body: {error}", errors=[FieldError(field="body", message=str(error))]) from error
    _check("body.model", body.model)
    if body.control is not None:
        _check("body.control", body.control)
    return body


def _check(field: str, text: str) -> None:
    key = hashlib.sha256(text.encode()).hexdigest()
    message = _verdicts.get(key)
    if message is None:
        message = fault(text) or _tried(text)
        if len(_verdicts) >= _MOST_VERDICTS:
            _verdicts.clear()
        if message != _TOO_SLOW:  # that is the machine's fault, today
            _verdicts[key] = message
    if message:
        raise BadModelError(f"{field}: {message}", errors=[FieldError(field=field, message=message)])


def _tried(text: str) -> str:
    """What is wrong with a model that looks sound: it is loaded and asked where it can break nothing."""
    if find_spec("lightgbm") is None:
        return "needs LightGBM: install the extra 'trees'"
    command = [sys.executable, "-m", "services.decisions.trees_trial"]
    try:
        done = subprocess.run(  # noqa: S603  (our own module, the model comes by its standard input)
            command, input=text, capture_output=True, text=True, check=False, timeout=_TRIAL_SECONDS, cwd=_ROOT
        )
    except subprocess.TimeoutExpired:
        return _TOO_SLOW
    if done.returncode:
        said = done.stderr.strip().splitlines()
        why = (
            f"LightGBM ended with signal {-done.returncode}"
            if done.returncode < 0
            else said[-1]
            if said
            else "it failed"
        )
        return f"cannot be loaded: {why[:200]}"
    return _wrong_columns(json.loads(done.stdout))


def _wrong_columns(columns: Sequence[str]) -> str:
    unknown = [name for name in columns if name not in CONTEXT_INPUTS and not is_field(name.partition("=")[0])]
    return f"reads {', '.join(unknown[:5])}, which nothing provides" if unknown else ""


class Rows:
    """The input of one forest for a list of offers: what is of the offer stands, what is of the moment is filled in."""

    def __init__(self, trees: Forest, features: Sequence[str], offers: int, column: Column) -> None:
        self.trees = trees
        self._rows = np.full((offers, len(trees.columns)), np.nan)
        place = {name: n for n, name in enumerate(features)}
        taken = [(n, place[name]) for n, name in enumerate(trees.columns) if name in place]
        self._to, self._from = [n for n, _ in taken], [n for _, n in taken]
        for n, name in enumerate(trees.columns):
            if name.startswith(_OFFER):
                self._rows[:, n] = _offer_column(name, column)

    def predict(self, x: FloatArray) -> FloatArray:
        """The probability of every offer for one context, shape (d,); an input the policy does not list is missing."""
        rows = self._rows.copy()
        rows[:, self._to] = x[self._from]
        return self.trees.predict(rows)


def _offer_column(name: str, column: Column) -> FloatArray:
    """One input of all offers: a number, or for "field=value" whether the field is (or holds) the value."""
    field, asked, wanted = name.partition("=")
    values = column(field)
    if not asked:
        return np.array([float(v) if isinstance(v, int | float) else np.nan for v in values])
    return np.array([float(wanted in v if isinstance(v, list) else str(v) == wanted) for v in values])
