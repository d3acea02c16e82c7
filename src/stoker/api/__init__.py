"""HTTP surfaces: routes and their translation to services."""

from stoker.api.app import build_app
from stoker.api.engines import EngineRoutes
from stoker.api.inference import InferenceRoutes
from stoker.api.logs import LogRoutes
from stoker.api.models import ModelRoutes

__all__ = ["EngineRoutes", "InferenceRoutes", "LogRoutes", "ModelRoutes", "build_app"]
