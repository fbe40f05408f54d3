"""Towers: what each class computes alone, missing modalities as NaN, everything encoded once, saved and adapted."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assay.benchmarks.verify import verify
from assay.media import Audio, Image, Text, Video
from assay.models.checkpoint import CheckpointError
from assay.models.features import FeatureStore
from assay.models.frames import Frames
from assay.models.heads.dual import DualEncoderHead
from assay.models.heads.fusion import ConcatFusionHead, SequentialFusionHead
from assay.models.pools import AttentionPool
from assay.models.prepare import truncate_prompt
from assay.models.reading import step_ends
from assay.models.tower_files import load_towers
from assay.models.tower_kinds import last_token
from assay.models.towers import Pretrained, Tower, Towers, of_both, of_prompt, of_response, towers_from
from assay.objectives.pairwise import bradley_terry, hinge
from assay.records import Preference, Record, Response
from assay.rewards.learned import LearnedReward
from assay.scores import Status
from assay.testing import tiny_bert, tiny_clap, tiny_clip, tiny_siglip, tiny_text, tiny_whisper
from assay.training import freeze
from assay.training.budgets import Steps
from assay.training.describe import describe
from assay.training.evaluation import evaluate
from assay.training.loop import train
from assay.training.settings import Lora, Settings
from assay.training.supervision import supervise
from assay.worlds.films import tune

ASKED = Tower("asked", "clip", Text, of_prompt)
SEEN = Tower("seen", "clip", Image, of_response)


def picture(seed: int, colour: tuple[int, int, int] | None = None) -> Image:
    noise = np.random.default_rng(seed).integers(0, 60, (40, 50, 3), dtype=np.uint8)
    return Image.from_array(noise + np.array(colour or (0, 0, 0), np.uint8))


def film(seed: int, count: int = 6) -> Video:
    return Video.from_frames([picture(100 * seed + n) for n in range(count)], fps=4.0)


def clip(**options: Any) -> Towers:
    return towers_from({"clip": tiny_clip()}, [ASKED, SEEN], **options)


def everything(width: int | None = 16) -> Towers:
    models = {"bert": tiny_bert(), "clip": tiny_clip(), "clap": tiny_clap(), "whisper": tiny_whisper()}
    towers = [
        Tower("asked", "bert", Text, of_prompt),
        Tower("answer", "clip", Text, of_response),
        Tower("seen", "clip", Image, of_both),
        Tower("heard", "clap", Audio, of_both),
        Tower("spoken", "whisper", Audio, of_response),
        Tower("film", "clip", Video, of_response, pool=AttentionPool, frames=Frames(count=3)),
    ]
    return towers_from(models, towers, width=width)


def mixed() -> list[Record]:
    return [
        Record.of([Text("What is it?"), picture(1)], ["a text", Response.of([picture(2), Text("both")]), "a text"]),
        Record.of("Sing.", [Response.of(tune(["low"])), Response.of([film(1), Text("look")]), Response.of(film(2))]),
        Record.of(picture(1), [Response.of([tune(["high"]), picture(3)])]),
    ]


def states(towers: Towers, records: list[Record], **options: Any) -> Tensor:
    with torch.no_grad():
        return torch.stack(towers.encode(towers.prepare(records).batch, **options))


def test_states_are_what_the_classes_compute_alone() -> None:
    towers, image, sound = everything(), picture(2), tune(["high", "low"])
    inner = towers.inner
    record = Record.of("What is it?", [Response.of([Text("a text"), image, sound])])
    found = states(towers, [record])[0]
    clip_, clap, whisper, bert = (towers.preprocessors[name] for name in ("clip", "clap", "whisper", "bert"))
    models = inner.models

    def ids(own: Pretrained, text: str) -> dict[str, Tensor]:
        return dict(own.tokenizer(text, return_tensors="pt", return_token_type_ids=False))

    with torch.no_grad():
        expected = {
            "asked": models["bert"](**ids(bert, "What is it?")).last_hidden_state[0].mean(0),
            "answer": models["clip"].get_text_features(**ids(clip_, "a text")).pooler_output[0],
            "seen": models["clip"]
            .get_image_features(**clip_.images(image.pil(), return_tensors="pt"))
            .pooler_output[0],
            "heard": models["clap"]
            .get_audio_features(**clap.sounds(sound.mono(16000).numpy(), sampling_rate=16000, return_tensors="pt"))
            .pooler_output[0],
        }
        mel = whisper.sounds(sound.mono(16000).numpy(), sampling_rate=16000, return_attention_mask=True)
        hidden = models["whisper"].encoder(torch.tensor(np.array(mel["input_features"]))).last_hidden_state[0]
        expected["spoken"] = hidden[: (int(np.array(mel["attention_mask"]).sum()) + 1) // 2].mean(0)
        for row, tower in zip(found, towers.towers, strict=True):
            if tower.name == "film":
                assert row.isnan().all()
            else:
                torch.testing.assert_close(row, inner.maps[tower.name](expected[tower.name]), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "text"), [(tiny_clip, {}), (tiny_siglip, {"padding": "max_length", "max_length": 64}), (tiny_clap, {})]
)
def test_texts_of_a_joint_space_are_those_of_the_class(make: Callable[[], Pretrained], text: dict[str, Any]) -> None:
    own = make()
    towers = towers_from({"m": own}, [Tower("asked", "m", Text, of_prompt), Tower("answer", "m", Text, of_response)])
    answers = ["a red circle", "no", "a very long answer about the weather of tomorrow and the day after"]
    found = states(towers, [Record.of("Is there a circle?", answers)])
    given = own.tokenizer(answers[2], return_tensors="pt", return_token_type_ids=False, **text)
    with torch.no_grad():
        expected = own.module.get_text_features(
            input_ids=given["input_ids"], attention_mask=None if text else given["attention_mask"]
        ).pooler_output
    torch.testing.assert_close(found[2, 1], expected[0], rtol=0, atol=1e-5)
    assert (found[0, 0] - found[2, 1]).abs().max() > 1e-3


def test_a_decoder_is_read_at_its_last_token() -> None:
    llama = tiny_text(chat=False)
    own = Pretrained(llama.module, llama.tokenizer)
    towers = towers_from({"llama": own}, [Tower("answer", "llama", Text, of_response, over=last_token)])
    found = states(towers, [Record.of("q", ["short", "a much longer answer than that"])])
    with torch.no_grad():
        for row, text in zip(found, ["short", "a much longer answer than that"], strict=True):
            alone = llama.module(**llama.tokenizer(text, return_tensors="pt")).last_hidden_state[0, -1]
            torch.testing.assert_close(row[0], alone, rtol=0, atol=1e-5)


def test_what_is_missing_is_nan_and_company_changes_nothing() -> None:
    towers = everything()
    together = states(towers, mixed())
    alone = [states(towers, [replace(r, responses=(answer,))])[0] for r in mixed() for answer in r.responses]
    torch.testing.assert_close(together, torch.stack(alone), rtol=0, atol=1e-5, equal_nan=True)
    present = ~together.isnan().any(-1)
    asked, answer, seen, heard, spoken, film_ = range(6)
    assert [set(row.nonzero().flatten().tolist()) for row in present] == [
        {asked, answer, seen},
        {asked, answer, seen},
        {asked, answer, seen},
        {asked, heard, spoken},
        {asked, answer, film_},
        {asked, film_},
        {seen, heard, spoken},
    ]
    assert torch.equal(together.isnan().any(-1), together.isnan().all(-1))
    torch.testing.assert_close(together[0], together[2], equal_nan=True)


def test_every_text_and_medium_is_encoded_once() -> None:
    towers = clip()
    calls: list[int] = []
    text = towers.inner.models["clip"].get_submodule("text_model")
    text.register_forward_hook(lambda _module, _given, made: calls.append(len(made.pooler_output)))
    store = FeatureStore()
    shown = picture(4)
    record = Record.of("Is it right?", [Response.of(shown if n % 2 else picture(5)) for n in range(8)])
    for _ in range(2):
        states(towers, [record], features=store)
    assert store.tower_images == 2
    assert calls == [1, 1]
    ((_, pictures),) = towers.stores.items()
    assert (pictures.decoded, pictures.preprocessed) == (2, 2)


def test_one_space_is_used_as_it_is_and_others_need_a_width() -> None:
    assert clip().hidden_size == 24
    assert not list(clip().inner.maps.parameters())
    models = {"clip": tiny_clip(), "bert": tiny_bert()}
    towers = [Tower("asked", "bert", Text, of_prompt), SEEN]
    with pytest.raises(ValueError, match="give width="):
        towers_from(models, towers)
    assert towers_from(models, towers, width=10).hidden_size == 10


@pytest.mark.parametrize(
    ("models", "towers", "message"),
    [
        ({"clip": tiny_clip}, [Tower("heard", "clip", Audio, of_response)], "reads no audio"),
        ({"bert": tiny_bert}, [Tower("seen", "bert", Image, of_response)], "reads no image"),
        ({"whisper": tiny_whisper}, [Tower("asked", "whisper", Text, of_prompt)], "reads no text"),
        ({"clip": tiny_clip}, [Tower("seen", "siglip", Image, of_response)], "the models are"),
        ({"clip": tiny_clip}, [SEEN, SEEN], "different names"),
        ({"clip": tiny_clip}, [replace(SEEN, name="a b")], "identifiers"),
        ({"clip": lambda: Pretrained(tiny_clip().module)}, [SEEN], "images="),
        ({"clip": tiny_clip}, [], "different names"),
    ],
)
def test_towers_that_cannot_be_are_refused(models: Any, towers: list[Tower], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        towers_from({name: make() for name, make in models.items()}, towers)


def test_failures_are_typed_and_the_others_go_on(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(picture(1).read()[:200])
    long, same = "why " * 100, picture(3)
    records = [
        Record.of("q", [Response.of(Image.from_path(broken)), Response.of(picture(2))]),
        Record.of([Text("q"), same], [Response.of(same)]),
        Record.of("q", [Response.of(tune(["low"]))]),
        Record.of(long, [Response.of(picture(2))]),
        Record.of("", [Response.of("")]),
    ]
    towers = clip()
    prepared = towers.prepare(records)
    wanted = (Status.UNREADABLE_MEDIA, Status.OK, Status.UNSUPPORTED_MODALITY, Status.UNSUPPORTED_MODALITY)
    assert prepared.status == (*wanted, Status.TOO_LONG, Status.EMPTY)
    assert "prompt's image" in prepared.messages[2]
    assert "response's audio" in prepared.messages[3]
    cut = towers.prepare(records, on_too_long=truncate_prompt)
    assert cut.status[4] is Status.OK
    (sequence,) = cut.batch.groups[1]
    own = towers.preprocessors["clip"].tokenizer
    text = sequence.ids[sequence.types == 0].tolist()
    assert len(text) == 77
    assert (text[0], text[-1]) == (own.bos_token_id, own.eos_token_id)
    assert sequence.truncated
    with pytest.raises(ValueError, match="no tower looks at the prompt"):
        towers_from({"clip": tiny_clip()}, [SEEN]).prepare(records, prompt=True)
    with pytest.raises(ValueError, match="step_ends reads nothing"):
        towers.prepare(records, read=step_ends)


def test_sounds_longer_than_a_model_hears_are_too_long_not_cut() -> None:
    looks = [Tower("clap", "clap", Audio, of_response), Tower("whisper", "whisper", Audio, of_response)]
    models = {"clap": tiny_clap(), "whisper": tiny_whisper(seconds=4)}
    for tower, seconds in zip(looks, (1, 4), strict=True):
        towers = towers_from({tower.name: models[tower.name]}, [tower])
        beeps = [tune(["low"] * count, seconds=0.4) for count in (1, 10)]  # 0.6 s and 6 s with their pauses
        prepared = towers.prepare([Record.of("q", [Response.of(sound) for sound in beeps])])
        assert prepared.status == (Status.OK, Status.TOO_LONG)
        assert f"hears {'' if tower.name == 'clap' else 'at most '}{seconds} s" in prepared.messages[1]


def test_a_text_cannot_end_itself() -> None:
    towers = clip()
    (sequence,) = towers.prepare([Record.of("a<eos>b", [Response.of(picture(1))])]).batch.groups[0]
    text = sequence.ids[sequence.types == 0]
    assert int((text == towers.preprocessors["clip"].tokenizer.eos_token_id).sum()) == 1


def test_a_reward_abstains_where_a_needed_modality_is_missing() -> None:
    reward = LearnedReward(clip(), DualEncoderHead(24, scale=5.0))
    scores = reward([Record.of("a circle", [Response.of(picture(1)), "only text", Response.of(picture(2))])])
    assert scores.status == (Status.OK, Status.MISSING_CONTEXT, Status.OK)
    assert scores.values.isnan().tolist() == [False, True, False]
    with torch.no_grad():
        own = reward.backbone.inner.models["clip"]
        text = own.get_text_features(
            **tiny_clip().tokenizer("a circle", return_tensors="pt", return_token_type_ids=False)
        )
        seen = own.get_image_features(**tiny_clip().images(picture(2).pil(), return_tensors="pt"))
    expected = 5 * F.cosine_similarity(text.pooler_output, seen.pooler_output)
    torch.testing.assert_close(scores.values[2], expected[0], rtol=0, atol=1e-5)


def heads() -> list[tuple[Callable[[], Towers], Callable[[], nn.Module]]]:
    return [
        (clip, lambda: DualEncoderHead(24, width=8)),
        (everything, lambda: ConcatFusionHead(16, 6, width=8)),
        (everything, lambda: SequentialFusionHead(16, 6, state=4, width=8)),
    ]


@pytest.mark.parametrize(("make", "head"), heads())
def test_a_saved_reward_scores_the_same(
    make: Callable[[], Towers], head: Callable[[], nn.Module], tmp_path: Path
) -> None:
    reward = LearnedReward(make(), head())
    records = [Record.of("a circle", [Response.of(picture(1)), Response.of(picture(2)), "text"])]
    before = reward(records)
    again = LearnedReward.load(reward.save(tmp_path / "saved"), device="cpu", dtype="float32")
    after = again(records)
    assert after.status == before.status
    torch.testing.assert_close(after.values, before.values, rtol=0, atol=1e-6, equal_nan=True)
    assert again.fingerprint() == reward.fingerprint()
    assert again.backbone.describe().startswith("towers asked")


def test_a_changed_preprocessor_is_refused(tmp_path: Path) -> None:
    place = LearnedReward(clip(), DualEncoderHead(24)).save(tmp_path / "saved")
    file = place / "clip" / "preprocessor_config.json"
    changed = file.read_text().replace('"do_normalize": true', '"do_normalize": 0   ')
    assert changed != file.read_text()
    file.write_text(changed)
    with pytest.raises(CheckpointError, match="not those this reward"):
        LearnedReward.load(place)


def world(count: int, seed: int) -> list[Record]:
    """Which of two pictures has the colour that the prompt names."""
    generator = np.random.default_rng(seed)
    colours = {"red": (180, 0, 0), "blue": (0, 0, 180)}
    made: list[Record] = []
    for number in range(count):
        wanted, other = generator.permutation(list(colours)).tolist()
        pair = [Response.of(picture(int(generator.integers(10**6)), colours[name])) for name in (wanted, other)]
        better = int(generator.integers(2))
        answers = pair if better == 0 else pair[::-1]
        made.append(
            Record.of(f"a {wanted} picture", answers, id=f"{seed}-{number}", feedback=[Preference(better, 1 - better)])
        )
    return made


PAIRS = supervise(bradley_terry)


@pytest.mark.parametrize(
    ("lora", "kept"), [(None, freeze.nothing), (Lora(rank=4), freeze.nothing), (None, freeze.backbone)]
)
def test_towers_learn_to_match_pictures_with_words(lora: Lora | None, kept: Any) -> None:
    reward = LearnedReward(clip(), DualEncoderHead(24, scale=3.0, width=16))
    records, held_out = world(48, 0), world(40, 1)
    before = evaluate(reward, held_out, PAIRS)
    settings = Settings(budget=Steps(40), batch=16, learning_rate=3e-3, lora=lora, freeze=kept)
    train(reward, records, PAIRS, settings)
    after = evaluate(reward, held_out, PAIRS)
    assert before["accuracy"] < 0.8
    assert after["accuracy"] > 0.9
    assert after["loss"] < before["loss"] - 0.2


def test_adapters_are_saved_alone_beside_saved_towers(tmp_path: Path) -> None:
    base = LearnedReward(clip(), DualEncoderHead(24, scale=3.0, width=16)).save(tmp_path / "base")
    reward = LearnedReward.load(base, device="cpu", dtype="float32")
    settings = Settings(budget=Steps(4), learning_rate=1e-2, lora=Lora(rank=2, merge=False))
    reward = train(reward, world(16, 0), PAIRS, settings).reward
    records = world(4, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alone = reward.save(tmp_path / "adapter", adapter=True)
        merged = reward.save(tmp_path / "merged")
    assert not (alone / "clip").exists()
    before = reward(records).values
    for place in (alone, merged):
        again = LearnedReward.load(place, device="cpu", dtype="float32")
        torch.testing.assert_close(again(records).values, before, rtol=0, atol=1e-5)
    fresh = train(LearnedReward(clip(), DualEncoderHead(24)), world(8, 0), PAIRS, settings).reward
    with pytest.raises(ValueError, match="save the untrained reward first"):
        fresh.save(tmp_path / "other", adapter=True)


def test_towers_load_from_checkpoint_directories(tmp_path: Path) -> None:
    own = tiny_clip()
    for part in (own.module, own.tokenizer, own.images):
        part.save_pretrained(tmp_path / "clip")  # type: ignore[operator]
    loaded = load_towers({"clip": tmp_path / "clip"}, [ASKED, SEEN], device="cpu", dtype="float32")
    records = [Record.of("a circle", [Response.of(picture(1))])]
    torch.testing.assert_close(states(loaded, records), states(clip(), records), rtol=0, atol=1e-6)
    assert loaded.fingerprints() == clip().fingerprints()


def test_hinge_on_the_cosine_is_an_objective_of_towers() -> None:
    reward = LearnedReward(clip(), DualEncoderHead(24, fixed=True))
    settings = Settings(budget=Steps(30), batch=16, learning_rate=3e-3)
    train(reward, world(48, 0), supervise(lambda chosen, rejected: hinge(chosen, rejected, margin=0.15)), settings)
    assert evaluate(reward, world(40, 1), PAIRS)["accuracy"] > 0.85


def test_a_frozen_model_encodes_each_picture_once_in_all_epochs() -> None:
    models = {"clip": tiny_clip(), "bert": tiny_bert()}
    towers = towers_from(models, [Tower("asked", "bert", Text, of_prompt), SEEN], width=16)
    reward = LearnedReward(towers, DualEncoderHead(16, scale=3.0))
    records = world(12, 0)
    kept = {name: weight.clone() for name, weight in towers.inner.models["clip"].state_dict().items()}
    settings = Settings(budget=Steps(6), batch=4, learning_rate=1e-2, freeze=freeze.models("clip"), recompute=True)
    train(reward, records, PAIRS, settings)
    assert reward.model.features.tower_images == 24
    assert all(torch.equal(weight, kept[name]) for name, weight in towers.inner.models["clip"].state_dict().items())
    with pytest.raises(ValueError, match="no tower model 'siglip'; it has clip, bert"):
        list(freeze.models("siglip")(reward))


def test_verify_certifies_a_reward_of_towers() -> None:
    reward = LearnedReward(clip(), DualEncoderHead(24, scale=5.0))
    certificate = verify(reward, [*world(6, 0), Record.of("a circle", ["only text", Response.of(picture(1))])])
    assert certificate.passed, str(certificate)


def test_a_dry_run_counts_without_encoding() -> None:
    reward = LearnedReward(clip(), DualEncoderHead(24))
    store = reward.model.features
    found = describe(reward, world(6, 0), [], PAIRS, Settings())
    assert (found["items"], found["abstaining"], store.tower_images) == (6, 0, 0)
    assert "once" in found["sharing"]
