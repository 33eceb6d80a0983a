"""A language's figures as patterns; the groups name the parts. Every repetition is bounded, so reading takes linear time."""

import re
from collections.abc import Iterable
from functools import lru_cache

from services.governance.claims.language import Language, either, language
from services.governance.claims.numbers import DIGITS, SIGN, SPACED_DIGITS

_EDGE, _OVER = r"(?<![a-z0-9.,])", r"(?![a-z0-9])"


_WORD = re.compile(r"[a-z]+")
_COMMON = frozenset(["the", "all", "every", "this", "each", "on", "for", "any", "of", "you", "like", "a", "an", "and", "is", "are", "us", "it", "with", "or", "next", "get", "have", "take", "we", "ll", "one", "whole", "p", "s", "at", "no", "end"])  # fmt: skip


def _words_of(phrases: Iterable[str]) -> frozenset[str]:
    """Every word that one of the phrases has, optional letters and all, with and without them."""
    found: set[str] = set()
    for phrase in phrases:
        for said in (
            phrase,
            re.sub(r"\w\?|\((?:\?:)?\w+\)\?", "", phrase),
            re.sub(r"\(\?:(\w+)\)\?|\?", r"\1", phrase),
        ):
            found.update(_WORD.findall(said))
    return frozenset(found | {f"{word}s" for word in found}) - _COMMON


