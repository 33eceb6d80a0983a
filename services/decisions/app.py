"""The wiring of decisions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar

from services.decisions.approved import ApprovedCopy
from services.decisions.assignments import Assignments
from services.decisions.authoring import AuthoringService
from services.decisions.catalog import CatalogReader
from services.decisions.comparing import CompareService
from services.decisions.contact import Kind
from services.decisions.controllers import (
    CopyController,
    DecisionController,
    OutcomeController,
    PolicyController,
    RolloutController,
)
from services.decisions.copywriting import CopyService
from services.decisions.counters import Counters
from services.decisions.counting import Counting
from services.decisions.dry_run import DryRunService
from services.decisions.effects import Effects
from services.decisions.explaining import ExplainService
from services.decisions.journal import Journal
from services.decisions.learning import Learner
from services.decisions.observing import Observer
from services.decisions.outcomes import OutcomeService
from services.decisions.people import People
from services.decisions.policies import PolicyService
from services.decisions.relevance import Relevance
from services.decisions.reserving import Reserving
from services.decisions.service import DecisionService
from services.decisions.settings import DecisionsSettings
from services.decisions.stream import LogStream
from services.decisions.tending import Tending
from shared.clients.bundle import Clients
from shared.contracts.catalog import Offer
from shared.contracts.decisions import DecisionRequest
from shared.settings import Settings, read_env
from shared.web.app import build_app
from shared.web.background import background
from shared.web.database import Database
from shared.web.edge import Edge
from shared.web.express import Express


def create_app(settings: Settings, clients: Clients) -> Edge:
    """The decisions app."""
    own = read_env(DecisionsSettings)
    seconds = own.decisions_leaf_ms / 1000
    database = Database(settings)
    counters, stream = Counters(settings.redis_url, settings.redis_seconds), LogStream(settings.redis_url)
    people = People(clients.profiles, seconds, clients.features)
    catalog = CatalogReader(clients.retrieval, own)
    policies = PolicyService(database.engine, catalog, ApprovedCopy(clients.governance, seconds), own)
    authoring = AuthoringService(database.engine, policies)
    assignments = Assignments(clients.experiments, seconds, own.decisions_experiments_seconds)
    observer = Observer(clients.experiments)
    journal = Journal(database.engine, stream, observer.exposed)
    learner = Learner(database.engine, counters, own)

    async def counted(tenant: str) -> tuple[frozenset[Kind], dict[str, Offer]]:
        return await policies.kinds(tenant, await assignments.patches(tenant))

    counting = Counting(database.engine, counters, journal, counted)
    reserving = Reserving(counters, counting, journal)
    decisions = DecisionService(
        database.engine, people, policies, assignments, Relevance(clients.retrieval, seconds), counters, journal, reserving,
        learner, settings.internal_token,
    )  # fmt: skip
    effects = Effects(database.engine, counters, observer, policies)
    rewarding = OutcomeService(database.engine, journal, policies, learner, effects, settings.internal_token)
    tending = Tending(journal, learner, rewarding, effects, database.engine, own)

    @asynccontextmanager
    async def running(_: Litestar) -> AsyncIterator[None]:
        async with background(*tending.works(), quiet=tending.quiet):
            yield
        await counting.close()
        await counters.close()
        await stream.close()

    return build_app(
        "decisions",
        settings,
        [DecisionController, OutcomeController, PolicyController, RolloutController, CopyController],
        dependencies={
            "decisions": decisions,
            "policies": policies,
            "authoring": authoring,
            "rewarding": rewarding,
            "explaining": ExplainService(database.engine, decisions, policies, authoring, learner),
            "comparing": CompareService(database.engine, policies),
            "trying": DryRunService(people, policies),
            "copywriting": CopyService(decisions, people, catalog, clients.generation, clients.governance),
        },
        lifespan=[database.lifespan, running],
        required={"database": database.check},
        optional={"counters": counters.check, "journal": journal.check},
        express={"/decide": Express(DecisionRequest, decisions.asked)},
    )
