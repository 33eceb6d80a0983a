"""Files that are there whole or not at all."""

from pathlib import Path


def replace_file(path: Path, data: bytes) -> None:
    """Write a file beside its place and put it there in one step: a reader sees the old one or the new one."""
    staged = path.with_name(f".{path.name}.part")
    staged.write_bytes(data)
    staged.replace(path)
