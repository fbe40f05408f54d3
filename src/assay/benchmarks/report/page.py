"""From a card to its page: the words and numbers a reader sees; the layout is in ``card.html.j2``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from assay.benchmarks.panels import Bar, Bars
from assay.benchmarks.report.charts import curves_chart, histogram, reliability_chart
from assay.benchmarks.report.gauge import Axis, axis_of, gauge, kind_of
from assay.metrics import Interval

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

    from assay.benchmarks.card import Card, Failure
    from assay.benchmarks.probes.base import Finding
    from assay.benchmarks.probes.blindness import Effect
    from assay.benchmarks.slices import Slice

MOST_SLICES = 12
LONG_TEXT = 120
DASH, MINUS = "\u2013", "\u2212"
ABOUT = {
    "picture": "Does it look?",
    "prompt": "Does it read the prompt?",
    "wording": "Does it read what is said?",
    "answer": "Does it pay for how, not what?",
    "judge": "Can a judge be talked round?",
}


def render(card: Card) -> str:
    """The whole page as HTML text."""
    return template("report", "card.html.j2").render(
        card=card,
        style=style(),
        failed=[verdict for verdict in card.verdicts if not verdict.passed],
        nulls=_nulls(card),
        effects=[(effect, _effect_gauge(card, effect)) for effect in card.blindness],
        findings=_findings(card),
        reliability_chart=reliability_chart,
        histogram=histogram(card.distribution),
        curves_chart=curves_chart,
        panels=(*([card.holes.panel()] if card.holes is not None and card.holes.findings else ()), *card.panels),
        bar_gauge=_bar_gauge,
        slices=[(item, _slice_gauge(card, item)) for item in card.slices[:MOST_SLICES]],
        abstentions={name: count for name, count in card.statuses.items() if name != "ok"},
        declared={name: _worded(value) for name, value in card.reward.spec.items() if value is not None},
    )


def template(folder: str, name: str, **filters: Callable[..., str]) -> Template:
    """A page's template in a folder of `assay.benchmarks`: text is escaped, a name that is missing is an error, and
    numbers are worded the same on every page. ``filters`` are the page's own."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("assay.benchmarks", folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words: dict[str, Any] = {"percent": percent, "points": points, "spread": spread, "number": number}
    words |= {"signs": signs, "gallery": gallery, "fixed": fixed}
    environment.filters.update(words | filters)
    return environment.get_template(name)


def style() -> Markup:
    """The style sheet of Assay's pages, to be put into a ``<style>`` element."""
    from markupsafe import Markup

    return Markup(palette() + _own("style.css"))  # noqa: S704  the package's own files


def palette() -> str:
    """The colours of Assay's pages, light and dark, as variables of CSS."""
    return _own("palette.css")


def _own(name: str) -> str:
    return files("assay.benchmarks").joinpath("report", name).read_text(encoding="utf-8")


def percent(value: float, digits: int = 1) -> str:
    """A share as per cent; a dash where there is none."""
    return DASH if math.isnan(value) else f"{100 * value:.{digits}f} %"


def points(value: float) -> str:
    """A difference of shares in percentage points, signed."""
    return DASH if math.isnan(value) else signs(f"{100 * value:+.1f}")


def spread(interval: Interval, form: str = "{:.1f}", scale: float = 100.0) -> str:
    """The bounds of an interval in words."""
    if math.isnan(interval.low):
        return "no interval"
    return signs(f"{form.format(scale * interval.low)} to {form.format(scale * interval.high)}")


def fixed(value: float, form: str) -> str:
    """A number in a given form; a dash where there is none."""
    return DASH if math.isnan(value) else signs(form.format(value))


def number(value: float) -> str:
    """A score or count for a reader: three significant digits, thousands apart."""
    if isinstance(value, int):
        return f"{value:,}"
    return DASH if math.isnan(value) else f"{value:.3g}".replace("-", MINUS)


def signs(text: str) -> str:
    """The text with a hyphen before a number as a minus sign, and no sign before zero."""
    return re.sub(r"(?<!\w)-(?=\d)", MINUS, re.sub(r"(?<!\w)[+-](0\.0+)(?!\d)", r"\1", text))


def gallery(failures: Sequence[Failure]) -> str:
    """The classes of a gallery: wide columns where texts are long, or where responses are pictures."""
    if any(item.right_pictures or item.chosen_pictures for item in failures):
        return "gallery pairs"
    longest = max((len(text) for item in failures for text in (item.prompt, item.right, item.chosen)), default=0)
    return "gallery wordy" if longest > LONG_TEXT else "gallery"


