"""Fault 18: pickled, forged or damaged checkpoints are refused before anything is built or run from them."""

from __future__ import annotations

import json
import os
import pickle
import resource
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from assay import testing
from assay.models.checkpoint import CheckpointError, read_header
from assay.models.hf import load_backbone
from assay.rewards.learned import LearnedReward
from assay.rewards.load import load


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return testing.learned_reward().save(tmp_path / "rm")


def backbone_directory(place: Path) -> Path:
    backbone = testing.tiny_text()
    backbone.module.save_pretrained(place)  # type: ignore[operator]
    backbone.tokenizer.save_pretrained(place)
    return place


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pkl"])
def test_pickled_weights_are_never_opened(name: str, tmp_path: Path) -> None:
    directory, mark = backbone_directory(tmp_path / "model"), tmp_path / "ran"
    (directory / "model.safetensors").unlink()
    (directory / name).write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(CheckpointError, match=f"pickled.*{name}"):
        load_backbone(directory, device="cpu")
    assert not mark.exists()
    pickle.loads((directory / name).read_bytes())
    assert mark.exists()


def test_pickled_weights_beside_safe_ones_are_not_preferred(tmp_path: Path) -> None:
    directory, mark = backbone_directory(tmp_path / "model"), tmp_path / "ran"
    (directory / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(mark)))
    load_backbone(directory, device="cpu")
    assert not mark.exists()


def test_a_pickled_adapter_is_never_opened(tmp_path: Path) -> None:
    base = load_backbone(backbone_directory(tmp_path / "base"), device="cpu")
    adapted = get_peft_model(base.module, LoraConfig(target_modules=["q_proj"]))  # type: ignore[arg-type]
    place = LearnedReward.fresh(base.with_module(adapted)).save(tmp_path / "rm", adapter=True)
    weights, mark = place / "adapter" / "adapter_model.safetensors", tmp_path / "ran"
    pickled = weights.with_suffix(".bin")
    weights.rename(pickled)
    pickled.write_bytes(pickle.dumps(Payload(mark)))
    marker = place / "COMPLETE.json"
    sizes = json.loads(marker.read_text())
    del sizes["adapter/adapter_model.safetensors"]
    marker.write_text(json.dumps(sizes))
    with pytest.raises(CheckpointError, match=r"pickled.*adapter_model\.bin"):
        LearnedReward.load(place, device="cpu")
    assert not mark.exists()


def test_code_of_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    directory, mark = backbone_directory(tmp_path / "model"), tmp_path / "ran"
    config = json.loads((directory / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}}
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "mine.py").write_text(f"import os\nos.mkdir({str(mark)!r})\n")
    with pytest.raises(CheckpointError, match="configuration"):
        load_backbone(directory, device="cpu")
    assert not mark.exists()


def rewritten(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    raw = file.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    change(header)
    made = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(made)) + made + raw[8 + length :])


def first(header: dict[str, Any]) -> dict[str, Any]:
    return header[min(name for name in header if name != "__metadata__")]


def alias(header: dict[str, Any]) -> None:
    """Two tensors of one size over the same bytes."""
    one, two = sorted(name for name in header if name.endswith("q_proj.weight"))
    header[two]["data_offsets"] = header[one]["data_offsets"]


FORGERIES: dict[str, Callable[[dict[str, Any]], None]] = {
    "a larger shape than its bytes": lambda header: first(header).update(shape=[10**9, 10**9]),
    "a negative shape": lambda header: first(header).update(shape=[-1, -64]),
    "bytes outside the file": lambda header: first(header).update(data_offsets=[0, 10**15]),
    "bytes of a neighbour": lambda header: first(header).update(data_offsets=[4, 8]),
    "all bytes of a neighbour": alias,
    "a dtype that does not exist": lambda header: first(header).update(dtype="OBJECT"),
    "no offsets": lambda header: first(header).pop("data_offsets"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_header_is_refused_before_memory_is_taken(name: str, tmp_path: Path) -> None:
    directory = backbone_directory(tmp_path / "model")
    rewritten(directory / "model.safetensors", FORGERIES[name])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_backbone(directory, device="cpu")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 7, struct.pack("<Q", 2**60), struct.pack("<Q", 4) + b"{{{{", b"\xff" * 64]
)
def test_what_is_not_safetensors_is_refused(content: bytes, tmp_path: Path) -> None:
    directory = backbone_directory(tmp_path / "model")
    (directory / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_backbone(directory, device="cpu")


def test_a_header_of_nested_brackets_does_not_exhaust_the_stack(tmp_path: Path) -> None:
    file = tmp_path / "deep.safetensors"
    body = b"[" * 200_000
    file.write_bytes(struct.pack("<Q", len(body)) + body)
    with pytest.raises(CheckpointError):
        read_header(file)


def test_a_configuration_of_a_billion_layers_is_refused_at_once(tmp_path: Path) -> None:
    directory = backbone_directory(tmp_path / "model")
    config = json.loads((directory / "config.json").read_text())
    config["num_hidden_layers"] = 10**9
    config.pop("layer_types", None)
    (directory / "config.json").write_text(json.dumps(config))
    start = time.process_time()
    with pytest.raises(CheckpointError, match="1000000000 layers"):
        load_backbone(directory, device="cpu")
    assert time.process_time() - start < 5


def test_weights_of_another_shape_than_the_model_s_are_refused(tmp_path: Path) -> None:
    directory = backbone_directory(tmp_path / "model")
    config = json.loads((directory / "config.json").read_text())
    config["vocab_size"] += 8
    (directory / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="do not fit the configuration"):
        load_backbone(directory, device="cpu")


def test_an_index_cannot_point_outside_its_directory(tmp_path: Path) -> None:
    directory = backbone_directory(tmp_path / "model")
    outside = tmp_path / "outside.safetensors"
    (directory / "model.safetensors").rename(outside)
    index = {"metadata": {}, "weight_map": {"embed_tokens.weight": "../outside.safetensors"}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="outside"):
        load_backbone(directory, device="cpu")


def test_a_head_of_another_shape_is_refused(place: Path) -> None:
    from safetensors.torch import save_file

    file = place / "head.safetensors"
    size = file.stat().st_size
    save_file({"linear.weight": torch.zeros(64, 1)}, file)
    marker = place / "COMPLETE.json"
    sizes = json.loads(marker.read_text())
    assert sizes["head.safetensors"] == size
    marker.write_text(json.dumps({**sizes, "head.safetensors": file.stat().st_size}))
    with pytest.raises(CheckpointError, match="but the head is"):
        load(place, device="cpu")


def test_changed_weights_are_noticed_by_the_samples(place: Path) -> None:
    file = place / "model.safetensors"
    raw = bytearray(file.read_bytes())
    (length,) = struct.unpack("<Q", raw[:8])
    values = torch.frombuffer(raw, dtype=torch.float32, offset=8 + length)
    values.mul_(1.5)
    file.write_bytes(bytes(raw))
    with pytest.raises(CheckpointError, match="a sample scored"):
        load(place, device="cpu")
    assert isinstance(LearnedReward.load(place, device="cpu", verify=False), LearnedReward)
