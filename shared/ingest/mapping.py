"""The mapping file: how a foreign file's columns become ours."""

from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
import yaml

from shared.ingest.errors import MappingError


class Mapping(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True):
    """All keys are optional, see docs/data-formats.md.

    `columns` renames (foreign -> ours, dots reach into nested fields), `constants` are set on every row, `defaults`
    only where a row has nothing, `values` translate single values per (our) field, `ignore` drops foreign columns.
    """

    columns: dict[str, str] = {}
    constants: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    values: dict[str, dict[str, Any]] = {}
    ignore: list[str] = []
    time_zone: str = "UTC"
    date_formats: list[str] = []
    decimal_comma: bool = False
    list_separator: Annotated[str, msgspec.Meta(min_length=1, max_length=3)] = "|"
    delimiter: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] | None = None
    encoding: str = "utf-8"


def load_mapping(source: Path | str | None) -> Mapping:
    """Read a mapping from a file, from YAML text, or the empty mapping for None.

    Raises:
        MappingError: not YAML, an unknown key, a wrong type, an unknown time zone or encoding.
    """
    if source is None:
        return Mapping()
    text = source
    if isinstance(source, Path):
        try:
            text = source.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            message = f"mapping file {source.name}: {error}"
            raise MappingError(message) from error
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(str(text), Loader=yaml.SafeLoader)):
            raise MappingError("mapping: YAML aliases (*name) are not allowed")  # nested ones grow without bound
        mapping = msgspec.yaml.decode(str(text), type=Mapping)
        ZoneInfo(mapping.time_zone)
        if " ,;\n".encode(mapping.encoding) != b" ,;\n":
            message = f"encoding: {mapping.encoding!r} cannot be read line by line; save the file as UTF-8"
            raise MappingError(f"mapping: {message}")
    except msgspec.ValidationError as error:
        allowed = ", ".join(field.encode_name for field in msgspec.structs.fields(Mapping))
        message = f"mapping: {error}; allowed keys: {allowed}"
        raise MappingError(message) from error
    except (msgspec.DecodeError, yaml.YAMLError, KeyError, ValueError, LookupError) as error:
        message = f"mapping: {error}"
        raise MappingError(message) from error
    return mapping
