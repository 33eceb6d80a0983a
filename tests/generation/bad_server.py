"""A model server that speaks the OpenAI protocol and says whatever a test wants, however badly."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


class BadServer:
    """Answers `texts` as candidates, at first those of `earlier`, a call each; `mode` breaks it in one of the ways servers break."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.earlier: list[list[str]] = []
        self.wanted: list[int] = []
        self.mode = "ok"
        self.delay = 0.0  # seconds before each answer
        self.calls = 0
        self.prompts: list[str] = []
        self.messages: list[list[dict[str, str]]] = []
        self.models: list[str] = []
        self.unknown: set[str] = set()
        self.url = ""

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
        )
        request = json.loads(await reader.readexactly(length)) if length else {}
        self.calls += bool(request)
        self.prompts += [m["content"] for m in request.get("messages", [])]
        self.messages += [request["messages"]] if request else []
        self.models += [request["model"]] if request else []
        self.wanted += [request.get("n", 1)] if request else []
        if request.get("model") in self.unknown:
            writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
            await writer.drain()
        else:
            asked = bool(request)  # without a body it is about the list of models
            texts = self.earlier.pop(0) if asked and self.earlier else self.texts
            await self._answer(writer, texts, stream=bool(request.get("stream")))
        writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, texts: list[str], *, stream: bool) -> None:
        await asyncio.sleep(self.delay)
        if self.mode == "hang":
            await asyncio.sleep(30)
        elif self.mode == "close":
            return
        elif self.mode == "half":
            writer.write(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n{"id":')
        elif self.mode == "garbage":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n<html/>")
        elif self.mode == "500":
            writer.write(b"HTTP/1.1 500 Oops\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
        elif stream:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
            for piece in (texts[0][i : i + 12] for i in range(0, len(texts[0]), 12)):
                chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                         "choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]}  # fmt: skip
                writer.write(f"data: {json.dumps(chunk)}\n\n".encode())
            writer.write(b"data: [DONE]\n\n")
        else:
            body = json.dumps(self._completion(texts)).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
            )
        await writer.drain()

    def _completion(self, texts: list[str]) -> dict[str, Any]:
        choices = [
            {"index": i, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            for i, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}

    @asynccontextmanager
    async def running(self) -> AsyncIterator["BadServer"]:
        """Listen on a loopback port."""
        server = await asyncio.start_server(self._handle, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        try:
            yield self
        finally:
            server.close()
