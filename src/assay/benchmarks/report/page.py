"""From a card to its page: charts drawn, numbers worded, the template filled."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from assay.benchmarks.report.charts import Row, curves_chart, forest, histogram, reliability_chart, whisker
from assay.metrics import Interval

if TYPE_CHECKING:
    from markupsafe import Markup

    from assay.benchmarks.card import Card, Failure

MOST_SLICES = 12
LONG_TEXT = 120
DASH, MINUS = "\u2013", "\u2212"
_NOTHING = Interval(math.nan, math.nan, math.nan, 0, 0)


def render(card: Card) -> str:
    """The whole page as HTML text."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("assay.benchmarks", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words: dict[str, Any] = {"percent": percent, "points": points, "spread": spread, "number": number}
    words |= {"signs": signs, "gallery": gallery, "fixed": fixed}
    environment.filters.update(words)
    return environment.get_template("card.html.j2").render(
        card=card,
        style=style(),
        failed=[verdict for verdict in card.verdicts if not verdict.passed],
        nulls_chart=_nulls_chart(card),
        blindness_charts=[_change_chart(card, effect.change) for effect in card.blindness],
        reliability_chart=reliability_chart(card.calibration.curve) if card.calibration else "",
        histogram=histogram(card.distribution),
        curves_chart=curves_chart,
        slices=[(item, _slice_chart(card, item.accuracy)) for item in card.slices[:MOST_SLICES]],
        abstentions={name: count for name, count in card.statuses.items() if name != "ok"},
        declared={name: _worded(value) for name, value in card.reward.spec.items() if value is not None},
    )


def style() -> Markup:
    """The style sheet of Assay's pages, to be put into a ``<style>`` element."""
    from markupsafe import Markup

    text = files("assay.benchmarks").joinpath("report", "style.css").read_text(encoding="utf-8")
    return Markup(text)  # noqa: S704  the package's own file


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
    """The classes of a gallery: wide columns where texts are long."""
    longest = max((len(text) for item in failures for text in (item.prompt, item.right, item.chosen)), default=0)
    return "gallery wordy" if longest > LONG_TEXT else "gallery"


def _nulls_chart(card: Card) -> Markup:
    rows = [Row("this reward", card.accuracy, "reward")]
    rows += [Row(null.name, null.accuracy or _NOTHING, "null", null.note) for null in card.nulls]
    low = _floor([row.interval for row in rows])
    return forest(rows, low=low, high=1.0, reference=0.5, form="{:.1f}", label="Accuracy of this reward and the nulls")


def _floor(intervals: Sequence[Interval]) -> float:
    lowest = min((interval.low for interval in intervals if not math.isnan(interval.low)), default=0.5)
    return max(0.0, math.floor(10 * (min(lowest, 0.5) - 0.02)) / 10)


def _change_chart(card: Card, change: Interval) -> Markup:
    known = [effect.change for effect in card.blindness if effect.change.n]
    low = min((item.low for item in known), default=0.0)
    high = max((item.high for item in known), default=0.0)
    kind = "reward" if change.high < 0 else "null"
    return whisker(change, low=min(low, -0.05), high=max(high, 0.05), reference=0.0, kind=kind)


def _slice_chart(card: Card, accuracy: Interval) -> Markup:
    kind = "bad" if accuracy.high < card.accuracy.value else "null"
    return whisker(
        accuracy,
        low=_floor([item.accuracy for item in card.slices]),
        high=1.0,
        reference=card.accuracy.value,
        kind=kind,
    )


def _worded(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "none"
    return str(value)
