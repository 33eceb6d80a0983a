"""A whole suite of its own for a benchmark, asked over HTTP as a content system would."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.harness import ROOT
from shared.stack.run_folder import RunFolder
from shared.stack.valkey import free_port

SECONDS = 1800


class Suite:
    """`atelier up` in a folder of its own, with the bundled vLLM; and who talks to it."""

    def __init__(self, folder: Path) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.endswith("_URL")}
        self.environ = kept | {
            "ATELIER_DATA": str(folder),
            "PORT": str(free_port()),
            "GATEWAY_REQUESTS_PER_MINUTE": "1000000",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "services", "up"], cwd=ROOT, env=self.environ, stdout=subprocess.DEVNULL
        )
        running = until(lambda: RunFolder(folder).running(), self.process)
        key = subprocess.run([sys.executable, "-m", "services", "keys", "create", "acme"], cwd=ROOT, env=self.environ, check=True,
                             capture_output=True, text=True).stdout.strip()  # fmt: skip
        self.http = httpx.Client(base_url=running.url, headers={"authorization": f"Bearer {key}"}, timeout=300)

    def cpu(self) -> tuple[float, float]:
        """Processor seconds of everything but vLLM and the servers of data, and of vLLM."""
        ours = theirs = 0.0
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                times, line = process.cpu_times(), " ".join(process.cmdline())
            except psutil.Error:
                continue
            if "vllm" in line.lower() or "VLLM" in process.name():
                theirs += times.user + times.system
            elif "-m services" in line:
                ours += times.user + times.system
        return ours, theirs

    def model_url(self) -> str:
        """Where its vLLM listens."""
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error):
                line = process.cmdline()
                if "vllm.entrypoints.openai.api_server" in line:
                    return f"http://127.0.0.1:{line[line.index('--port') + 1]}/v1"
        raise RuntimeError("the suite has no vLLM of its own")

    def stop(self) -> None:
        """Stop all."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def until(true: Any, process: subprocess.Popen[bytes]) -> Any:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the suite ended with {process.returncode}")
        if found := true():
            return found
        time.sleep(0.5)
    raise RuntimeError("it did not come true in time")
