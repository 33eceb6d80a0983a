"""The use case of generation: write, check, repair, fall back. An answer always comes, within the deadline."""

import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import structlog

from services.generation import adapters, assembly, context, rendering, scoring
from services.generation.assembly import Draft
from services.generation.errors import AdapterMissingError, ModelError, TooSlowError
from services.generation.llm import Answer, Answers, ChatModel
from services.generation.personal import Personal, personal
from services.generation.prompts import Library
from services.generation.settings import GenerationSettings
from services.generation.spelling import Speller
from shared.clients.governance import GovernanceClient
from shared.context import current
from shared.contracts.claims import Claim
from shared.contracts.generation import (
    Copy,
    LessonRequest,
    Lessons,
    Relevance,
    RelevanceRequest,
    Sections,
    TemplateList,
    Usage,
    Variant,
    VariantSource,
    WriteRequest,
)
from shared.contracts.governance import CheckReport, CheckRequest
from shared.contracts.profiles import Fact
from shared.errors import UnavailableError
from shared.telemetry import DEGRADED

_RESERVE_SECONDS = 0.05
_SEED_STEP = 7919
_MAX_SEED = 2**31 - 1

log = structlog.get_logger()


class _Work(msgspec.Struct):
    """One request while it is worked on."""

    request: WriteRequest
    facts: list[Fact]
    personal: Personal
    deadline: float
    usage: Usage
    rejected: list[Claim] = []
    degraded: list[str] = []
    repairs: int = 0
    adapter: str = ""
    without: list[str] = []

    def seconds_left(self) -> float:
        return self.deadline - time.perf_counter() - _RESERVE_SECONDS


