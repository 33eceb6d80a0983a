"""Did the words of texts move? The classifier of `multivariate` on how much of each text each word is. Pure, seeded.

Words of one text come together, so a test over counts of words would see drift in chatter; here a text is one row. The
words that changed most are named only where many texts have them, so that no customer's own word is.
"""

import math

import numpy as np

from services.training.drift import multivariate
from services.training.drift.errors import UntestableError
from services.training.drift.types import FloatArray, Tested

WORDS = 500  # the most frequent of both windows
LEAST_TEXTS = 5  # that have a word, for it to count
NAMED_TEXTS, NAMED = 20, 5
_SURE = 4.0  # standard errors, for a word to be named


def words(
    reference: list[str], current: list[str], *, seed: int = 0, permutations: int = multivariate.PERMUTATIONS
) -> tuple[Tested, list[str]]:
    """The test of two lists of texts, and in words which words became rarer or more frequent.

    Inputs of the classifier are TF-IDF of words (two letters or more, lower case) and the logarithm of the number of words;
    a missing text is given as an empty one. Statistic and effect are those of `multivariate.classifier`.

    Raises:
        UntestableError: no word is in enough texts.
    """
    rows = multivariate.ROWS
    draw = np.random.default_rng(seed)
    parts = [_some(texts, rows, draw) for texts in (reference, current)]
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer  # seconds, for texts alone

    counter = CountVectorizer(max_features=WORDS, min_df=LEAST_TEXTS)
    try:
        counts = counter.fit_transform(parts[0] + parts[1])
    except ValueError as error:
        raise UntestableError(f"no word is in {LEAST_TEXTS} texts of both windows together") from error
    weights = TfidfTransformer().fit_transform(counts).toarray()
    length = np.log1p(
        np.array([text.count(" ") + bool(text.strip()) for text in parts[0] + parts[1]], dtype=np.float64)
    )
    spread = float(length.std())
    scaled = (length - length.mean()) / spread * float(weights.std(axis=0).max()) if spread > 0 else length * 0.0
    x: FloatArray = np.column_stack([weights, scaled])
    n = len(parts[0])
    found = multivariate.classifier(x[:n], x[n:], seed=seed, permutations=permutations, standardise=False)
    has = np.asarray((counts > 0).astype(np.float64).toarray())
    return found, _named(counter.get_feature_names_out().tolist(), has[:n], has[n:])


def _some(texts: list[str], rows: int, draw: np.random.Generator) -> list[str]:
    if len(texts) <= rows:
        return texts
    return [texts[k] for k in draw.choice(len(texts), rows, replace=False)]


def _named(names: list[str], has: FloatArray, has_now: FloatArray) -> list[str]:
    """The words whose share of texts moved most, surely, and that are in enough texts to name them."""
    n, m = len(has), len(has_now)
    share, share_now = has.mean(axis=0), has_now.mean(axis=0)
    both = (has.sum(axis=0) + has_now.sum(axis=0)) / (n + m)
    error = np.sqrt(np.maximum(both * (1 - both), 1e-12) * (1 / n + 1 / m))
    often = np.maximum(has.sum(axis=0), has_now.sum(axis=0)) >= NAMED_TEXTS
    moved = np.where(often, np.abs(share_now - share) / error, 0.0)
    order = [k for k in np.argsort(-moved, kind="stable")[:NAMED] if moved[k] > _SURE and math.isfinite(moved[k])]
    return [f"{names[k]!r} in {share[k]:.1%} of texts before, {share_now[k]:.1%} now" for k in order]
