"""What all callers are handed: four questions about pictures of known brightness, and the last one's is missing."""

from __future__ import annotations

import io
from pathlib import Path

import PIL.Image

GREYS = (10, 80, 200, 240)
QUESTIONS = ("How bright is it?", "Is it grey?", "Which shade?", "Is it white?")
ANSWERS = ("dark", "yes", "light", "no")
RESPONSES = ("It is dark.", "yes\nvery", "It is dark.", "no")
RIGHT = (1.0, 1.0, 0.0, 1.0)
BRIGHT = tuple(grey / 255 for grey in GREYS)


def picture(grey: int) -> PIL.Image.Image:
    return PIL.Image.new("RGB", (8, 6), (grey, grey, grey))


def png(grey: int) -> bytes:
    buffer = io.BytesIO()
    picture(grey).save(buffer, format="PNG")
    return buffer.getvalue()


def rows() -> list[dict]:
    """Rows as verl's data sets have them."""
    return [
        {
            "data_source": "toy",
            "prompt": [{"role": "user", "content": f"<image>{question}"}],
            "images": [{"bytes": png(grey), "path": None}],
            "reward_model": {"style": "rule", "ground_truth": answer},
            "extra_info": {"split": "train", "index": place},
        }
        for place, (question, grey, answer) in enumerate(zip(QUESTIONS, GREYS, ANSWERS, strict=True))
    ]


def parquet(path: Path) -> Path:
    """The first three rows as verl's trainers read them, two row groups."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows()[:3]), path, row_group_size=2)
    return path
