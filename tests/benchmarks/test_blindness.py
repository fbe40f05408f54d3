from __future__ import annotations

import random

import numpy as np
import pytest

from assay.benchmarks.base import clusters, pairs_of, values_of
from assay.benchmarks.probes.blindness import PICTURE_PROBES, PROMPT_PROBES, blindness
from assay.media import Image
from assay.records import Preference, Record
from assay.rewards.base import Spec, score, scores_of
from assay.worlds.questions import question_records

BLANK, NOISE, SWAPPED = PICTURE_PROBES
DROPPED, SWAPPED_PROMPT = PROMPT_PROBES


def brightness(picture: Image) -> float:
    return float(np.asarray(picture.pil(), dtype=float).mean())


def flat(value: int) -> Image:
    import PIL.Image

    return Image.from_pil(PIL.Image.new("RGB", (8, 8), (value, value, value)))


def records_of(count: int = 60) -> list[Record]:
    """Is the picture dark or bright? One in five answers is mislabelled."""
    rng = random.Random(0)
    made = []
    for number in range(count):
        value = rng.choice([20 + number % 40, 235 - number % 40])
        better = int(value > 127) ^ int(rng.random() < 0.2)
        question = f"is picture {number} dark or bright?"
        made.append(
            Record.of(
                [flat(value), question], ["dark", "bright"], id=str(number), feedback=[Preference(better, 1 - better)]
            )
        )
    return made


class Looks:
    spec = Spec(modalities=frozenset({"text", "image"}))

    def __call__(self, records):
        values = []
        for record in records:
            shade = next(brightness(part) for part in record.parts() if isinstance(part, Image)) - 127
            asked = 1.0 if record.prompt[0].text else 0.2
            values += [asked * (shade if response.text == "bright" else -shade) for response in record.responses]
        return scores_of(records, values)


def guesses(records):
    return scores_of(records, [float(r.text == "bright") for record in records for r in record.responses])


def measured(probe, reward, records):
    values = values_of(reward, score(reward, records))
    return blindness(probe, reward, records, values, pairs_of(records), clusters(records))


def test_a_reward_that_looks_loses_its_accuracy_with_the_wrong_picture():
    records = records_of()
    effect = measured(SWAPPED, Looks(), records)
    assert effect.is_healthy
    assert effect.change.high < 0
    assert effect.changed == 60
    original = pairs_of(records).outcomes(values_of(Looks(), score(Looks(), records))).mean()
    assert effect.change.value == pytest.approx(effect.accuracy.value - original)
    assert effect.flipped > 0.2
    assert effect.movement.value > 0.5


def test_a_reward_that_never_looks_is_untouched_and_not_healthy():
    for probe in PICTURE_PROBES:
        effect = measured(probe, guesses, records_of())
        assert not effect.is_healthy
        assert (effect.change.value, effect.movement.value, effect.shift.value, effect.flipped) == (0, 0, 0, 0)


def test_effects_are_in_units_of_the_rewards_own_spread():
    records = records_of()

    class Louder(Looks):
        def __call__(self, records):
            scores = super().__call__(records)
            return scores.replace(values=scores.values * 1000)

    quiet, loud = measured(NOISE, Looks(), records), measured(NOISE, Louder(), records)
    assert loud.movement.value == pytest.approx(quiet.movement.value)
    assert loud.shift.value == pytest.approx(quiet.shift.value, abs=1e-9)


def test_dropping_the_prompt_moves_margins_even_where_accuracy_stays():
    effect = measured(DROPPED, Looks(), records_of())
    assert effect.change.value == 0
    assert effect.movement.low > 0.1
    assert effect.is_healthy
    assert not measured(DROPPED, guesses, records_of()).is_healthy


def test_swapping_the_prompt_leaves_the_picture():
    effect = measured(SWAPPED_PROMPT, Looks(), records_of())
    assert effect.change.value == 0
    assert effect.changed == 60


def test_only_records_that_could_be_changed_are_compared():
    mixed = [*records_of(20), Record.of("no picture", ["dark", "bright"], id="t", feedback=[Preference(0, 1)])]

    class Tolerant(Looks):
        def __call__(self, records):
            values = []
            for record in records:
                shown = any(isinstance(part, Image) for part in record.parts())
                values += Looks()([record]).values.tolist() if shown else [0.0, 1.0]
            return scores_of(records, values)

    effect = measured(SWAPPED, Tolerant(), mixed)
    assert effect.changed == 20
    assert np.isnan(effect.outcomes[-1])
    assert effect.accuracy.n == 20
    text = [Record.of("no picture", ["a", "b"], id="t", feedback=[Preference(0, 1)])]
    assert measured(BLANK, guesses, text) is None


def test_a_score_within_its_group_has_no_level_to_shift():
    class Relative(Looks):
        spec = Spec(modalities=frozenset({"text", "image"}), scale="within_group")

    effect = measured(BLANK, Relative(), records_of())
    assert effect.shift.n == 0
    assert effect.movement.n == 60


def test_lower_is_better_is_turned_round():
    class Cost(Looks):
        spec = Spec(modalities=frozenset({"text", "image"}), better="lower")

        def __call__(self, records):
            scores = super().__call__(records)
            return scores.replace(values=-scores.values)

    assert measured(SWAPPED, Cost(), records_of()).change.high < 0


def test_it_runs_on_a_world_of_scenes():
    records = question_records(40)
    effect = measured(BLANK, guesses, records)
    assert effect.changed == 40
    assert not effect.is_healthy
