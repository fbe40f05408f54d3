"""The card that a saved reward carries: what it is, what it was trained on, what was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_card(directory: Path, facts: Mapping[str, Any], *, transformers_class: str | None) -> None:
    """Write ``card.json`` (the facts) and ``README.md`` (the same, to be read), as a model hub shows it."""
    text = json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False, default=str)
    (directory / "card.json").write_text(text + "\n", encoding="utf-8")
    (directory / "README.md").write_text(readme(facts, transformers_class=transformers_class), encoding="utf-8")


def readme(facts: Mapping[str, Any], *, transformers_class: str | None) -> str:
    """The card as Markdown; ``transformers_class`` is named where transformers alone can load the directory."""
    use = ["```python", "import assay", "", 'reward = assay.load("this/directory")', "scores = reward(records)", "```"]
    if transformers_class:
        use += [
            "",
            f"transformers alone loads it as `{transformers_class}` and gives the same scores for text that was",
            "written by this tokenizer's chat template:",
            "",
            "```python",
            'AutoModelForSequenceClassification.from_pretrained("this/directory")',
            "```",
        ]
    sections = "\n".join(_section(name, value) for name, value in facts.items())
    front = "---\nlibrary_name: assay\ntags:\n- reward-model\n---\n"
    return f"{front}\n# A reward model\n\n{sections}\n\n## Use\n\n" + "\n".join(use) + "\n"


def _section(name: str, value: Any) -> str:
    title = name.replace("_", " ").capitalize()
    if isinstance(value, Mapping):
        rows = "\n".join(f"| {key} | {_cell(item)} |" for key, item in value.items())
        return f"\n## {title}\n\n| | |\n|---|---|\n{rows}"
    return f"\n**{title}:** {_cell(value)}"


def _cell(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
