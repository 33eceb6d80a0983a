"""Settings of evaluation."""

from pathlib import Path
from typing import Annotated

import msgspec

from shared.settings import Settings, describe


class EvaluationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The judge, what it may cost, when it may gate; how runs share the workers."""

    prompts_dir: Annotated[Path, describe("Folder of prompts and approved templates")] = Path("prompts")
    evaluation_judge_base_url: Annotated[
        str, describe("OpenAI-compatible server of the judge, http://host:8000/v1; empty: LLM_BASE_URL")
    ] = ""
    evaluation_judge_model: Annotated[str, describe("Name of the judge's model; empty: LLM_MODEL")] = ""
    evaluation_judge_api_key: Annotated[str, describe("API key of the judge's server; empty: LLM_API_KEY")] = ""
    evaluation_judge_version: Annotated[
        str, describe("Change it when other weights stand behind the same name: scores and calibration are made anew")
    ] = ""
    evaluation_judge_seconds: Annotated[float, describe("Deadline of one call of the judge")] = 60.0
    evaluation_judge_concurrency: Annotated[int, describe("Metrics judged at the same time, per run")] = 8
    evaluation_judge_max_tokens: Annotated[int, describe("Longest answer of the judge, in tokens")] = 512
    evaluation_judge_give_up: Annotated[
        int, describe("Calls in a row that fail to reach the judge after which a run asks no more")
    ] = 20
    evaluation_min_kappa: Annotated[
        float, describe("Cohen's kappa that the interval's lower end must reach before a judge's metric may gate")
    ] = 0.6
    evaluation_calibration_items: Annotated[
        int, describe("Labelled items of a calibration; 0: all. Fewer are quicker and widen the interval")
    ] = 0
    evaluation_price_input: Annotated[float, describe("Price of a million tokens read by the judge")] = 0.0
    evaluation_price_output: Annotated[float, describe("Price of a million tokens written by the judge")] = 0.0
    evaluation_price_currency: Annotated[str, describe("Currency of both prices")] = "USD"
    evaluation_slice_seconds: Annotated[
        float, describe("Seconds after which a run goes back into the queue, so that other tasks have their turn")
    ] = 60.0
    evaluation_stale_seconds: Annotated[
        float, describe("Seconds without a sign of life after which another worker goes on with a run")
    ] = 20.0
    evaluation_sweep_seconds: Annotated[
        float, describe("Seconds between looks for results of copy that governance has erased")
    ] = 3600.0

    def judge_of(self, suite: Settings) -> tuple[str, str, str]:
        """(base URL, model, API key) of the judge; the URL is empty when there is none."""
        return (
            self.evaluation_judge_base_url or suite.llm_base_url,
            self.evaluation_judge_model or suite.llm_model,
            self.evaluation_judge_api_key or suite.llm_api_key,
        )
