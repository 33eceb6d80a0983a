"""Importing files: CSV, JSONL and Parquet in, contracts out, every bad row reported, none of the good ones lost."""
