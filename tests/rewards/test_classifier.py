"""Sequence classifiers are scored as transformers itself scores them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers.processors import TemplateProcessing
from torch import nn
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    Qwen2Config,
    Qwen2ForSequenceClassification,
)

from assay import testing
from assay.models.checkpoint import CheckpointError
from assay.records import Message, Record
from assay.rewards.classifier import PairClassifier, load_classifier
from assay.rewards.learned import LearnedReward
from assay.scores import Status

RECORDS = [
    Record.of("why is the sky blue?", ["because", "because light scatters on the air", ""], id="a"),
    Record.of("count to three", ["one two three", "1 2 3 4 5 6"], id="b"),
]


def saved(kind: Any, config_kind: Any, place: Path, *, chat: bool = True, labels: int = 1, **changes: Any) -> Any:
    tokenizer = testing.tiny_text(chat=chat).tokenizer
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    sizes |= {
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "num_labels": labels,
        "pad_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(0)
    model = kind(config_kind(**sizes, **changes))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.2)
    model.eval().save_pretrained(place)
    tokenizer.save_pretrained(place)
    return model, AutoTokenizer.from_pretrained(place)


@torch.no_grad()
def by_transformers(model: nn.Module, tokenizer: Any, column: int = 0) -> torch.Tensor:
    found = []
    for record in RECORDS:
        for response in record.responses:
            chat = [{"role": "user", "content": record.prompt[0].text}, {"role": "assistant", "content": response.text}]
            ids = tokenizer.apply_chat_template(chat, return_tensors="pt", return_dict=False)
            found.append(model(ids).logits[0, column])
    return torch.stack(found)


@pytest.mark.parametrize(
    ("kind", "config"), [(LlamaForSequenceClassification, LlamaConfig), (Qwen2ForSequenceClassification, Qwen2Config)]
)
def test_a_causal_classifier_shares_prompts_and_equals_its_own_forward(kind: Any, config: Any, tmp_path: Path) -> None:
    model, tokenizer = saved(kind, config, tmp_path)
    reward = load_classifier(tmp_path, device="cpu")
    assert isinstance(reward, LearnedReward)
    expected = by_transformers(model, tokenizer)
    assert expected.std() > 0.01
    torch.testing.assert_close(reward(RECORDS).values, expected, rtol=0, atol=1e-5)


def test_of_several_labels_one_must_be_chosen(tmp_path: Path) -> None:
    names = {"id2label": {0: "helpful", 1: "harmless"}, "label2id": {"helpful": 0, "harmless": 1}}
    model, tokenizer = saved(LlamaForSequenceClassification, LlamaConfig, tmp_path, labels=2, **names)
    with pytest.raises(ValueError, match="'helpful', 'harmless'"):
        load_classifier(tmp_path, device="cpu")
    with pytest.raises(ValueError, match="no label 'honest'"):
        load_classifier(tmp_path, device="cpu", label="honest")
    reward = load_classifier(tmp_path, device="cpu", label="harmless")
    torch.testing.assert_close(reward(RECORDS).values, by_transformers(model, tokenizer, 1), rtol=0, atol=1e-5)
    first = load_classifier(tmp_path, device="cpu", label=0)
    torch.testing.assert_close(first(RECORDS).values, by_transformers(model, tokenizer, 0), rtol=0, atol=1e-5)


def test_a_classifier_whose_head_is_missing_is_refused(tmp_path: Path) -> None:
    model, _ = saved(LlamaForSequenceClassification, LlamaConfig, tmp_path)
    state = {name: weight for name, weight in model.state_dict().items() if name != "score.weight"}
    model.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(CheckpointError, match=r"score\.weight"):
        load_classifier(tmp_path, device="cpu")


def bert(place: Path) -> tuple[Any, Any]:
    tokenizer = testing.tiny_tokenizer(named={"cls_token": "<cls>", "sep_token": "<sep>"})
    ids = [(token, tokenizer.convert_tokens_to_ids(token)) for token in ("<cls>", "<sep>")]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<cls> $A <sep>", pair="<cls> $A <sep> $B:1 <sep>:1", special_tokens=ids
    )
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    tokenizer.init_kwargs["model_input_names"] = tokenizer.model_input_names
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2}
    torch.manual_seed(0)
    config = BertConfig(**sizes, num_attention_heads=4, num_labels=1, max_position_embeddings=48)  # type: ignore[arg-type]
    model = BertForSequenceClassification(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.3)
    model.save_pretrained(place)
    tokenizer.save_pretrained(place)
    return model, tokenizer


def test_a_cross_encoder_reads_prompt_and_response_as_a_pair(tmp_path: Path) -> None:
    model, tokenizer = bert(tmp_path)
    reward = load_classifier(tmp_path, device="cpu")
    assert isinstance(reward, PairClassifier)
    pairs = [(record.prompt[0].text, response.text) for record in RECORDS for response in record.responses]
    with torch.no_grad():
        one_by_one = [model(**tokenizer(*pair, return_tensors="pt")).logits[0, 0] for pair in pairs]
    expected = torch.stack(one_by_one)
    assert expected.std() > 0.01
    torch.testing.assert_close(reward(RECORDS).values, expected, rtol=0, atol=1e-5)
    reward.token_budget = 20
    finished: list[int] = []
    torch.testing.assert_close(reward(RECORDS, progress=finished.append).values, expected, rtol=0, atol=1e-5)
    assert sum(finished) == 5
    assert len(finished) > 2


def test_a_cross_encoder_abstains_where_it_cannot_judge(tmp_path: Path, picture: Any) -> None:
    bert(tmp_path)
    reward = load_classifier(tmp_path, device="cpu")
    records = [Record.of("q", ["a", "word " * 60]), Record.of([picture(), "q"], ["a"])]
    scores = reward(records)
    assert scores.status == (Status.OK, Status.TOO_LONG, Status.UNSUPPORTED_MODALITY)
    assert "48" in scores.messages[1]


def test_a_cross_encoder_is_known_by_its_weights_and_label(tmp_path: Path) -> None:
    model, tokenizer = bert(tmp_path)
    first, again = (load_classifier(tmp_path, device="cpu") for _ in range(2))
    assert first.fingerprint() == again.fingerprint()
    assert PairClassifier(model, tokenizer, 1).fingerprint() != first.fingerprint()
    with torch.no_grad():
        model.classifier.bias.add_(1)
    assert PairClassifier(model, tokenizer).fingerprint() != first.fingerprint()


def test_a_text_cannot_write_the_separator(tmp_path: Path) -> None:
    model, tokenizer = bert(tmp_path)
    reward = PairClassifier(model, tokenizer)
    separator = tokenizer.sep_token_id
    pair = reward._pair(0, (Message("user", Record.of("q", []).prompt[0].parts),), Record.of("a<sep>b", []).prompt)
    assert pair.inputs["input_ids"][0].tolist().count(separator) == 2


def test_a_causal_classifier_without_chat_template_is_a_pair_classifier(tmp_path: Path) -> None:
    model, tokenizer = saved(LlamaForSequenceClassification, LlamaConfig, tmp_path, chat=False)
    reward = load_classifier(tmp_path, device="cpu")
    assert isinstance(reward, PairClassifier)
    with torch.no_grad():
        expected = model(**tokenizer("count to three", "one two three", return_tensors="pt")).logits[0, 0]
    torch.testing.assert_close(reward(RECORDS[1:]).values[0], expected, rtol=0, atol=1e-5)
