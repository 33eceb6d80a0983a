"""From stored copy to samples and evidence: what governance, retrieval and profiles say, asked in batches."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from typing import TypeVar

import msgspec

from services.evaluation.evidence import Evidence
from services.evaluation.metrics.registry import Part
from services.evaluation.samples import (
    Question,
    Sample,
    given_facts,
    is_by_people,
    record_lines,
    reference_of,
    sample_of,
    text_of,
)
from shared.clients.bundle import Clients
from shared.clients.http import RemoteProblemError
from shared.contracts.approval import CopyQuery, StoredCopy
from shared.contracts.catalog import Brand, Offer, OffersQuery
from shared.contracts.evaluation import EvaluationRequest
from shared.contracts.generation import Material
from shared.contracts.governance import CheckRequest
from shared.contracts.profiles import Fact, ProfileContext
from shared.contracts.retrieval import EmbedRequest, MatchPair, MatchRequest

_PAGE = 500
_AT_ONCE = 8
_TEXTS, _CHARS = 64, 8000
_CAPTION = 300
_NOT_FOUND = 404
T = TypeVar("T")
A = TypeVar("A")


class Gatherer:
    """Reads copy and asks about it, as the tenant of the task; remembers what many samples share."""

    def __init__(self, clients: Clients, question: Question) -> None:
        self._clients = clients
        self._question = question
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._people_said: dict[str, list[StoredCopy]] = {}
        self._offers: dict[str, Offer] = {}
        self._brands: dict[str, Brand] = {}

    async def ids(self, request: EvaluationRequest) -> AsyncIterator[str]:
        """The ids of all copy that a request is about."""
        query = CopyQuery(states=request.states, offer_ids=request.offer_ids, prompt_version=request.prompt_version,
                          since=request.since, limit=_PAGE)  # fmt: skip
        async for copy in self._pages(query):
            yield copy.copy_id

    async def _pages(self, query: CopyQuery) -> AsyncIterator[StoredCopy]:
        while True:
            page = await self._clients.governance.copies(query)
            for copy in page.copies:
                yield copy
            if page.cursor is None:
                return
            query = msgspec.structs.replace(query, cursor=page.cursor)

    async def samples(self, ids: Sequence[str]) -> list[Sample]:
        """These pieces of copy with what they are compared with; the ones that are gone are left out."""
        copies: list[StoredCopy] = []
        for part in _chunks(ids, _PAGE):
            copies += [copy async for copy in self._pages(CopyQuery(copy_ids=part, details=True, limit=_PAGE))]
        await self._learn(copies)
        made = []
        for copy in sorted(copies, key=lambda copy: copy.copy_id):
            material = copy.material or await self._bare(copy)
            if material is not None:
                others = self._people_said.get(copy.offer_id, [])
                made.append(sample_of(copy, material, reference_of(copy, others), self._question))
        return made

    async def texts(self, ids: Sequence[str]) -> dict[str, str]:
        """Id -> text, of those that are there, in the order of their ids."""
        found: dict[str, str] = {}
        for part in _chunks(ids, _PAGE):
            async for copy in self._pages(CopyQuery(copy_ids=part, limit=_PAGE)):
                found[copy.copy_id] = text_of(copy.sections)
        return dict(sorted(found.items()))

    async def _learn(self, copies: Sequence[StoredCopy]) -> None:
        """The offers as they are now, and what people wrote about them and approved."""
        wanted = sorted({copy.offer_id for copy in copies})
        for part in _chunks([key for key in wanted if key not in self._offers], _PAGE):
            answer = await self._clients.retrieval.offers_by_id(OffersQuery(offer_ids=part))
            self._offers |= {offer.offer_id: offer for offer in answer.offers}
        unread = [key for key in wanted if key not in self._people_said]
        self._people_said |= {key: [] for key in unread}
        for part in _chunks(unread, _PAGE):
            query = CopyQuery(states=["approved", "live"], offer_ids=part, limit=_PAGE)
            async for copy in self._pages(query):
                if is_by_people(copy):
                    self._people_said[copy.offer_id].append(copy)

    async def _bare(self, copy: StoredCopy) -> Material | None:
        """The material of copy that was stored without any: the offer as it is now, and nobody in particular."""
        offer = self._offers.get(copy.offer_id)
        if offer is None:
            return None
        if offer.brand_id not in self._brands:
            self._brands[offer.brand_id] = await self._clients.retrieval.brand(offer.brand_id)
        nobody = ProfileContext(profile_id="anonymous", known=False, personalize=False, contactable=False, reason=None,
                                locale=copy.locale, time_zone=offer.time_zone)  # fmt: skip
        return Material(profile=nobody, offer=offer, brand=self._brands[offer.brand_id])

    async def evidence(self, samples: Sequence[Sample], parts: set[Part]) -> list[Evidence]:
        """What is known of each sample, as far as it is needed.

        Raises:
            UnavailableError: a service does not answer; ask again later.
        """
        found = [Evidence() for _ in samples]
        work: list[Awaitable[object]] = []
        if "report" in parts:
            work += [self._check(sample, one) for sample, one in zip(samples, found, strict=True)]
        if "forbidden" in parts:
            work += [self._forbidden(sample, one) for sample, one in zip(samples, found, strict=True)]
        if "image" in parts:
            work.append(self._match(samples, found))
        if "vectors" in parts:
            work.append(self._embed(samples, found))
        await asyncio.gather(*map(self._in_turn, work))
        for sample, one in zip(samples, found, strict=True):
            offer = self._offers.get(sample.copy.offer_id)
            one.current = record_lines(offer) if offer else None
        return found

    async def _in_turn(self, work: Awaitable[A]) -> A:
        async with self._slots:
            return await work

    async def _check(self, sample: Sample, one: Evidence) -> None:
        """As at writing: only the facts that were given count as consented."""
        material, copy = sample.material, sample.copy
        given = given_facts(copy, material)
        facts = [fact for fact in material.profile.facts if fact.name in given]
        facts += [_fact(name, text) for name, text in given.items() if name not in {fact.name for fact in facts}]
        profile = msgspec.structs.replace(material.profile, facts=facts, personalize=bool(facts))
        request = CheckRequest(
            material=msgspec.structs.replace(material, profile=profile, asset=None), drafts=[copy.sections],
            channel=copy.channel, locale=copy.locale,
        )  # fmt: skip
        try:
            one.report = (await self._clients.governance.check(request)).reports[0]
        except RemoteProblemError as error:
            one.refused = error.code

    async def _forbidden(self, sample: Sample, one: Evidence) -> None:
        """Sensitive facts, and all that were not given to the writer when personalising was not permitted."""
        profile = sample.material.profile
        if not sample.copy.personal or not profile.known:
            return
        try:
            facts = await self._clients.profiles.facts(profile.profile_id)
        except RemoteProblemError as error:
            if error.status != _NOT_FOUND:
                one.refused = error.code
            return
        one.forbidden = [words_of(fact) for fact in facts if fact.sensitive or not profile.personalize]

    async def _match(self, samples: Sequence[Sample], found: Sequence[Evidence]) -> None:
        rows = [(n, asset) for n, sample in enumerate(samples) if (asset := _asset(sample)) and _caption(sample)]
        for part in _chunks(rows, _TEXTS):
            pairs = [MatchPair(asset_id=asset, text=_caption(samples[n])) for n, asset in part]
            answer = await self._clients.retrieval.match(MatchRequest(pairs=pairs))
            fit = answer.image_model.text_queries
            for (n, _), cosine in zip(part, answer.cosines, strict=True):
                found[n].image = cosine if cosine is not None else "no_image" if fit else "image_model_unfit"

    async def _embed(self, samples: Sequence[Sample], found: Sequence[Evidence]) -> None:
        texts = list(dict.fromkeys(text for s in samples for text in (s.text, s.reference)))
        vectors: dict[str, list[float]] = {}
        for part in _chunks(texts, _TEXTS):
            answer = await self._clients.retrieval.embed(EmbedRequest(texts=[text[:_CHARS] for text in part]))
            vectors |= dict(zip(part, answer.embeddings, strict=True))
        for sample, one in zip(samples, found, strict=True):
            one.vectors = vectors[sample.text], vectors[sample.reference]


def words_of(fact: Fact) -> str:
    """What would give a fact away: its subject, else its value."""
    value = fact.value if isinstance(fact.value, str) else " ".join(fact.value) if isinstance(fact.value, list) else ""
    number = "" if isinstance(fact.value, bool) or not isinstance(fact.value, int | float) else f"{fact.value:g}"
    return fact.subject or value or number


def _fact(name: str, text: str) -> Fact:
    return Fact(name=name, kind="attribute", value=text, text=text, explanation="")


def _asset(sample: Sample) -> str | None:
    shown = sample.material.asset
    return shown.asset_id if shown else next(iter(sample.material.offer.asset_ids), None)


def _caption(sample: Sample) -> str:
    sections = sample.copy.sections
    return (sections.headline or sections.subject or sections.body)[:_CAPTION]


def _chunks(rows: Sequence[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(rows), size):
        yield list(rows[start : start + size])