def _nulls(card: Card) -> list[tuple[str, Interval | None, Interval | None, str, Markup | str]]:
    """Name, accuracy, the reward's gain over it, a note, and the gauge; the reward first, the strongest null next."""
    axis = Axis(0.0, 1.0, 0.0)

    def drawn(name: str, found: Interval | None, kind: str) -> Markup | str:
        if found is None:
            return ""
        said = f"{name}: accuracy {percent(found.value)}, interval {spread(found)}"
        return gauge(found, axis, kind=kind, label=said, reference=0.5)

    ordered = sorted(card.nulls, key=lambda null: -1.0 if null.accuracy is None else -null.accuracy.value)
    made: list[tuple[str, Interval | None, Interval | None, str, Markup | str]] = [
        ("this reward", card.accuracy, None, "", drawn("this reward", card.accuracy, "reward"))
    ]
    for null in ordered:
        note = null.note or null.recipe
        made.append((null.name, null.accuracy, null.gap, note, drawn(null.name, null.accuracy, "null")))
    return made


def _effect_gauge(card: Card, effect: Effect) -> Markup:
    about_picture = "picture" in effect.name
    found = effect.change if about_picture else effect.movement
    known = [_gauged(item) for item in card.blindness if ("picture" in item.name) == about_picture]
    low = min([0.0, *(item.low for item in known if item.n)])
    high = max([0.05, *(item.high for item in known if item.n)])
    if about_picture:
        axis, healthy = Axis(min(low, -0.2), high, 0.0), (min(low, -0.2), 0.0)
        said = f"{effect.name}: accuracy changes by {points(found.value)} points, interval {spread(found, '{:+.1f}')}"
    else:
        axis, healthy = Axis(0.0, max(high, 1.0), 0.0), (0.1, math.inf)
        said = f"{effect.name}: margins move by {fixed(found.value, '{:.2f}')} sd"
    return gauge(found, axis, kind="good" if effect.is_healthy else "bad", label=said, reference=0.0, healthy=healthy)


def _gauged(effect: Effect) -> Interval:
    return effect.change if "picture" in effect.name else effect.movement


def _findings(card: Card) -> list[tuple[str, list[tuple[Finding, Markup, str]]]]:
    """Findings by what they are about, those outside their range first."""
    order = ["bad", "unclear", "good"]
    groups: list[tuple[str, list[tuple[Finding, Markup, str]]]] = []
    for about in dict.fromkeys([*ABOUT, *(item.about for item in card.findings)]):
        mine = [item for item in card.findings if item.about == about]
        mine.sort(key=lambda item: order.index(kind_of(item.state)))
        if mine:
            groups.append(
                (ABOUT.get(about, about), [(item, _finding_gauge(item), kind_of(item.state)) for item in mine])
            )
    return groups


def _finding_gauge(found: Finding) -> Markup:
    effect = found.effect
    said = f"{found.name}: {fixed(effect.value, '{:.2f}')}, {found.state}, healthy is {found.healthy.words}"
    return gauge(
        effect,
        axis_of(found),
        kind=kind_of(found.state),
        label=said,
        reference=found.blind,
        healthy=(found.healthy.low, found.healthy.high),
    )


def _bar_gauge(bar: Bar, bars: Bars) -> Markup:
    found = Interval(bar.value, bar.low, bar.high, 0, 0)
    start = -math.inf if bar.healthy_from is None else bar.healthy_from
    stop = math.inf if bar.healthy_to is None else bar.healthy_to
    healthy = None if bar.healthy_from is None and bar.healthy_to is None else (start, stop)
    kind = {"healthy": "good", "unhealthy": "bad", "unclear": "unclear"}.get(bar.state, "reward")
    axis = Axis(bars.start, bars.stop, max(bars.start, 0.0))
    return gauge(found, axis, kind=kind, label=f"{bar.name}: {fixed(bar.value, '{:.2f}')}", healthy=healthy)


def _slice_gauge(card: Card, item: Slice) -> Markup:
    bad = item.accuracy.high < card.accuracy.value
    said = f"{item.name}: {percent(item.accuracy.value)}, corrected interval {spread(item.accuracy)}"
    kind = "bad" if bad else "null"
    return gauge(item.accuracy, Axis(0.0, 1.0, 0.0), kind=kind, label=said, reference=card.accuracy.value)


def _worded(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "none"
    return str(value)