class Patterns:
    """All figures of a language."""

    def __init__(self, own: Language, digits: str) -> None:
        self.own, words = own, own.words
        spelled = either(words.numbers)
        self.spelled = rf"(?:(?:an? )?{spelled}(?:(?:[ -]and[ -]|[ -]){spelled}){{0,8}})"
        self.digits = digits
        self.value = rf"(?P<n>{digits}|{self.spelled})"
        self._amounts()
        self._dates()
        self._multi()
        self._counts()
        # Without one of these words (or a digit) there is no amount, or no date, and its patterns need not be tried.
        amounts = (words.numbers, words.shares, words.percent, words.multi_buy.values(), words.currencies, words.cents)
        days = (
            words.months,
            words.weekdays,
            words.days,
            words.spans,
            words.moments,
            words.vague,
            words.times,
            ["long"],
        )
        self.counting, self.dating = (
            _words_of(phrase for group in groups for phrase in group) for groups in (amounts, days)
        )

    def _counts(self) -> None:
        words, digits = self.own.words, self.digits
        unit, measure = either(words.units), either(words.measures)
        self.duration = re.compile(
            rf"{_EDGE}{self.value}[\s-]?(?:full |more |whole |business |working )?(?P<u>{unit})(?![a-z])"
        )
        self.measure = re.compile(
            rf"{_EDGE}(?:{self.value}[\s-]?|(?P<half>half an? |half-|½ ?))(?P<u>{measure})(?![a-z])"
        )
        self.number = re.compile(
            rf"(?<![a-z0-9.,-])(?:(?P<d>{digits})(?P<glued>[a-z]{{1,15}})?|(?P<w>{self.spelled})|(?P<f>[½⅓⅔¼¾]))(?![a-z0-9%])"
        )
        # What no pattern has taken and is a figure all the same ("fourty percent", "3x", "R$").
        self.residue = re.compile(
            rf"(?:(?<![\w])[\w'-]{{1,20}}[ -]{{1,2}})?{either(words.percent)}(?![a-z])|[\w.,'/:$€£%#+-]{{0,20}}(?:\d|[%‰]|{SIGN}(?<=[^\sa-z.]))[\w.,'/:$€£%+-]{{0,20}}"
        )

    def _amounts(self) -> None:
        words, value = self.own.words, self.value
        names, cents = either(words.currencies), either([rf"{name}(?![a-z])" for name in words.cents])
        self.percent = re.compile(rf"{_EDGE}{value}[\s-]?{either(words.percent)}(?![a-z])")
        shares = either(re.escape(share) for share in words.shares)
        self.share = re.compile(
            rf"{_EDGE}(?<!and a )(?P<n>{shares})[\s-](?:off|price|the price|the usual price|discount)(?![a-z])|(?<=save )(?P<n2>{shares})(?= on )"
        )
        self.price = re.compile(
            rf"(?<![a-z0-9])(?P<sign>{SIGN})\s?(?P<n>{self.digits}){_OVER}|"
            rf"{_EDGE}(?P<n2>{self.digits})\s?(?P<sign2>{SIGN})(?![a-z])|"
            rf"{_EDGE}(?P<n5>{self.digits}|{self.spelled}|an?)[\s-](?P<name5>{names}) (?:and )?(?P<c5>{self.spelled}|a half)(?![a-z])|"
            rf"{_EDGE}(?P<n3>{self.digits}|{self.spelled})[\s-](?P<name>{names})(?![a-z])|"
            rf"{_EDGE}(?P<n4>{self.digits}|{self.spelled})\s?(?P<cent>{cents})"
        )

    def _dates(self) -> None:
        words = self.own.words
        months, weekday, ordinal = either(words.months), either(words.weekdays), r"(?:st|nd|rd|th)?"
        named = rf"(?:(?P<wd>{weekday})s?,? (?:the )?)?"
        to = r"\s?(?:-|to|through|until|till|and)\s?"
        self.date = re.compile(
            rf"(?<![a-z0-9]){named}(?:(?P<m>{months})\.? (?:the )?(?P<d>\d{{1,2}}){ordinal}(?:,? (?P<y>\d{{4}}))?|"
            rf"(?P<d2>\d{{1,2}}){ordinal}(?: of)? (?P<m2>{months})(?:\.?,? (?P<y2>\d{{4}}))?|"
            rf"(?P<y3>\d{{4}})[-/](?P<m3>\d\d)[-/](?P<d3>\d\d)|(?P<p>\d{{1,2}})[/.](?P<q>\d{{1,2}})(?:[/.](?P<y4>\d{{4}}|\d\d))?(?![\d%]))(?![a-z0-9])"
        )
        # Of "Nov 27-29" and "27-29 November" the two days; ranges between two whole dates are put together afterwards.
        self.days = re.compile(
            rf"(?<![a-z0-9])(?:(?P<m>{months})\.? (?P<a>\d{{1,2}}){ordinal}{to}(?P<b>\d{{1,2}}){ordinal}|"
            rf"(?P<a2>\d{{1,2}}){ordinal}{to}(?P<b2>\d{{1,2}}){ordinal} (?P<m2>{months}))(?![a-z0-9])"
        )
        self.month = re.compile(
            rf"(?<![a-z0-9]){words.month_before} (?P<m>{months})(?!\w|\.? ?\d)|(?<![a-z0-9])(?P<m2>{months}) long(?![a-z0-9])"
        )
        self.nth = re.compile(
            r"(?<![a-z0-9])the (?P<d>[1-9]|[12]\d|3[01])(?:st|nd|rd|th)(?! (?:one|time|cup|day|year|floor|item|pack|pair|bag|bottle|edition|anniversary|birthday)s?)(?![a-z0-9])"
        )
        vague = either(phrase.replace("{day}", weekday) for phrase in words.vague)
        self.vague = re.compile(rf"(?<![a-z0-9])(?P<w>{vague})(?![a-z0-9])")
        self.relative = re.compile(
            rf"(?<![a-z0-9])(?P<w>{either([*words.days, *words.spans])}|(?:(?:this|next|coming) )?{weekday}|{either(words.moments)})(?![a-z0-9])"
        )
        self.time = re.compile(
            rf"(?<![a-z0-9:.,])(?:(?P<w>{either(words.times)})|(?P<h>\d{{1,2}})(?:[:.](?P<min>[0-5]\d))? ?(?P<half>[ap])(?:m|\.m\.)|(?P<h2>[01]?\d|2[0-4]):(?P<min2>[0-5]\d)(?: ?h(?:rs)?)?|(?P<h3>\d{{1,2}}) o'clock)(?![a-z0-9])"
        )
        self.joins = re.compile(rf"{to}$")

    def _multi(self) -> None:
        multi = self.own.words.multi_buy
        self.buy = re.compile(
            rf"(?<![a-z0-9])(?:buy|order|purchase|take|pick|add) (?:any )?(?P<b>\d{{1,4}}|{self.spelled}|an?)(?: [\w'-]{{1,20}}){{0,5}}?,? (?:{multi['get']} "
            rf"(?:(?P<g>\d{{1,4}}|{self.spelled})|(?P<one>{multi['another']}))|(?:{multi['plus']} )?(?P<then>{multi['another']}))(?: [\w'-]{{1,20}}){{0,4}}?,? (?P<free>{multi['free']}|half[- ](?:price|off))(?![a-z])"
        )
        self.pay = re.compile(
            rf"(?<![a-z0-9$€£¥])(?:(?P<b>\d{{1,4}}|{self.spelled})[ -]for[ -](?:the price of )?(?P<g>\d{{1,4}}|{self.spelled})|"
            rf"(?P<b3>\d{{1,4}}|{self.spelled})(?: [\w'-]{{1,20}}){{1,5}}? for the price of (?P<g3>\d{{1,4}}|{self.spelled})|"
            rf"pay (?:only |just )?(?:for )?(?P<g4>\d{{1,4}}|{self.spelled})(?: [\w'-]{{1,20}}){{0,4}}?,? (?:and )?{multi['pay']} (?P<b4>\d{{1,4}}|{self.spelled})|"
            rf"{multi['pay']} (?P<b2>\d{{1,4}}|{self.spelled})(?: [\w'-]{{1,20}}){{0,3}}?,? (?:and |but )?(?:only )?pay (?:only |just )?(?:for )?(?:only |just )?(?P<g2>\d{{1,4}}|{self.spelled}))(?![a-z0-9%.,]\d|[a-z0-9%]| ?(?:dollars?|euros?|pounds?))"
        )
        self.bogo = re.compile(rf"(?<![a-z0-9]){multi['bogo']}(?![a-z0-9])")


@lru_cache(maxsize=8)
def patterns(name: str) -> Patterns:
    """Those of a language; blanks group thousands outside English only ("buy 2 500 g bags")."""
    return Patterns(language(name), DIGITS if name == "en" else SPACED_DIGITS)
