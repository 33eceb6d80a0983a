"""Households into profiles: demographics where there are any, and consents that the demo states itself."""

import datetime as dt
import hashlib
from collections.abc import Iterator

import duckdb

from services.demo.names import statements
from shared.contracts.profiles import (
    Attribute,
    Consent,
    ConsentMetadata,
    Consents,
    ConsentValue,
    Identity,
    MarketingConsent,
    PersonalizeConsent,
    ProfileUpsert,
)

SOURCE = "completejourney"
REFUSING_SHARE = 0.03
REASON = "stated by the demo: the data set has no consents"
_ATTRIBUTES = {"age": "age", "income": "income", "home_ownership": "homeOwnership", "marital_status": "maritalStatus",
               "household_size": "householdSize", "household_comp": "householdComposition",
               "kids_count": "kidsCount"}  # fmt: skip
_HOUSEHOLDS = f"""
SELECT h.household_id, {", ".join(f"d.{column}" for column in _ATTRIBUTES)}
FROM (SELECT household_id FROM transactions UNION SELECT household_id FROM demographics
      UNION SELECT household_id FROM campaigns) h
LEFT JOIN demographics d USING (household_id) ORDER BY h.household_id
"""  # noqa: S608  (own constants)


def refuses(purpose: str, household: int) -> bool:
    """Does this household refuse a purpose? A fixed 3 % of each purpose, chosen by hash: the same ones every time."""
    digest = hashlib.sha256(f"{purpose}:{household}".encode()).digest()
    return int.from_bytes(digest[:4], "big") < REFUSING_SHARE * 2**32


def consents(household: int, at: dt.datetime) -> Consents:
    """The consents that the demo states for a household: all yes but for the refusing share."""

    def stated(purpose: str) -> Consent:
        value: ConsentValue = "n" if refuses(purpose, household) else "y"
        return Consent(val=value, reason=REASON, time=at)

    yes = Consent(val="y", reason=REASON, time=at)
    return Consents(
        collect=yes,
        share=Consent(val="n", reason=REASON, time=at),
        personalize=PersonalizeConsent(content=stated("personalize")),
        marketing=MarketingConsent(preferred="email", any=yes, email=stated("email"), push=yes, sms=yes),
        metadata=ConsentMetadata(time=at),
    )


def profiles(connection: duckdb.DuckDBPyConnection, at: dt.datetime) -> Iterator[ProfileUpsert]:
    """All households in the order of their numbers; `at` is when their consents count from."""
    shop = statements()
    for household, *values in connection.execute(_HOUSEHOLDS).fetchall():
        known = zip(_ATTRIBUTES.values(), values, strict=True)
        yield ProfileUpsert(
            profile_id=f"hh-{household}",
            identity_map={"CRMID": [Identity(id=str(household), authenticated_state="authenticated", primary=True)]},
            attributes={name: Attribute(value=value, source=SOURCE) for name, value in known if value is not None},
            consents=consents(household, at),
            locale=shop.locale,
            time_zone=shop.time_zone,
        )
