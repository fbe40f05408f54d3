"""Pictures made small and put into the page itself."""

from __future__ import annotations

import base64
import io

import PIL.Image

from assay.media import Image, MediaError

LONGEST_SIDE = 240
LOSSLESS_SIDE = 96


def thumbnail(picture: Image, longest_side: int = LONGEST_SIDE) -> str:
    """The picture as a data URI, its longer side at most ``longest_side`` pixels; empty when it cannot be read.

    Small pictures keep their pixels (PNG), larger ones become JPEG.
    """
    try:
        found = picture.pil()
    except (MediaError, OSError):
        return ""
    found = found.convert("RGB")
    found.thumbnail((longest_side, longest_side), PIL.Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    lossless = max(found.size) <= LOSSLESS_SIDE
    if lossless:
        found.save(buffer, format="PNG")
    else:
        found.save(buffer, format="JPEG", quality=82)
    kind = "png" if lossless else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
