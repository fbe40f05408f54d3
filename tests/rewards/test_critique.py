import math
from functools import partial

import pytest
import torch

from assay.media import Image
from assay.models.checkpoint import CheckpointError
from assay.models.heads import ScalarHead
from assay.models.heads.critique import CritiqueHead
from assay.models.reading import from_first_step
from assay.objectives.pairwise import bradley_terry
from assay.records import Critique, Message, Preference, Record, Response
from assay.rewards.critique import (
    CritiqueReward,
    critique_reward,
    language_head,
    with_critique,
    with_critiques,
)
from assay.rewards.learned import LearnedReward
from assay.rewards.load import load
from assay.scores import Status
from assay.testing import tiny_llava, tiny_text
from assay.training.budgets import Steps
from assay.training.critiques import on_critiques
from assay.training.loop import train
from assay.training.settings import Settings
from assay.training.supervision import supervise
from assay.training.terms import together

COLOURS = ("red", "green", "blue", "yellow")


def rows(count, start=0):
    """The answer that repeats the colour asked for is right, and its critique says so."""
    made = []
    for i in range(start, start + count):
        colour, other = COLOURS[i % 4], COLOURS[(i + 1 + i // 4 % 3) % 4]
        feedback = (Preference(0, 1), Critique(0, "The answer is right."), Critique(1, "It is false or rude."))
        made.append(Record.of(f"say {colour}", [f"I say {colour}", f"I say {other}"], id=str(i), feedback=feedback))
    return made


def untrained(backbone=None, **options):
    backbone = backbone or tiny_text(3)
    words = backbone.module.get_input_embeddings().weight
    return critique_reward(backbone, words, **options)


@pytest.fixture(scope="module")
def critic():
    torch.manual_seed(0)
    supervision = together((supervise(bradley_terry), 1.0), (on_critiques, 1.0))
    settings = Settings(budget=Steps(200), batch=12, learning_rate=3e-3)
    result = train(untrained(), with_critiques(rows(12)), supervision, settings)
    return CritiqueReward(result.reward, longest=12), result


def test_training_teaches_to_write_and_to_score(critic):
    reward, result = critic
    nats = [entry["critique_nats"] for entry in result.history]
    assert nats[-1] < 0.3 * nats[0]
    scores = reward(rows(12))
    assert set(scores.status) == {Status.OK}
    pairs = scores.values.reshape(-1, 2)
    assert (pairs[:, 0] > pairs[:, 1]).float().mean() >= 0.9
    right = [text == "The answer is right." for text in scores.critiques[::2]]
    wrong = [text == "It is false or rude." for text in scores.critiques[1::2]]
    assert sum(right) + sum(wrong) >= 20


def test_the_score_is_that_of_the_critique_it_wrote(critic):
    reward, _ = critic
    record = rows(1)[0]
    scores = reward([record])
    told = [with_critique(response, text) for response, text in zip(record.responses, scores.critiques, strict=True)]
    again = reward.reward([Record(record.id, record.prompt, tuple(told))])
    torch.testing.assert_close(scores.values, again.values)
    other = reward.reward([Record(record.id, record.prompt, (with_critique(record.responses[0], "It is false."),))])
    assert abs(float(other.values[0] - scores.values[0])) > 1e-3


def test_scores_do_not_depend_on_what_else_is_in_the_batch(critic):
    reward, _ = critic
    records = rows(6)
    together_ = reward(records)
    alone = [reward([record]) for record in records]
    torch.testing.assert_close(together_.values, torch.cat([each.values for each in alone]), atol=1e-4, rtol=1e-4)
    assert together_.critiques == tuple(text for each in alone for text in each.critiques)


def test_it_is_saved_and_comes_back_the_same(critic, tmp_path):
    reward, _ = critic
    reward.save(tmp_path / "critic")
    again = load(str(tmp_path / "critic"))
    assert isinstance(again, CritiqueReward)
    assert again.longest == 12
    assert again.fingerprint() == reward.fingerprint()
    before, after = reward(rows(3)), again(rows(3))
    assert torch.equal(before.values, after.values)
    assert before.critiques == after.critiques


def test_a_critique_is_bounded():
    short = CritiqueReward(untrained(), longest=3)
    texts = short.write(rows(2))
    longer = CritiqueReward(untrained(), longest=6).write(rows(2))
    assert all(len(text) <= len(other) for text, other in zip(texts, longer, strict=True))
    assert any(len(text) < len(other) for text, other in zip(texts, longer, strict=True))


def test_a_critique_never_writes_the_mark_of_a_picture():
    backbone = tiny_llava(3, image_size=32)
    reward = untrained(backbone)
    mark = backbone.tokenizer.convert_tokens_to_ids("<image>")
    picture = Image.from_array(torch.full((32, 32, 3), 200, dtype=torch.uint8).numpy())
    record = Record.of([picture, "what is it?"], ["red", "blue"])
    with torch.no_grad():
        opened = Record("0", record.prompt, tuple(with_critique(each, "") for each in record.responses))
        states = torch.cat(reward.model.states(reward.prepare([opened]).batch))
        reward.head.words.weight[mark] = 100.0 * states.mean(0)
        assert (reward.head.logits(states).argmax(-1) == mark).any()
    scores = CritiqueReward(reward, longest=3)([record])
    assert set(scores.status) == {Status.OK}
    assert all(text and "<image>" not in text for text in scores.critiques)


def test_greedy_tokens_are_those_of_the_whole_sequence_without_sharing():
    reward = CritiqueReward(untrained(), longest=4)
    record = rows(1)[0]
    opened = Record("0", record.prompt, (with_critique(record.responses[0], ""),))
    sequence = reward.reward.prepare([opened]).batch.groups[0][0]
    ids = sequence.ids[: int(sequence.reads[0]) + 1]
    module, head = reward.backbone.module, reward.head
    said = []
    with torch.no_grad():
        for _ in range(4):
            hidden = module(input_ids=ids[None]).last_hidden_state[0, -1]
            said.append(int(head.logits(hidden).argmax()))
            ids = torch.cat([ids, torch.tensor(said[-1:])])
    text = reward.backbone.tokenizer.decode(said, skip_special_tokens=True).strip()
    assert reward.write([Record("0", record.prompt, record.responses[:1])])[0] == text


def test_log_probabilities_are_those_of_the_language_model():
    reward = untrained()
    record = Record("0", rows(1)[0].prompt, (with_critique(Response.of("I say red"), "The answer is right."),))
    batch = reward.prepare([record]).batch
    sequence = batch.groups[0][0]
    found = reward.outputs(batch).extra["critique"][0]
    with torch.no_grad():
        hidden = reward.backbone.module(input_ids=sequence.ids[None]).last_hidden_state[0]
        logp = reward.head.logits(hidden).log_softmax(-1)
    start = int(sequence.reads[0])
    expected = logp[start:-1].gather(1, sequence.ids[start + 1 :, None]).squeeze(1)
    torch.testing.assert_close(found[:-1], expected, atol=1e-5, rtol=1e-5)
    assert math.isnan(float(found[-1]))
    decoded = reward.backbone.tokenizer.decode(sequence.ids[start + 1 :])
    assert decoded.startswith(" The answer is right.")


def test_runs_of_reads_change_neither_numbers_nor_gradients(monkeypatch):
    from assay.models.heads import critique
    from assay.models.outputs import States

    def found():
        head = CritiqueHead(8, 30, seed=2)
        hidden = torch.randn(7, 8, generator=torch.Generator().manual_seed(1)).requires_grad_()
        outputs = head(States(hidden, (4, 3), following=torch.tensor([3, 29, 0, -1, 5, 6, -1])))
        outputs.extra["critique"].nansum().backward()
        return outputs.extra["critique"], hidden.grad, head.words.weight.grad

    whole = found()
    monkeypatch.setattr(critique, "_RUN", 2)
    for one, other in zip(whole, found(), strict=True):
        torch.testing.assert_close(one, other, equal_nan=True)
    assert whole[0].isnan().tolist() == [[False, False, False, True], [False, False, True, True]]


def test_rows_without_a_critique_teach_no_words_but_still_compare():
    record = Record.of("say red", ["I say red", "I say blue"], feedback=(Preference(0, 1), Critique(1, "It is false.")))
    reward = untrained()
    read = with_critiques([record])
    assert [len(response.step_ends) for response in read[0].responses] == [0, 1]
    outputs = reward.outputs(reward.prepare(read).batch)
    assert outputs.extra["critique"][0].isnan().all()
    assert len(on_critiques(outputs, read).items) == 1
    assert len(supervise(bradley_terry)(outputs, read).items) == 1


def test_critiques_of_pictures_and_after_tools():
    picture = Image.from_array(torch.full((64, 64, 3), 200, dtype=torch.uint8).numpy())
    backbone = tiny_llava()
    reward = CritiqueReward(untrained(backbone), longest=3)
    scores = reward([Record.of([picture, "what colour?"], ["red", "blue"], id="p")])
    assert set(scores.status) == {Status.OK}
    assert all(isinstance(text, str) for text in scores.critiques)
    tooled = Response(
        (*Response.of("red").messages, *Response.of(Message("tool", Response.of("x").messages[0].parts)).messages)
    )
    assert [message.role for message in with_critique(tooled, "fine").messages] == ["assistant", "tool", "assistant"]


def test_a_response_that_cannot_be_read_has_no_critique():
    reward = CritiqueReward(untrained(max_length=40), longest=3)
    scores = reward([Record.of("say red", ["I say red", "word " * 200], id="r")])
    assert scores.status == (Status.OK, Status.TOO_LONG)
    assert isinstance(scores.critiques[0], str)
    assert scores.critiques[1] is None


def test_the_head_of_a_checkpoint_is_its_own_output_layer(tmp_path):
    from transformers import LlamaForCausalLM

    backbone = tiny_text(5)
    torch.manual_seed(1)
    model = LlamaForCausalLM(backbone.config)
    model.save_pretrained(tmp_path)
    backbone.tokenizer.save_pretrained(tmp_path)
    assert torch.equal(language_head(tmp_path), model.lm_head.weight)
    reward = critique_reward(tmp_path)
    assert torch.equal(reward.head.words.weight, model.lm_head.weight)
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        hidden = reward.backbone.module(input_ids=ids).last_hidden_state
        torch.testing.assert_close(reward.head.logits(hidden), model.eval()(ids).logits)


def test_what_writes_no_critiques_is_refused(tmp_path):
    plain = LearnedReward.fresh(tiny_text())
    with pytest.raises(ValueError, match="writes no critiques"):
        CritiqueReward(plain)
    plain.save(tmp_path / "plain")
    with pytest.raises(CheckpointError, match="ScalarHead"):
        CritiqueReward.load(tmp_path / "plain")
    with pytest.raises(ValueError, match="language_head"):
        critique_reward(tiny_text())
    outputs = plain.outputs(plain.prepare(rows(1)).batch)
    with pytest.raises(ValueError, match="CritiqueHead"):
        on_critiques(outputs, rows(1))
    with pytest.raises(ValueError, match="at least 1"):
        CritiqueReward(untrained(), longest=0)


def test_a_head_may_cap_its_logits():
    capped = CritiqueHead(8, 12, softcap=2.0)
    assert capped.logits(100 * torch.randn(5, 8)).abs().max() <= 2.0
    assert partial(CritiqueHead, **capped.options())().softcap == 2.0
    assert from_first_step.__module__ == "assay.models.reading"
    assert isinstance(ScalarHead(8), torch.nn.Module)
