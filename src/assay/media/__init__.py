"""Text, images, video and audio as frozen lazy values known by content hash."""

from assay.media.cache import Cache, CacheCounts
from assay.media.decode import DECODED
from assay.media.source import Limits, MediaError, path_within
from assay.media.values import Audio, Image, Part, Text, Video

__all__ = [
    "DECODED",
    "Audio",
    "Cache",
    "CacheCounts",
    "Image",
    "Limits",
    "MediaError",
    "Part",
    "Text",
    "Video",
    "path_within",
]
