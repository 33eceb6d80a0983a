"""Diversity: do the samples of a run say different things? Pure and vectorised.

Similarity is the cosine of counts of words and word pairs. distinct-2: Li et al., NAACL 2016.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse

from services.evaluation.scores import Score, abstained, similarity
from services.evaluation.wording import words

_ROWS = 512
FloatArray = npt.NDArray[np.float64]


def diversity(texts: Sequence[str]) -> tuple[list[Score], dict[str, float]]:
    """For each text 1 - the largest similarity to another one; for all: distinct-2 and 1 - the mean pairwise similarity.

    Costs O(n^2) products of sparse rows, a block of rows at a time. One text alone is like nothing: it abstains.
    """
    counts, pairs, kinds = _counts(texts)
    figures = {"distinct2": kinds / pairs} if pairs else {}
    if len(texts) < 2:  # noqa: PLR2004
        return [abstained("too_few_samples") for _ in texts], figures
    largest, total = _similarities(counts)
    scores = [similarity(1.0 - float(value)) for value in largest]
    count = len(texts) * (len(texts) - 1)
    return scores, figures | {"meanDistance": float(np.clip(1.0 - total / count, 0.0, 1.0))}


def _counts(texts: Sequence[str]) -> tuple[sparse.csr_array, int, int]:
    """Unit rows of counts (n, terms); how many word pairs there are, and how many different ones."""
    index: dict[tuple[str, ...], int] = {}
    rows: list[int] = []
    columns: list[int] = []
    pairs = 0
    for row, text in enumerate(texts):
        said = words(text)
        two = list(itertools.pairwise(said))
        pairs += len(two)
        for term in [*((word,) for word in said), *two]:
            rows.append(row)
            columns.append(index.setdefault(term, len(index)))
    shape = (len(texts), max(len(index), 1))
    made = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)
    made.sum_duplicates()
    norms = np.sqrt(made.multiply(made).sum(axis=1))
    scale = sparse.diags_array(1.0 / np.maximum(norms, 1e-12))
    return sparse.csr_array(scale @ made), pairs, sum(len(term) > 1 for term in index)


def _similarities(unit: sparse.csr_array) -> tuple[FloatArray, float]:
    """The largest similarity of each row to another one, and the sum over all ordered pairs."""
    n = unit.shape[0]
    largest, total = np.zeros(n), 0.0
    other = unit.T.tocsr()
    for start in range(0, n, _ROWS):
        block = (unit[start : start + _ROWS] @ other).toarray()
        own = np.arange(len(block))
        block[own, own + start] = 0.0
        total += float(block.sum())
        largest[start : start + len(block)] = block.max(axis=1)
    return largest, total
