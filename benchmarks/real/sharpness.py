"""What the figures on generated pictures and films share: five measures of sharpness for their floors."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.metrics import Floats


def sharpness(picture: Any) -> list[float]:
    """Logarithms of five measures of a PIL picture: variance of its Laplacian, mean and mean square of its gradient,
    share of high frequencies, mean difference to itself blurred."""
    from scipy import ndimage

    filters: Any = ndimage
    grey = np.asarray(picture.convert("L"), dtype=np.float64) / 255
    gradient = np.hypot(filters.sobel(grey, 0), filters.sobel(grey, 1))
    power = np.square(np.abs(np.fft.fft2(grey - grey.mean())))
    down, across = (np.abs(np.fft.fftfreq(side)) for side in grey.shape)
    high = np.hypot(down[:, None], across[None]) > 0.25
    found = [
        filters.laplace(grey).var(),
        gradient.mean(),
        np.square(gradient).mean(),
        power[high].sum() / max(float(power.sum()), 1e-12),
        np.abs(grey - filters.gaussian_filter(grey, 2)).mean(),
    ]
    return [float(np.log(each + 1e-9)) for each in found]


def standardised(given: Floats, learned: Any) -> Floats:
    """``[rows, measures]`` with mean 0 and standard deviation 1 over the rows that are learned from."""
    mean, std = given[learned].mean(0), given[learned].std(0)
    return (given - mean) / np.where(std > 0, std, 1.0)
