"""How a reward is trained, as the command line says it: a recipe, a Python file, or an objective and a head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from assay.cli.inputs import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.models.condition import Condition
    from assay.records import Record
    from assay.training.plan import Training
    from assay.training.settings import Settings
    from assay.training.supervision import Objective, Supervision

RECIPE = "recipe:"


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for on the command line beside the objective; None and nothing are what was not."""

    head: str | None = None
    attributes: str | None = None
    levels: str | None = None
    aggregate: str | None = None
    read: str | None = None
    condition: str | None = None
    unknown_abstains: bool = False
    feedback: str | None = None
    criterion: str | None = None
    tie_theta: float | None = None
    centre: float | None = None
    head_bias: bool = False
    head_norm: bool = False
    max_length: int | None = None

    def options(self) -> list[str]:
        """The options that were given."""
        given = [name for name in self.__slots__ if getattr(self, name) not in (None, False)]
        return [f"--{name.replace('_', '-')}" for name in given]


def plan_of(reference: str) -> Training | None:
    """The training that ``recipe:NAME`` or ``file.py:name`` means (a `Training`, or a function that makes one without
    arguments); None where it names an objective.

    Raises:
        UsageError: there is no such recipe, or it is no training, or it has to be told more.
    """
    from assay.training.names import is_file, needed, value_of
    from assay.training.plan import Training

    if reference.startswith(RECIPE):
        return _recipe(reference.removeprefix(RECIPE))
    if not is_file(reference):
        return None
    found = value_of(reference)
    if isinstance(found, Training):
        return found
    if not callable(found):
        raise UsageError(f"{reference} is a {type(found).__name__}: name an objective, or a Training or what makes one")
    if needed(found):
        return None
    made: Any = found()
    if not isinstance(made, Training):
        raise UsageError(f"{reference} makes a {type(made).__name__}, not a Training (assay.training.plan)")
    return made


def plan_from(reference: str, asked: Asked, settings: Settings, records: Sequence[Record], seed: int) -> Training:
    """The training of one stage that an objective and the options describe.

    Raises:
        UsageError: options that do not fit the objective, the head or the data.
    """
    from assay.training import names
    from assay.training.fitting import Wishes, fitting
    from assay.training.plan import Stage, Training

    attributes, weights = _attributes(asked.attributes)
    levels = _levels(asked.levels)
    objective = _objective(reference, asked, levels)
    condition = _condition(asked, records)
    wishes = Wishes(
        kind=names.head(asked.head) if asked.head else None,
        attributes=attributes,
        weights=weights,
        levels=levels,
        aggregate=names.aggregate(asked.aggregate) if asked.aggregate else None,
        read=names.read(asked.read) if asked.read else None,
        condition=0 if condition is None else condition.width,
        bias=asked.head_bias,
        norm=asked.head_norm,
        seed=seed,
    )
    fits = fitting(objective, wishes)
    options: dict[str, Any] = {"read": fits.read, "condition": condition, "max_length": asked.max_length}
    return Training(fits.make, (Stage(_supervision(objective, asked), settings),), options)


def _recipe(name: str) -> Training:
    import importlib
    import inspect
    import pkgutil

    import assay.recipes
    from assay.training.names import needed

    known = sorted(info.name for info in pkgutil.iter_modules(assay.recipes.__path__))
    if name not in known:
        raise UsageError(f"{RECIPE}{name}: no such recipe; there are {', '.join(known)}")
    function = getattr(importlib.import_module(f"assay.recipes.{name}"), name)
    kind = str(inspect.signature(function).return_annotation)
    use = f"from assay.recipes.{name} import {name}"
    if kind != "Training":
        raise UsageError(f"{RECIPE}{name} makes a {kind}, which is not trained by itself: use it in Python, {use}")
    wanted = needed(function)
    if wanted:
        raise UsageError(
            f"{RECIPE}{name} has to be told {', '.join(wanted)}: write a file with `{use}` and "
            f"`plan = {name}({wanted[0]}=...)`, and name it as file.py:plan"
        )
    return function()


