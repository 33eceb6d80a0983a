"""Pictures from strangers: what is taken in, in which shape, and what is refused with which words."""

import asyncio
import base64
import hashlib
import resource
import zlib
from pathlib import Path

import pytest
from PIL import Image

from services.retrieval import images, svg
from services.retrieval.errors import ImageTooLargeError, NotAnImageError, UnsafeSvgError
from services.retrieval.images import Limits, Normaliser, Picture, normalise
from services.retrieval.store import PictureStore
from tests.retrieval import nasty
from tests.retrieval.nasty import opened, png, save

LIMITS = Limits(max_bytes=2_000_000, max_pixels=40_000_000)
ROW = b"\0" * 41


def taken(data: bytes) -> Picture:
    return normalise(data, LIMITS)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF"])
def test_every_format_becomes_webp_named_by_its_content(form: str) -> None:
    picture = taken(save(Image.new("RGB", (300, 200), "red"), form))
    assert opened(picture.data).format == "WEBP"
    assert (picture.width, picture.height) == (300, 200) == opened(picture.data).size
    assert picture.image_hash == hashlib.sha256(picture.data).hexdigest()


def test_a_large_picture_is_shrunk_in_proportion() -> None:
    picture = taken(save(Image.new("RGB", (4000, 1000), "red"), "JPEG"))
    assert (picture.width, picture.height) == (1024, 256)


def test_transparency_is_kept() -> None:
    picture = opened(taken(save(Image.new("RGBA", (20, 20), (255, 0, 0, 0)), "PNG")).data)
    assert picture.mode == "RGBA"
    assert picture.getpixel((5, 5))[3] == 0  # type: ignore[index]


def test_a_palette_with_a_transparent_colour_becomes_transparent() -> None:
    picture = opened(taken(save(Image.new("P", (20, 20)), "PNG", transparency=0)).data)
    assert picture.convert("RGBA").getpixel((5, 5))[3] == 0  # type: ignore[index]


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    picture = opened(taken(save(Image.new("I;16", (20, 20), 0x8000), "PNG")).data)
    assert abs(picture.convert("L").getpixel((5, 5)) - 0x80) <= 2  # type: ignore[operator]


def test_exif_rotation_is_applied_and_metadata_dropped() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera's owner"
    picture = taken(save(Image.new("RGB", (400, 200), "red"), "JPEG", exif=exif))
    assert (picture.width, picture.height) == (200, 400)
    assert not opened(picture.data).getexif()
    assert b"camera" not in picture.data


