"""OpenAI-compatible endpoints as models that answer."""

from assay.models.endpoints.budget import Budget, Prices, Purse
from assay.models.endpoints.endpoint import Endpoint, Offer
from assay.models.endpoints.generator import EndpointGenerator, GenerationError
from assay.models.endpoints.patience import Patience
from assay.models.endpoints.replay import Replay
from assay.models.endpoints.transport import Reply, Request, Transport, TransportError

__all__ = [
    "Budget",
    "Endpoint",
    "EndpointGenerator",
    "GenerationError",
    "Offer",
    "Patience",
    "Prices",
    "Purse",
    "Replay",
    "Reply",
    "Request",
    "Transport",
    "TransportError",
]
