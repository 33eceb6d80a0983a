"""Real product names to embed and to search: The Complete Journey's product table."""

import duckdb

from services.demo.sources import open_sources


def product_sentences(count: int) -> list[str]:
    """Distinct sentences about products, in a fixed order."""
    connection: duckdb.DuckDBPyConnection = open_sources()
    with connection:
        rows = connection.execute(
            "SELECT DISTINCT product_name, category, department, brand FROM item "
            "WHERE product_name IS NOT NULL AND category IS NOT NULL ORDER BY ALL"
        ).fetchall()
    sentences = [f"{name}, {category}, {department}, {brand} brand" for name, category, department, brand in rows]
    return [f"{sentences[i % len(sentences)]}{'' if i < len(sentences) else f', pack {i}'}" for i in range(count)]
