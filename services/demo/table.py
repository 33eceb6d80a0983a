"""The demo's answer on a terminal: one card a household, what was known of it, what was offered, what was written."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from services.demo.story import Pick
from shared.contracts.base import Money
from shared.contracts.catalog import Asset, Discount, Offer
from shared.contracts.generation import Copy, GenerateAnswer, Variant

WIDTH = 120
_KNOWN_WIDTH = 40
_LABEL_WIDTH = 9
_SHOWN_FACTS = 4
_SOURCES = {
    "model": ("written by", "green"),
    "repaired": ("repaired by", "yellow"),
    "template": ("approved copy", "cyan"),
}


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One household's row: who and why, what may be said of it, what came back and how long it took.

    `facts` are the texts of the facts that may be spoken, the weightiest first; empty where nothing may be used.
    """

    pick: Pick
    facts: Sequence[str]
    answer: GenerateAnswer
    seconds: float


def card(number: int, row: Shown, offers: Mapping[str, Offer], assets: Mapping[str, Asset]) -> Panel:
    """One household's card; it may be printed as soon as the answer is there."""
    title = Text.assemble((f" {number:>2} ", "bold reverse"), "  ", (row.pick.role, "bold white"),
                          ("  ·  ", "dim"), (row.pick.profile_id, "dim"), " ")  # fmt: skip
    columns = Table.grid(padding=(0, 2))
    columns.add_column(width=_KNOWN_WIDTH)
    columns.add_column(width=WIDTH - _KNOWN_WIDTH - 8)
    columns.add_row(_known(row), _written(row, offers, assets))
    return Panel(columns, title=title, title_align="left", subtitle=_footer(row), subtitle_align="right", width=WIDTH,
                 box=box.ROUNDED, border_style="grey50", padding=(0, 1))  # fmt: skip


def _known(row: Shown) -> RenderableType:
    facts = Table.grid(padding=(0, 1))
    for fact in row.facts[:_SHOWN_FACTS]:
        facts.add_row("•", Text(fact))
    return Group(
        Text("picked because", style="dim"),
        Text(row.pick.why),
        Text(),
        Text("may be used", style="dim"),
        facts if row.facts else Text("nothing", style="yellow"),
    )


def _written(row: Shown, offers: Mapping[str, Offer], assets: Mapping[str, Asset]) -> RenderableType:
    parts = [_copy(copy, offers, assets) for copy in row.answer.copies]
    if not parts:
        reasons = ", ".join(row.answer.degraded) or "no offer fits"
        return Text.assemble(("nothing was sent  ", "bold yellow"), (reasons, "dim"))
    return Group(*parts)


def _copy(copy: Copy, offers: Mapping[str, Offer], assets: Mapping[str, Asset]) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=_LABEL_WIDTH, style="dim")
    grid.add_column(ratio=1)
    offer = offers.get(copy.offer_id)
    grid.add_row("offer", Text.assemble((offer.name if offer else copy.offer_id, "bold"),
                                        (f"  {worth(offer.discount) if offer else ''}", "green")))  # fmt: skip
    grid.add_row("picture", _picture(copy.asset_id, assets))
    for variant in copy.variants[:1]:
        for label, text, style in _sections(variant):
            grid.add_row(label, Text(text, style=style))
        grid.add_row("checked", _claims(variant))
    for reason in copy.degraded:
        grid.add_row("note", Text(reason, style="yellow"))
    return grid


def _sections(variant: Variant) -> Iterator[tuple[str, str, str]]:
    sections = variant.sections
    if sections.subject and sections.subject != sections.headline:
        yield "subject", sections.subject, ""
    yield "headline", sections.headline, "bold"
    yield "body", sections.body, ""
    yield "action", f"[ {sections.cta} ]", "bold cyan"


def _picture(asset_id: str | None, assets: Mapping[str, Asset]) -> Text:
    if asset_id is None:
        return Text("none", style="dim")
    asset = assets.get(asset_id)
    return Text(f"{asset.alt_text or asset.name}  ({asset_id})" if asset else asset_id)


def _claims(variant: Variant) -> Text:
    """What was looked at, and what an earlier draft lost by it."""
    held = sum(claim.status == "supported" for claim in variant.claims)
    text = Text(f"✓ {held} of {len(variant.claims)} claims match the record",
                style="green" if held == len(variant.claims) else "bold red")  # fmt: skip
    if variant.claims:
        kinds = ", ".join(dict.fromkeys(claim.kind for claim in variant.claims))
        text.append(f"  {kinds}", style="dim")
    if variant.rejected:
        thrown = ", ".join(f"“{claim.text}”" for claim in variant.rejected[:2])
        text.append(f"\n✗ thrown out of a draft: {thrown}", style="yellow")
    return text


def _footer(row: Shown) -> Text:
    variants = [variant for copy in row.answer.copies for variant in copy.variants[:1]]
    text = Text(" ")
    for variant in variants[:1]:
        words, style = _SOURCES[variant.source]
        by = "" if variant.source == "template" else f" {variant.model_version}"
        text.append(f"{words}{by}", style=style)
        text.append("  ·  ", style="dim")
    text.append(f"{row.seconds:.1f} s ", style="dim")
    return text


def worth(discount: Discount) -> str:
    """What a discount gives, for a person's eye: "$0.50 off", "30 % off"."""
    if discount.value is None or discount.kind not in {"percent", "amount", "fixed_price"}:
        return "" if discount.kind == "none" else discount.kind.replace("_", " ")
    if discount.kind == "percent":
        return f"{discount.value.normalize():f} % off"
    shown = _money(Money(amount=discount.value, currency=discount.currency or "USD"))
    return f"{shown} off" if discount.kind == "amount" else f"for {shown}"


def _money(money: Money) -> str:
    return f"${money.amount:.2f}" if money.currency == "USD" else f"{money.amount:.2f} {money.currency}"


def summary(rows: Sequence[Shown], refusals: Mapping[str, int]) -> RenderableType:
    """The last lines, below the cards: totals, and whose statement the consents are (how many refuse which purpose)."""
    return Group(_totals(rows), _consent_note(refusals))


def _totals(rows: Sequence[Shown]) -> Text:
    variants = [variant for row in rows for copy in row.answer.copies for variant in copy.variants[:1]]
    claims = [claim for variant in variants for claim in variant.claims]
    written = sum(variant.source != "template" for variant in variants)
    held = sum(claim.status == "supported" for claim in claims)
    return Text.assemble(
        (f" {len(rows)} households", "bold"), f"  ·  {len(variants)} offers written, {written} by the model, ",
        f"{len(variants) - written} from approved copy  ·  {held} of {len(claims)} claims match the record",
    )  # fmt: skip


def _consent_note(refusals: Mapping[str, int]) -> Text:
    said = ", ".join(f"{count} refuse {purpose}" for purpose, count in refusals.items())
    return Text(f" The data set has no consents: the demo states them itself ({said}; all others agree).", style="dim")
