"""Sparse vectors: Qdrant's BM25 with English stemming; the engine adds the inverse document frequency."""

import qdrant_edge as qe

from services.retrieval.vectors.protocol import Sparse

_BM25 = qe.Bm25()


def of_document(text: str) -> Sparse:
    """Term weights of a stored text."""
    vector = _BM25.embed_document(text)
    return Sparse(indices=list(vector.indices), values=list(vector.values))


def of_query(text: str) -> Sparse:
    """Each term of a query, once."""
    vector = _BM25.embed_query(text)
    return Sparse(indices=list(vector.indices), values=list(vector.values))