class CopyWriter:
    """Writes checked copy."""

    def __init__(
        self, model: ChatModel, library: Library, own: GenerationSettings, governance: GovernanceClient
    ) -> None:
        self._governance = governance
        self._model = model
        self._library = library
        self._own = own
        self._prompt = library.prompts["offer_copy"]
        self._examples = self._prompt.shown()
        self._speller = Speller()
        self._adapters = adapters.read(own.generation_adapters)

    def _begin(self, request: WriteRequest) -> _Work:
        material = request.material
        facts = context.relevant(material.profile, material.offer, self._own.generation_fact_budget)
        head, product = self._prompt.head, assembly.product_of(material.offer)
        said = personal(facts, product, head.sentences, head.leads, request.seed)
        work = _Work(request, facts, said, time.perf_counter() + request.deadline_ms / 1000, Usage())
        asking = current()
        work.adapter = adapters.of(self._adapters, asking.tenant if asking else "")
        if unfit := assembly.unfit(material.offer):
            work.degraded.append(f"no_copy: {unfit}")
        return work

    def _render(self, work: _Work, violation: str) -> str:
        return rendering.render(self._prompt, work.request.material, work.facts, violation)

    def _schema(self, work: _Work) -> dict[str, Any]:
        product = assembly.product_of(work.request.material.offer)
        return self._prompt.schema(product, work.personal.lead, work.personal.sentence)

    async def write(self, request: WriteRequest) -> Copy:
        """Copy for one offer: the model's where it passes every check, else the approved template, marked as such."""
        started = time.perf_counter()
        work = self._begin(request)
        variants: list[Variant] = []
        violation = ""
        for attempt in range(request.attempts or 1 + self._own.generation_repairs):
            if work.degraded or len(variants) >= request.max_variants or work.seconds_left() <= 0:
                break
            work.repairs = attempt
            found, violation = await self._attempt(work, attempt, violation)
            known = {v.id for v in variants}
            variants += [v for v in found if v.id not in known]
        return await self._finish(work, variants, started)

    async def _attempt(self, work: _Work, attempt: int, violation: str) -> tuple[list[Variant], str]:
        """The variants of one model call that passed, best first; and what to leave out the next time."""
        seed = (work.request.seed + attempt * _SEED_STEP) % _MAX_SEED
        wanted = max(work.request.candidates or self._own.generation_candidates, work.request.max_variants)
        try:
            answers = await self._asked(work, violation, seed, wanted)
        except TooSlowError as error:
            # One that answered before is not down: its time is over, and nothing that it wrote passed.
            if not work.usage.calls:
                work.degraded.append(str(error))
            return [], ""
        except ModelError as error:
            work.degraded.append(str(error))
            return [], ""
        work.usage = Usage(
            calls=work.usage.calls + 1,
            prompt_tokens=work.usage.prompt_tokens + answers.usage.prompt_tokens,
            completion_tokens=work.usage.completion_tokens + answers.usage.completion_tokens,
        )
        try:
            return await self._select(work, answers.candidates, seed)
        except UnavailableError as error:
            work.degraded.append(f"checks_unavailable: {error.detail}")
            return [], ""

    async def _asked(self, work: _Work, violation: str, seed: int, wanted: int) -> Answers:
        """The model's answers, by the tenant's adapter; by the model as it is where the server does not have that."""
        prompt, schema = self._render(work, violation), self._schema(work)
        try:
            return await self._model.complete(
                prompt, schema, seed=seed, candidates=wanted, seconds=work.seconds_left(), adapter=work.adapter
            )
        except AdapterMissingError as error:
            work.adapter, work.without = "", [str(error)]
            return await self._model.complete(prompt, schema, seed=seed, candidates=wanted, seconds=work.seconds_left())

    async def _select(self, work: _Work, candidates: list[Answer], seed: int) -> tuple[list[Variant], str]:
        material, locale = work.request.material, work.request.locale
        product = assembly.product_of(material.offer)
        names = (product, material.brand.name)
        passed: list[tuple[float, Variant]] = []
        read, violation = self._readable(candidates, product)
        pieces = [self._assembled(work, draft) for draft, _ in read]
        for (draft, answer), sections, report in zip(read, pieces, await self._checked(work, pieces), strict=True):
            variant, bad = self._variant(work, sections, report, "repaired" if work.repairs else "model", seed)
            if bad:
                work.rejected += bad
                violation = ", ".join(sorted({claim.text for claim in bad}))
            elif unknown := self._speller.unknown(f"{draft.headline} {draft.hook}", names, locale):
                violation = violation or f"{unknown[0]!r} is not a word"
            else:
                said = [fact.text for fact in work.facts]
                passed.append((scoring.score(draft, product, said, answer.fluency), variant))
        passed.sort(key=lambda item: (-item[0], item[1].id))
        return [variant for _, variant in passed], violation

    def _readable(self, candidates: list[Answer], product: str) -> tuple[list[tuple[Draft, Answer]], str]:
        """The answers that are worth checking, and what is wrong with the first that is not."""
        read: list[tuple[Draft, Answer]] = []
        violation = ""
        for answer in candidates:
            draft = _parse(answer.text)
            problem = scoring.problem(draft, product, self._examples) if draft else "not the JSON asked for"
            if draft is None or problem:
                violation = violation or problem or ""
            else:
                read.append((draft, answer))
        return read, violation

    def _assembled(self, work: _Work, draft: Draft) -> Sections:
        request = work.request
        sentence = work.personal.sentence if self._prompt.leaves_sentence else ""
        return assembly.assemble(draft, request.material, request.channel, self._library.templates, sentence)

    async def _checked(self, work: _Work, pieces: list[Sections]) -> list[CheckReport]:
        """Governance's reports on whole pieces of copy; only the facts that were chosen count as consented.

        Raises:
            UnavailableError: it does not answer, so nothing may be served.
        """
        if not pieces:
            return []
        material = work.request.material
        profile = msgspec.structs.replace(material.profile, facts=work.facts)
        request = CheckRequest(
            material=msgspec.structs.replace(material, profile=profile, asset=None), drafts=pieces,
            channel=work.request.channel, locale=work.request.locale,
        )  # fmt: skip
        return (await self._governance.check(request)).reports

    def _variant(
        self, work: _Work, sections: Sections, report: CheckReport, source: VariantSource, seed: int
    ) -> tuple[Variant, list[Claim]]:
        """A whole piece of copy with its claims, and those of them for which it may not be served."""
        material, claims = work.request.material, report.claims
        fitted = report.channel_fit
        bad = [claim for claim in claims if claim.status != "supported"]
        bad += [
            Claim(section=rule.section or "body", text=rule.text or rule.rule, kind="rule", status="unsupported",
                  start=rule.start or 0, end=rule.end or 0, field=rule.rule, reason=rule.reason)
            for rule in report.rules if rule.severity == "block" and not rule.passed
        ]  # fmt: skip
        if report.needs_person:
            bad.append(
                Claim(section="body", text=work.request.locale, kind="rule", status="unsupported", reason=report.note)
            )
        if not fitted.fits:
            over = [name for name, length in fitted.lengths.items() if length > fitted.limits[name]]
            bad = [*bad, Claim(section=(over or ["body"])[0], text="too long", kind="condition", status="unsupported",
                               reason="does not fit the channel")]  # fmt: skip
        template = source == "template"
        prompt = self._library.template_version if template else self._prompt.version
        model = "template" if template else self._model.version(work.adapter)
        facts = [f"profile.facts.{fact.name}" for fact in self._told(work, template=template)]
        identity = msgspec.json.encode([sections, prompt, model, material.offer.offer_id, material.profile.profile_id])
        return Variant(
            id=hashlib.sha256(identity).hexdigest()[:24],
            sections=sections,
            claims=claims,
            source=source,
            channel_fit=fitted,
            seed=seed,
            model_version=model,
            prompt_version=prompt,
            context_ids=[f"offer:{material.offer.offer_id}", f"brand:{material.brand.brand_id}", *facts],
            repairs=work.repairs,
            usage=work.usage,
            rejected=[],
            passed=report.passed,
            tested=report.tested,
            warnings=[rule.rule for rule in report.rules if rule.severity == "warn" and not rule.passed],
        ), bad

    def _told(self, work: _Work, *, template: bool) -> Sequence[Fact]:
        """The facts that a piece of copy may speak of: all that the model saw, else those that code tells."""
        if template:
            return work.personal.facts[: self._prompt.leaves_sentence]
        return work.facts if "facts" in self._prompt.head.inputs else work.personal.facts

    async def _finish(self, work: _Work, variants: list[Variant], started: float) -> Copy:
        request, material = work.request, work.request.material
        if not variants:
            if not work.degraded:
                reason = "deadline" if work.seconds_left() <= 0 else "nothing the model wrote passed its checks"
                work.degraded.append(f"template_copy: {reason}")
            variants = await self._approved(work)
        work.degraded = [*work.without, *work.degraded]
        for reason in work.degraded:
            DEGRADED.labels("generation", reason.split(":")[0]).inc()
        variants = [msgspec.structs.replace(v, rejected=work.rejected, usage=work.usage) for v in variants]
        return Copy(
            offer_id=material.offer.offer_id,
            asset_id=material.asset.asset_id if material.asset else None,
            variants=variants[: request.max_variants],
            degraded=work.degraded,
            took_ms=round((time.perf_counter() - started) * 1000, 1),
        )

    async def _approved(self, work: _Work) -> list[Variant]:
        """The template copy. It passes the same checks as the model's: an offer whose own text breaks them gets none."""
        if work.degraded and work.degraded[0].startswith("no_copy"):
            return []
        personal = work.request.material.profile.personalize and bool(work.facts)
        draft = assembly.fallback(work.request.material, self._library.templates, personal=personal)
        sections = self._assembled(work, draft)
        try:
            reports = await self._checked(work, [sections])
        except UnavailableError as error:
            work.degraded.append(f"no_copy: nothing can be checked ({error.detail})")
            return []
        variant, bad = self._variant(work, sections, reports[0], "template", work.request.seed)
        if bad:
            work.rejected += bad
            work.degraded.append(f"no_copy: the approved copy would say {bad[0].text!r}, which nothing supports")
            return []
        return [variant]

    async def stream(self, request: WriteRequest) -> AsyncIterator[tuple[str, bytes]]:
        """(event, data): `token` with pieces of the unchecked draft, then one `copy` with the checked answer."""
        started = time.perf_counter()
        work = self._begin(request)
        pieces: list[str] = []
        if work.degraded:
            yield "copy", msgspec.json.encode(await self._finish(work, [], started))
            return
        try:
            async for piece in self._streamed(work):
                pieces.append(piece)
                yield "token", msgspec.json.encode({"text": piece, "draft": True})
        except ModelError as error:
            work.degraded.append(str(error))
        variants, violation = await self._picked(work, pieces)
        if not variants and not work.degraded and work.seconds_left() > 0 and self._own.generation_repairs:
            work.repairs = 1
            variants, _ = await self._attempt(work, 1, violation)
        yield "copy", msgspec.json.encode(await self._finish(work, variants, started))

    async def _streamed(self, work: _Work) -> AsyncIterator[str]:
        prompt, schema, seed = self._render(work, ""), self._schema(work), work.request.seed
        try:
            async for piece in self._model.stream(
                prompt, schema, seed=seed, seconds=work.seconds_left(), adapter=work.adapter
            ):
                yield piece
        except AdapterMissingError as error:
            work.adapter, work.without = "", [str(error)]
            async for piece in self._model.stream(prompt, schema, seed=seed, seconds=work.seconds_left()):
                yield piece

    async def _picked(self, work: _Work, pieces: list[str]) -> tuple[list[Variant], str]:
        if not pieces:
            return [], ""
        try:
            return await self._select(work, [Answer("".join(pieces))], work.request.seed)
        except UnavailableError as error:
            work.degraded.append(f"checks_unavailable: {error.detail}")
            return [], ""

    def relevance(self, request: RelevanceRequest) -> Relevance:
        """Which facts copy about an offer would be written from: for whoever groups people before anything is written."""
        about = context.topic(request.offer)
        return Relevance(
            weights=[context.weight(fact, about) for fact in request.facts],
            budget_tokens=self._own.generation_fact_budget,
        )

    def lessons(self, request: LessonRequest) -> Lessons:
        """What the model would have been asked for finished pieces, about nobody, and have had to answer."""
        prompt, templates = self._prompt, self._library.templates
        taught = [rendering.lesson(prompt, templates, piece) for piece in request.pieces]
        return Lessons(prompt_version=prompt.version, lessons=taught)

    def templates(self) -> TemplateList:
        """The approved templates and their versions."""
        return TemplateList(templates={self._library.templates.name: self._library.template_version})


def _parse(text: str) -> Draft | None:
    try:
        draft = msgspec.json.decode(text, type=Draft)
    except (msgspec.DecodeError, UnicodeError):
        return None
    return Draft(headline=neutral_text(draft.headline), hook=neutral_text(draft.hook))


def neutral_text(text: str) -> str:
    """What the model wrote, on one line; markup stays, so that the checks see it."""
    return " ".join(text.split()).strip(" \"'")
