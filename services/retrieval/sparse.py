"""Sparse vectors: BM25 over pieces of words of four letters; the engine adds the inverse document frequency.

Pieces find what whole stemmed words do not: compounds ("monarchbutterfly"), inflections of any language, typing errors
(McNamee and Mayfield 2004). Measured against Qdrant's English words in docs/retrieval-quality.md.
"""

import re
import unicodedata

import qdrant_edge as qe

from services.retrieval.vectors.protocol import Sparse

# Part of the index's version: vectors of different rules are never compared.
VERSION = "pieces-1"
_SIZE = 4
# Ideographs and kana, written without spaces, are words of one character.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")
# Texts here are short: length counts little, and an average one has about 64 pieces.
_BM25 = qe.Bm25(qe.Bm25Config(
    b=0.3, avg_len=64.0, tokenizer=qe.TokenizerType.Whitespace, lowercase=False, stemmer=qe.DisabledStemmer(),
    stopwords=qe.StopwordsSet(set(), set()),
))  # fmt: skip
_RARE = 10.0


def pieces(text: str) -> list[str]:
    """Every four neighbouring letters of every word between marks of its ends, without case and accents.

    "Café" -> "^caf", "cafe", "afe$"; a word of one letter or two is one piece.
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    marked = [f"^{word}$" for word in _WORD.findall(plain)]
    return [word[start : start + _SIZE] for word in marked for start in range(max(len(word) - _SIZE + 1, 1))]


def of_document(text: str) -> Sparse:
    """Term weights of a stored text."""
    vector = _BM25.embed_document(" ".join(pieces(text)))
    return Sparse(indices=list(vector.indices), values=list(vector.values))


def of_query(text: str) -> Sparse:
    """Each term of a query, once."""
    vector = _BM25.embed_query(" ".join(pieces(text)))
    return Sparse(indices=list(vector.indices), values=list(vector.values))


def full_score(query: Sparse) -> float:
    """About what a text scores that holds the whole query in words that hardly another one has.

    An inverse document frequency of 10 is that of a word in one of 20,000 texts. Weak lists stay weak by it: scaled by
    their own best score, as min-max does, one chance match counts as much as a perfect one.
    """
    return _RARE * sum(query.values)
