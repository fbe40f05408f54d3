"""Statistics of pictures and films: blur has less detail, movement more change, and every reason to abstain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageFilter
import pytest
import torch

from assay.media import Image, Video
from assay.models.frames import Frames
from assay.records import Record, Response
from assay.rewards.base import score, spec_of
from assay.rewards.rules.picture import film_statistics, picture_statistics
from assay.scores import Scores, Status


def noise(seed: int = 0, size: tuple[int, int] = (160, 200)) -> PIL.Image.Image:
    values: npt.NDArray[Any] = np.random.default_rng(seed).integers(0, 255, (*size, 3))
    return PIL.Image.fromarray(values.astype(np.uint8))


def of(*parts: Image | Video, films: bool = False) -> Scores:
    reward = film_statistics(Frames(count=4)) if films else picture_statistics()
    return score(reward, [Record.of("A picture.", [Response.of(part) for part in parts])])


def test_a_blurred_picture_has_less_detail_and_a_part_of_it_its_poorest_tiles() -> None:
    sharp = noise()
    blurred = sharp.filter(PIL.ImageFilter.GaussianBlur(2))
    half = sharp.copy()
    half.paste(blurred.crop((0, 0, 100, 160)))
    found = of(*(Image.from_pil(each) for each in (sharp, half, blurred)))
    values = found.values.tolist()
    assert values == sorted(values, reverse=True)
    assert values[0] > values[2] + 0.3
    assert torch.equal(found.values, found.attributes["detail of 1 pixels"])
    assert found.attributes["least detail of 1 pixels"][1] == pytest.approx(values[2], abs=0.1)
    assert found.attributes["most detail of 1 pixels"][1] == pytest.approx(values[0], abs=0.1)
    assert found.attributes["spread of detail of 1 pixels"][1] > 0.15
    assert found.attributes["spread of detail of 1 pixels"][0] < 0.05


def test_light_and_colour() -> None:
    red, grey = (PIL.Image.new("RGB", (128, 128), colour) for colour in ((255, 0, 0), (128, 128, 128)))
    found = of(Image.from_pil(red), Image.from_pil(grey)).attributes
    assert found["saturation"].tolist() == [1.0, 0.0]
    assert found["brightness"].tolist() == pytest.approx([0.299, 128 / 255], abs=1e-3)
    assert found["contrast"].tolist() == pytest.approx([0.0, 0.0], abs=1e-6)


def test_films_change_or_stand_still() -> None:
    still = [Image.from_pil(noise())] * 4
    moving = [Image.from_pil(noise(seed)) for seed in range(4)]
    films = [Video.from_frames(frames, fps=4.0) for frames in (still, moving, still[:1])]
    found = of(*films, films=True)
    assert found.ok.all()
    assert found.attributes["change"].tolist() == pytest.approx([-4.0, -0.5, -4.0], abs=0.1)
    assert found.attributes["coming and going of detail"][0] == 0.0
    assert set(of(still[0]).attributes) < set(found.attributes)


def test_what_cannot_be_measured_abstains(tmp_path: Path) -> None:
    good, film = Image.from_pil(noise()), Video.from_frames([Image.from_pil(noise())], fps=1.0)
    answers = [
        Response.of(good),
        Response.of("text"),
        Response.of([good, good]),
        Response.of(Image.from_path(tmp_path / "none.png")),
        Response.of(Image.from_pil(noise(size=(60, 200)))),
        Response.of(film),
    ]
    found = score(picture_statistics(), [Record.of("A picture.", answers)])
    odd = Status.UNSUPPORTED_MODALITY
    assert found.status == (Status.OK, odd, odd, Status.UNREADABLE_MEDIA, Status.EMPTY, odd)
    assert "60 pixels" in found.messages[4]
    assert not score(picture_statistics(), [Record.of("A picture.", answers[1:2])]).ok.any()
    assert spec_of(film_statistics()).modalities == {"video", "text"}