def _objective(reference: str, asked: Asked, levels: tuple[int, int] | None) -> Objective:
    from functools import partial
    from inspect import signature

    from assay.objectives.pairwise import centred
    from assay.training.names import objective

    chosen = objective(reference)
    accepts = signature(chosen).parameters
    if asked.tie_theta is not None:
        if "tie_theta" not in accepts:
            raise UsageError(f"{reference} has no ties, so --tie-theta means nothing: use pairwise.bradley_terry")
        chosen = partial(chosen, tie_theta=asked.tie_theta)
    if levels is not None and "lowest" in accepts:
        chosen = partial(chosen, lowest=float(levels[0]))
    if asked.centre:
        if "chosen" not in accepts:
            raise UsageError(f"{reference} is not about pairs, so --centre means nothing")
        chosen = centred(chosen, asked.centre)
    return chosen


def _supervision(objective: Objective, asked: Asked) -> Supervision:
    from functools import partial

    from assay.training import names
    from assay.training.feedback import everything, of_criterion
    from assay.training.supervision import supervise

    select = everything if asked.criterion is None else of_criterion(asked.criterion)
    if asked.feedback is None:
        return supervise(objective, select=select)
    name, _, how = asked.feedback.partition(":")
    view: Callable[..., Supervision] = names.view(name if not asked.feedback.endswith(".py") else asked.feedback)
    wanted = names.needed(view)
    if "reduce" in wanted:
        if not how:
            raise UsageError(f"--feedback {name} makes one target of a response's steps: say how, {name}:product")
        view = partial(view, reduce=names.aggregate(how))
    return view(objective, select=select)


def _attributes(text: str | None) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Names, and weights where they are given: ``a,b`` or ``a=.7,b=.3``."""
    if text is None:
        return (), ()
    pairs = [part.partition("=") for part in text.split(",")]
    names = tuple(name.strip() for name, _, _ in pairs)
    given = [weight.strip() for _, mark, weight in pairs if mark]
    if not all(names) or (given and len(given) != len(names)):
        raise UsageError(f"--attributes {text}: give names, a,b,c, or each its weight in the overall score, a=.7,b=.3")
    try:
        return names, tuple(float(weight) for weight in given)
    except ValueError:
        raise UsageError(f"--attributes {text}: weights are numbers, a=.7,b=.3") from None


def _levels(text: str | None) -> tuple[int, int] | None:
    """The lowest and the highest grade: ``5`` is 0 to 4, ``1-5`` one to five."""
    if text is None:
        return None
    low, mark, high = text.rpartition("-")
    try:
        found = (int(low), int(high)) if mark else (0, int(text) - 1)
    except ValueError:
        found = (0, 0)
    if found[1] <= found[0]:
        raise UsageError(f"--levels {text}: give how many there are (5: grades 0 to 4), or the lowest and highest, 1-5")
    return found


def _condition(asked: Asked, records: Sequence[Record]) -> Condition | None:
    """What a column of the data's context holds: so many numbers, or the names that occur in it."""
    from assay.models.condition import Condition

    if asked.condition is None:
        if asked.unknown_abstains:
            raise UsageError("--unknown-abstains is about --condition, which was not given")
        return None
    column, mark, width = asked.condition.rpartition(":")
    if mark and width.isdigit():
        return Condition.of_numbers(column, int(width), abstains=asked.unknown_abstains)
    column = asked.condition
    values = [record.context[column] for record in records if record.context.get(column) is not None]
    if not values:
        held = sorted({name for record in records for name in record.context})
        raise UsageError(f"--condition {column}: no record has such a column; there are {', '.join(held) or 'none'}")
    if all(isinstance(value, str) for value in values):
        return Condition.of_names(column, sorted(set(values)), abstains=asked.unknown_abstains)
    if all(isinstance(value, dict) for value in values):
        names = sorted({str(name) for value in values for name in value})
        return Condition.of_names(column, names, abstains=asked.unknown_abstains)
    widths = {len(value) for value in values if isinstance(value, list | tuple)}
    if len(widths) == 1 and all(isinstance(value, list | tuple) for value in values):
        return Condition.of_numbers(column, widths.pop(), abstains=asked.unknown_abstains)
    raise UsageError(
        f"--condition {column}: the column holds {values[0]!r} and others like it: it must hold a name, numbers by "
        "name, or always as many numbers"
    )
