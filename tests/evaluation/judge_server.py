"""Judges over a real socket that speak the OpenAI protocol: a perfect one, biased ones, one that says anything at all."""

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from services.evaluation.calibration import labelled

LABELS = {item.text: item.faithful for item in labelled().items}
_ESCAPED = {json.dumps(text)[1:-1]: text for text in LABELS}


class Reply:
    """What goes over the wire: a completion with this content, or whole bytes, after a pause."""

    def __init__(
        self, content: Any = "", *, raw: bytes | None = None, seconds: float = 0.0, ended: str = "stop", close: bool = False
    ) -> None:  # fmt: skip
        self.content, self.raw, self.seconds, self.ended, self.close = content, raw, seconds, ended, close

    def bytes(self) -> bytes:
        if self.raw is not None:
            return self.raw
        choice = {"index": 0, "finish_reason": self.ended, "message": {"role": "assistant", "content": self.content}}
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
        return http(json.dumps(body).encode())


def http(body: bytes, status: str = "200 OK", kind: str = "application/json") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


class JudgeServer:
    """Answers every request by `answer(request)`; connections are kept open."""

    def __init__(self, answer: Callable[[dict[str, Any]], Reply], seconds: float = 0.0) -> None:
        self.answer = answer
        self.seconds = seconds
        self.calls = 0
        self.url = ""
        self._called = asyncio.Condition()

    async def asked(self, calls: int) -> None:
        """Wait until so many calls have come in."""
        async with self._called:
            await self._called.wait_for(lambda: self.calls >= calls)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(re.search(rb"(?i)content-length: *(\d+)", head).group(1))  # type: ignore[union-attr]
                request = json.loads(await reader.readexactly(length))
                async with self._called:
                    self.calls += 1
                    self._called.notify_all()
                reply = self.answer(request)
                await asyncio.sleep(self.seconds + reply.seconds)
                writer.write(reply.bytes())
                await writer.drain()
                if reply.close:
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["JudgeServer"]:
        server = await asyncio.start_server(self._handle, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        try:
            yield self
        finally:
            server.close()


def asked(request: dict[str, Any]) -> str:
    """Which question it is, by the schema of the answer that is wanted."""
    schema = request["response_format"]["json_schema"]["schema"]
    fields = schema["properties"]
    if "statements" in fields:
        return "verdicts" if "$ref" in json.dumps(fields["statements"]) else "statements"
    return str(next(iter(fields)))


def prompt(request: dict[str, Any]) -> str:
    return str(request["messages"][0]["content"])


def labelled_text(request: dict[str, Any]) -> str | None:
    """The message of the labelled set that the prompt is about: the last one in it."""
    said = prompt(request)
    found = [(max(said.rfind(key), said.rfind(text)), text) for key, text in _ESCAPED.items()]
    at, text = max(found)
    return text if at >= 0 else None


def perfect(request: dict[str, Any]) -> Reply:
    """Knows the labels; finds everything else faithful."""
    kind, right = asked(request), LABELS.get(labelled_text(request) or "", True)
    row = {"statement": "It.", "reason": "Because.", "verdict": int(right), "attributed": 1}
    first = prompt(request).partition('<message letter="A">')[2].partition("</message>")[0].strip()
    answers: dict[str, Any] = {
        "faithful": {"faithful": "yes" if right else "no"},
        "better": {"better": "A" if LABELS.get(first, True) else "B"},
        "statements": {"statements": [labelled_text(request) or "It is on offer."]},
        "verdicts": {"statements": [row]},
        "question": {"question": "What is on offer?", "noncommittal": 0},
        "classifications": {"classifications": [row]},
    }
    return Reply(json.dumps(answers.get(kind, {"reason": "Because.", "verdict": 1})))


def agreeable(request: dict[str, Any]) -> Reply:
    """Finds everything faithful, and what stands first the better one."""
    row = {"statement": "It.", "reason": "Because.", "verdict": 1}
    answers = {"faithful": {"faithful": "yes"}, "better": {"better": "A"}, "verdicts": {"statements": [row]}}
    kind = asked(request)
    return Reply(json.dumps(answers[kind])) if kind in answers else perfect(request)


class Garbage:
    """Now and then an answer, mostly nonsense, of every kind that a server can make of it."""

    def __init__(self, seed: int, hang: float) -> None:
        self._random = random.Random(seed)
        self._hang = hang

    def __call__(self, request: dict[str, Any]) -> Reply:
        kinds = [self._numbers, self._text, self._broken, self._shape, self._status, self._cut, self._huge, self._valid]
        if self._random.random() < 0.01:
            return Reply("", seconds=self._hang)
        return self._random.choice(kinds)(request)

    def _valid(self, request: dict[str, Any]) -> Reply:
        return perfect(request)

    def _numbers(self, request: dict[str, Any]) -> Reply:
        """The right shape with absurd numbers."""
        number = self._random.choice(
            ["NaN", "1e9", "-1", "Infinity", "null", '"yes"', "0.5", "7", "true", "1e400", "-0"]
        )
        row = f'{{"statement": "x", "reason": "y", "verdict": {number}, "attributed": {number}}}'
        made = {
            "faithful": f'{{"faithful": {number}}}', "better": f'{{"better": {number}}}',
            "statements": f'{{"statements": [{number}]}}', "verdicts": f'{{"statements": [{row}, {row}]}}',
            "question": f'{{"question": "", "noncommittal": {number}}}', "classifications": f'{{"classifications": [{row}]}}',
        }  # fmt: skip
        return Reply(made.get(asked(request), row))

    def _text(self, _: dict[str, Any]) -> Reply:
        return Reply(
            self._random.choice(
                ["", "   ", "I think so!", "{}", "[]", "null", "NaN", "\x00\ud83d", '{"a": ', "<html/>"]
            )
        )

    def _broken(self, _: dict[str, Any]) -> Reply:
        return Reply(raw=self._random.choice([
            http(b"<html/>", kind="text/html"), http(b"{}"), http(b"[1, 2]"), http(b"null"), http(b'{"choices": []}'), http(b""),
            http(b'{"choices": [{"message": null}]}'), http(b'{"choices": "many", "usage": 7}'),
            http(b'{"choices": [{"message": {"content": 7}}], "usage": {"prompt_tokens": "NaN"}}'),
            http(b'{"choices": [{"message": {"content": "{}"}}], "usage": {"prompt_tokens": 1e300, "completion_tokens": -5}}'),
            http(b'{"choices": [NaN]}'),
        ]))  # fmt: skip

    def _shape(self, _: dict[str, Any]) -> Reply:
        return Reply(
            self._random.choice(
                [7, None, ["a"], {"faithful": "yes"}, True, '{"statements": []}', '{"classifications": []}']
            )
        )

    def _status(self, _: dict[str, Any]) -> Reply:
        return Reply(
            raw=http(
                b'{"error": "no"}', self._random.choice(["500 Oops", "503 Busy", "429 Slow", "400 Bad", "404 None"])
            )
        )

    def _cut(self, request: dict[str, Any]) -> Reply:
        if self._random.random() < 0.5:
            whole = perfect(request)
            return Reply(str(whole.content)[:10], ended="length")
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n"
        return Reply(raw=head + b'{"choices": [', close=True)

    def _huge(self, _: dict[str, Any]) -> Reply:
        size = self._random.choice([30_000, 300_000])
        return Reply("y" * size)
