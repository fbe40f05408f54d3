"""Text, images, video and audio as frozen lazy values known by content hash."""

from assay.media.values import Audio, Image, MediaError, Part, Text, Video

__all__ = ["Audio", "Image", "MediaError", "Part", "Text", "Video"]
