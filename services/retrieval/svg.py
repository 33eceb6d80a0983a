"""SVG from strangers: read strictly, refused when it could reach beyond itself, drawn in a process of its own.

The check is a parser's, not a pattern's: expat names every element, attribute and declaration. The drawing happens in a
child process with limits on memory and time, because a small SVG can ask for any amount of either.
"""

import re
import subprocess
import sys
from xml.parsers import expat

from services.retrieval.errors import NotAnImageError, UnsafeSvgError

SIDE = 1024
_SECONDS = 10
_MAX_DEPTH = 100
_MAX_ELEMENTS = 20_000
_FORBIDDEN = {"script", "foreignobject", "iframe", "object", "embed", "audio", "video", "handler", "listener"}
_LINKS = {"href", "src", "base", "data"}
_EMBEDDED = re.compile(r"^data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]*$")
_URL = re.compile(r"url\(\s*['\"]?\s*(?!#|['\"\s])", re.IGNORECASE)
_ACTIVE_CSS = re.compile(r"@import|expression\s*\(|javascript:|\\", re.IGNORECASE)
_LENGTH = re.compile(r"^\s*([0-9.]+(?:[eE][+-]?\d+)?)\s*(?:px|pt|pc|mm|cm|in)?\s*$")
_GZIP = b"\x1f\x8b"

# The child: limits first, then one picture from standard input to standard output. argv: width, height ("" is free).
_DRAW = """
import resource, sys
for what, most in ((resource.RLIMIT_AS, 1 << 30), (resource.RLIMIT_CPU, 5), (resource.RLIMIT_FSIZE, 0)):
    try:
        resource.setrlimit(what, (most, most))
    except (ValueError, OSError):  # macOS has no limit on address space
        pass
import resvg_py
width, height = (int(side) if side else None for side in sys.argv[1:3])
drawn = resvg_py.svg_to_bytes(svg_string=sys.stdin.buffer.read().decode(), width=width, height=height)
sys.stdout.buffer.write(bytes(drawn))
"""


def looks_like_svg(data: bytes) -> bool:
    """Does it start as markup (or packed markup) rather than as a picture of pixels?"""
    return data[:512].removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<" or data[:2] == _GZIP


class _Inspector:
    """Walks one document; remembers the root's size."""

    def __init__(self) -> None:
        self._depth = 0
        self._elements = 0
        self._inside_style = False
        self.root: dict[str, str] | None = None

    def run(self, text: str) -> dict[str, str]:
        """The root's attributes.

        Raises:
            NotAnImageError: not well-formed, or no SVG.
            UnsafeSvgError: something in it could act.
        """
        parser = expat.ParserCreate(encoding="utf-8", namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype
        parser.ProcessingInstructionHandler = self._instruction
        try:
            parser.Parse(text.encode(), True)
        except expat.ExpatError as error:
            message = f"The SVG is not well-formed: {error}."
            raise NotAnImageError(message) from error
        if self.root is None:
            raise NotAnImageError("The document is empty.")
        return self.root

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > _MAX_DEPTH or self._elements > _MAX_ELEMENTS:
            message = f"The SVG has more than {_MAX_ELEMENTS} elements, or more than {_MAX_DEPTH} inside each other."
            raise UnsafeSvgError(message)
        local = _local(name)
        if self.root is None:
            if local != "svg":
                message = f"The document is <{local[:40]}>; allowed is <svg>."
                raise NotAnImageError(message)
            self.root = {_local(key): value for key, value in attributes.items()}
        if local in _FORBIDDEN:
            message = f"The SVG has a <{local}> element; allowed are shapes, text, gradients, filters and pictures."
            raise UnsafeSvgError(message)
        self._inside_style = local == "style"
        for key, value in attributes.items():
            _check_attribute(local, _local(key), value)

    def _end(self, _: str) -> None:
        self._depth -= 1
        self._inside_style = False

    def _text(self, text: str) -> None:
        if self._inside_style:
            _check_style("style", text)

    def _doctype(self, *_: object) -> None:
        raise UnsafeSvgError("The SVG has a DOCTYPE; entities and external definitions are not read. Remove it.")

    def _instruction(self, target: str, _: str) -> None:
        message = f"The SVG has a processing instruction <?{target[:40]}?>; remove it."
        raise UnsafeSvgError(message)


def _local(name: str) -> str:
    return name.rpartition(" ")[2].lower()


def _check_attribute(element: str, name: str, value: str) -> None:
    if name.startswith("on"):
        message = f"The SVG has the event attribute {name[:40]} on <{element[:40]}>; remove it."
        raise UnsafeSvgError(message)
    if name in _LINKS and value.strip() and not value.strip().startswith("#") and not _EMBEDDED.match(value.strip()):
        message = (
            f"The SVG refers to {value[:80]!r} on <{element[:40]}>; allowed are #ids of its own and embedded pictures."
        )
        raise UnsafeSvgError(message)
    _check_style(name, value)


def _check_style(where: str, value: str) -> None:
    if _URL.search(value) or (where == "style" and _ACTIVE_CSS.search(value)) or "javascript:" in value.lower():
        message = f"The SVG's {where[:40]} refers to something outside of it: {value.strip()[:80]!r}."
        raise UnsafeSvgError(message)


def _sides(root: dict[str, str]) -> tuple[str, str]:
    """The longer side at `SIDE` pixels, the other one left to the proportions."""
    width, height = (_LENGTH.match(root.get(key, "")) for key in ("width", "height"))
    if width and height:
        wide, high = float(width[1]), float(height[1])
    else:
        box = re.split(r"[\s,]+", root.get("viewbox", "").strip())
        try:
            wide, high = float(box[2]), float(box[3])
        except (IndexError, ValueError):
            wide = high = 1.0
    return (str(SIDE), "") if wide >= high else ("", str(SIDE))


def draw(data: bytes) -> bytes:
    """An SVG as PNG of `SIDE` pixels on its longer side.

    Raises:
        NotAnImageError: it is no SVG, or cannot be drawn within the limits.
        UnsafeSvgError: it has scripts, event attributes, a DOCTYPE or references to elsewhere.
    """
    if data[:2] == _GZIP:
        raise NotAnImageError("Packed (gzip) pictures are not unpacked; send the SVG itself.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"The SVG is not UTF-8: byte {data[error.start]:#04x} at position {error.start}."
        raise NotAnImageError(message) from error
    width, height = _sides(_Inspector().run(text))
    command = [sys.executable, "-I", "-c", _DRAW, width, height]
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=_SECONDS, check=False)  # noqa: S603  (no shell, fixed program)
    except subprocess.TimeoutExpired as error:
        message = f"The SVG takes longer than {_SECONDS} s to draw."
        raise NotAnImageError(message) from error
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        said = next((line[:200] for line in last if line.startswith("ValueError: ")), "")
        reason = said.removeprefix("ValueError: ").rstrip(".") or "it takes more memory or time than one picture may"
        message = f"The SVG cannot be drawn: {reason}."
        raise NotAnImageError(message)
    return done.stdout
