"""What the servers of `serving_load` serve: SmolLM2-135M cut to its first layers, with a linear head on the last token.

`python -m assay serve benchmarks/served_model.py:reward` serves it as Assay does; `python benchmarks/served_model.py
PORT` in thirty lines of FastAPI, one forward a request, as it is often done.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

LAYERS = int(os.environ.get("SERVED_LAYERS", "6"))
MODEL = os.environ.get("SERVED_MODEL", "")
"""A directory of SmolLM2-135M; without it the weights are random, and the tokenizer is a small one."""


def tokenizer_of() -> Any:
    """The tokenizer."""
    if MODEL:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(MODEL)
    from assay.testing import tiny_tokenizer

    return tiny_tokenizer()


def parts() -> tuple[Any, Any]:
    """The model as transformers has it, and its tokenizer; the same in every process."""
    import torch

    torch.manual_seed(0)
    if MODEL:
        from transformers import AutoModel

        model = AutoModel.from_pretrained(MODEL, num_hidden_layers=LAYERS, attn_implementation="sdpa")
        return model.eval(), tokenizer_of()
    sys.path.insert(0, str(Path(__file__).parent))
    from models import smollm2

    return smollm2(LAYERS), tokenizer_of()


def tokens(prompt: str, response: str) -> int:
    """How many tokens one request is."""
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
    found = tokenizer_of()
    text = found.apply_chat_template(messages, tokenize=False, chat_template=TEMPLATE)
    return len(found(text, add_special_tokens=False).input_ids)


def reward() -> Any:
    """The reward that Assay serves."""
    from assay.models.hf import backbone_from
    from assay.testing import learned_reward

    model, tokenizer = parts()
    return learned_reward(backbone_from(model, tokenizer, template=TEMPLATE))


TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
)


# Begin of the plain server.
def plain() -> Any:
    """One forward a request."""
    import torch
    from fastapi import FastAPI

    head = reward().head.linear
    model, tokenizer = parts()
    app = FastAPI()

    @app.get("/ready")
    def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/score")
    def score(ask: dict[str, str]) -> dict[str, float]:
        messages = [{"role": "user", "content": ask["prompt"]}, {"role": "assistant", "content": ask["response"]}]
        text = tokenizer.apply_chat_template(messages, tokenize=False, chat_template=TEMPLATE)
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids
        with torch.no_grad():
            hidden = model(input_ids=ids, use_cache=False).last_hidden_state
            return {"score": float(head(hidden[:, -1]))}

    return app


# End of the plain server.

if __name__ == "__main__":
    import uvicorn

    uvicorn.run(plain(), host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
