"""Curation: making data of records and their scores."""

from assay.curation.filters import FilterError, Keep, keep, keep_responses

__all__ = ["FilterError", "Keep", "keep", "keep_responses"]
