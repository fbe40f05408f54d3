"""One or more examples of everything of a kind, and the walk that finds what has none."""

import importlib
import inspect
import pkgutil
from types import ModuleType

from assay import transforms
from assay.media import Image
from assay.records import Message, Rating, Record, Response
from assay.rewards import rules
from assay.rewards.base import chain, combine
from assay.testing import learned_reward, tiny_llava

RULES = {
    "length": [rules.length(per_words=4), rules.length(per_characters=20)],
    "format": [rules.format(r"[a-z ]+"), rules.format(r"\d+", timeout=2.0)],
    "exact_match": [rules.exact_match(), rules.exact_match("gold", normalise=str.strip)],
    "numeric_match": [rules.numeric_match(), rules.numeric_match("gold", tolerance=0.5)],
    "math_match": [rules.math_match(), rules.math_match("gold", timeout=2)],
    "picture_statistics": [rules.picture_statistics()],
    "film_statistics": [rules.film_statistics()],
    "sound_likeness": [rules.sound_likeness()],
}

TRANSFORMS = {
    "clip": [transforms.clip(-0.5, 0.5), transforms.clip(high=0.25)],
    "scale": [transforms.scale(mean=1.0, std=2.0)],
    "log_sigmoid": [transforms.log_sigmoid(), transforms.log_sigmoid(reference=1.5)],
    "sigmoid": [transforms.sigmoid()],
    "negate": [transforms.negate()],
    "unit_range": [transforms.unit_range(-1.0, 5.0)],
    "percentile": [transforms.percentile([-1.0, 0.0, 0.0, 0.5, 2.0])],
    "temperature": [transforms.temperature(2.5)],
    "isotonic": [transforms.isotonic([-1.0, 0.5, 2.0], [0.1, 0.4, 1.0]), transforms.isotonic([0.0], [0.25])],
}
PER_RECORD = {
    "prompt_centred": [transforms.prompt_centred()],
    "prompt_standardised": [transforms.prompt_standardised(), transforms.prompt_standardised(epsilon=0.1)],
    "anchored": [transforms.anchored({"a": 0.5, "b": -1.0, "c": 0.0})],
}

OF_STEPS = {
    "aggregate_steps": [transforms.aggregate_steps(transforms.steps.minimum)],
    "clip_delta": [transforms.clip_delta(0.5), transforms.clip_delta(0.5, delta=False)],
}

COMBINATIONS = {
    "weighted_sum": [transforms.weighted_sum(1.0, -0.25)],
    "mean": [transforms.mean()],
    "worst_case": [transforms.worst_case()],
    "ensemble": [transforms.ensemble(k=1.0), transforms.ensemble(k=-0.5)],
    "gate": [transforms.gate(0.1), transforms.gate(0.1, floor=-1.0)],
    "median": [transforms.median()],
    "best_case": [transforms.best_case()],
    "product": [transforms.product()],
    "mean_minus_variance": [transforms.mean_minus_variance(k=0.5), transforms.mean_minus_variance(k=-1.0)],
    "log_sum_exp": [transforms.log_sum_exp(), transforms.log_sum_exp(temperature=-0.1)],
    "conjunction": [transforms.conjunction(), transforms.conjunction(0.5, -0.5)],
    "disagreement": [transforms.disagreement()],
}

LENGTH = rules.length(per_words=4)
COMPOSED = [
    chain(LENGTH, transforms.clip(0, 1), transforms.negate()),
    chain(rules.exact_match(), transforms.scale(mean=0.5, std=0.5), transforms.log_sigmoid(reference=0.5)),
    combine(LENGTH, rules.exact_match(), by=transforms.weighted_sum(-0.2, 1.0)),
    combine(rules.numeric_match("gold"), LENGTH, by=transforms.gate(0.5), abstain=transforms.all_abstain),
    combine(LENGTH, chain(LENGTH, transforms.sigmoid()), by=transforms.ensemble(), abstain=transforms.fewer_than(2)),
    chain(combine(LENGTH, rules.format("[a-z]+"), by=transforms.worst_case()), transforms.clip(high=2)),
]
LEARNED = [
    learned_reward(),
    chain(learned_reward(seed=1), transforms.scale(mean=0.1, std=0.5)),
    combine(learned_reward(), learned_reward(seed=1), by=transforms.ensemble(k=0.5)),
    learned_reward(tiny_llava()),
]
PLAIN = [reward for examples in RULES.values() for reward in examples] + COMPOSED
REWARDS = PLAIN + LEARNED


def made_by(package: ModuleType, *returns: str) -> set[str]:
    """Names of the public functions of a package's modules whose return annotation is one of these."""
    found: set[str] = set()
    for item in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        module = importlib.import_module(item.name)
        for name, value in vars(module).items():
            if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_"):
                annotation = value.__annotations__.get("return")
                if annotation in returns:
                    found.add(name)
    return found


RECORDS = [
    Record.of("How many?", ["there are four", "4", "", "4"], id="count", feedback=[Rating(1, 1.0)], answer="4", gold=4),
    Record.of("Say it.", ["a much longer text " * 9], id="one", answer="say it", gold="none", label=1),
    Record.of("Nothing known.", ["unknown", "a\nb \N{GRINNING FACE}"], id="bare"),
    Record.of("No answers.", [], id="none", answer="x"),
    Record.of("Half?", ["$\\frac{1}{2}$", "0.5", "two"], id="half", answer="1/2", gold=0.5),
]
UNREADABLE = Record(
    "unreadable",
    (Message("user", (Image.from_bytes(b"this is no picture"),)),),
    (Response.of("a text"), Response.of(Image.from_bytes(b"neither is this"))),
    context={"answer": "a text", "gold": 1},
)