@pytest.mark.parametrize("form", ["GIF", "WEBP"])
def test_an_animation_becomes_its_first_frame(form: str) -> None:
    frames = [Image.new("RGB", (50, 50), colour) for colour in ("red", "blue")]
    data = save(frames[0], form, save_all=True, append_images=frames[1:], duration=100)
    assert opened(data).n_frames == 2  # type: ignore[attr-defined]
    picture = opened(taken(data).data)
    assert getattr(picture, "n_frames", 1) == 1
    red, _, blue = picture.convert("RGB").getpixel((25, 25))  # type: ignore[misc]
    assert red > 240
    assert blue < 15


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"\x89PNG\r\n\x1a\nthis is text", b"%PDF-1.7", b"GIF89a", b"RIFF\x04\0\0\0WEBP", b"\xff\xd8\xff",
     b"\0" * 5000, save(Image.new("RGB", (5, 5)), "BMP"), save(Image.new("RGB", (5, 5)), "TIFF")],
    ids=["empty", "text", "text as png", "pdf", "gif head", "webp head", "jpeg head", "zeros", "bmp", "tiff"],
)  # fmt: skip
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(NotAnImageError) as refused:
        taken(data)
    assert refused.value.status == 422
    assert "allowed are PNG" in refused.value.detail or "empty" in refused.value.detail or "broken" in str(refused)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_truncated_picture_is_refused(form: str) -> None:
    noise = Image.effect_noise((200, 200), 80).convert("RGB")
    data = save(noise, form)
    with pytest.raises(NotAnImageError):
        taken(data[: len(data) // 2])


@pytest.mark.parametrize(
    "data",
    [png(60_000, 60_000), png(20_000, 20_000), nasty.webp_claiming(16_383, 16_383),
     nasty.webp_claiming(10_000, 10_000),
     nasty.gif_claiming(65_000, 65_000, screen=(65_000, 65_000)), nasty.gif_claiming(65_000, 65_000, screen=(10, 10))],
    ids=["png 3,600 MP", "png 400 MP", "webp 268 MP", "webp 100 MP", "gif screen", "gif frame larger than its screen"],
)  # fmt: skip
def test_a_header_that_claims_too_many_pixels_is_refused_before_decoding(data: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ImageTooLargeError) as refused:
        taken(data)
    assert refused.value.status == 413
    assert "40,000,000" in refused.value.detail
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB; decoded it would be gigabytes


def test_more_bytes_than_allowed_are_refused_unread() -> None:
    with pytest.raises(ImageTooLargeError, match="3 bytes; allowed are 2"):
        normalise(b"abc", Limits(max_bytes=2, max_pixels=1))


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP"])
def test_a_packed_text_bomb_inside_a_png_is_refused(kind: bytes) -> None:
    bomb = nasty.chunk(kind, b"a\0\0" + zlib.compress(b"\0" * 100_000_000, 9))
    with pytest.raises(NotAnImageError, match="too large"):
        taken(png(10, 10, pixels=ROW * 10, extra=bomb))


def test_packed_pixels_beyond_the_header_are_not_unpacked() -> None:
    assert taken(png(10, 10, pixels=b"\0" * 100_000_000)).width == 10


def test_an_svg_is_drawn() -> None:
    picture = taken(
        b'<?xml version="1.0" encoding="UTF-8"?>\n' + nasty.svg('<rect width="100" height="50" fill="red"/>')
    )
    assert (picture.width, picture.height) == (1024, 512)
    red, green, _ = opened(picture.data).convert("RGB").getpixel((500, 250))  # type: ignore[misc]
    assert red > 240
    assert green < 15


@pytest.mark.parametrize(
    "body",
    ["<script>alert(1)</script>", '<rect onload="x()"/>', '<g ONCLICK="x()"/>', "<foreignObject/>",
     '<image href="/etc/passwd"/>', '<image xlink:href="http://elsewhere.test/a.png"/>', '<use href="other.svg#a"/>',
     '<a href="javascript:alert(1)"/>', '<set attributeName="href" to="javascript:alert(1)"/>',
     '<rect fill="url(http://elsewhere.test/a)"/>', "<rect style=\"fill:url('//elsewhere.test/a')\"/>",
     '<style>@import "a.css";</style>', "<style>rect{fill:\\75rl(a)}</style>",
     '<image href="data:image/svg+xml;base64,AAAA"/>', '<filter><feImage href="file:///etc/passwd"/></filter>',
     "<?xml-stylesheet href='a.css'?>", "<g>" * 200 + "</g>" * 200, "<g/>" * 20_001],
)  # fmt: skip
def test_an_svg_that_could_act_or_reach_out_is_refused(body: str) -> None:
    with pytest.raises(UnsafeSvgError) as refused:
        taken(nasty.svg(body))
    assert refused.value.status == 422


@pytest.mark.parametrize("entity", ['"b"', 'SYSTEM "file:///etc/passwd"'])
def test_an_svg_with_entities_is_refused(entity: str) -> None:
    with pytest.raises(UnsafeSvgError, match="DOCTYPE"):
        taken(f"<!DOCTYPE svg [<!ENTITY a {entity}>]>".encode() + nasty.svg("<text>&a;</text>"))


@pytest.mark.parametrize(
    "data",
    [b"<html><body/></html>", b"<svg", nasty.svg("<rect/>", 'width="0" height="0"'), b"\x1f\x8b\x08packed",
     "<svg/>".encode("utf-16"), b"<svg \xff/>"],
    ids=["html", "cut off", "no size", "gzip", "utf-16", "invalid utf-8"],
)  # fmt: skip
def test_markup_that_is_no_drawable_svg_is_refused(data: bytes) -> None:
    with pytest.raises(NotAnImageError):
        taken(data)


def test_harmless_references_inside_an_svg_are_taken() -> None:
    body = (
        '<defs><linearGradient id="g"><stop stop-color="red"/></linearGradient><g id="a"/></defs>'
        '<style>rect{fill:url(#g)}</style><rect width="9" height="9"/><use href="#a"/>'
        f'<image width="9" height="9" href="data:image/png;base64,{base64.b64encode(nasty.photo()).decode()}"/>'
    )
    assert taken(nasty.svg(body)).width == 1024


def test_an_svg_that_needs_too_much_memory_or_time_ends_with_its_own_process() -> None:
    bomb = base64.b64encode(png(30_000, 30_000, pixels=bytes(1000))).decode()
    with pytest.raises(NotAnImageError, match="memory or time"):
        taken(nasty.svg(f'<image width="9" height="9" href="data:image/png;base64,{bomb}"/>'))
    slow = (
        '<filter id="f"><feTurbulence numOctaves="100000000"/></filter><rect width="90" height="40" filter="url(#f)"/>'
    )
    with pytest.raises(NotAnImageError, match=r"memory or time|longer than"):
        taken(nasty.svg(slow))


def test_a_very_tall_svg_stays_within_the_side() -> None:
    picture = taken(nasty.svg("<rect/>", 'width="1" height="1000000000"'))
    assert max(picture.width, picture.height) == svg.SIDE


async def test_no_more_pictures_are_decoded_at_once_than_there_are_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    running = most = 0
    real = images.normalise

    def counted(data: bytes, limits: Limits) -> Picture:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return real(data, limits)
        finally:
            running -= 1

    monkeypatch.setattr(images, "normalise", counted)
    take = Normaliser(LIMITS, workers=2)
    data = save(Image.effect_noise((600, 600), 80), "PNG")
    await asyncio.gather(*(take(data) for _ in range(8)))
    assert most == 2


def test_the_store_keeps_a_picture_once_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    store, picture = PictureStore(tmp_path), taken(nasty.photo())
    for _ in range(2):
        store.write("acme", picture.image_hash, picture.data)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [tmp_path / "assets" / "acme" / picture.image_hash[:2] / f"{picture.image_hash}.webp"]
    assert store.read("acme", picture.image_hash) == picture.data
    assert store.read("other", picture.image_hash) is None


@pytest.mark.parametrize(("tenant", "name"), [("../x", "a" * 64), ("acme", "../../etc/passwd"), ("acme", "A" * 64)])
def test_the_store_makes_no_path_of_strange_names(tmp_path: Path, tenant: str, name: str) -> None:
    with pytest.raises(ValueError, match="no picture"):
        PictureStore(tmp_path).path(tenant, name)
