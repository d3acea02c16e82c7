"""HTTP surfaces: routes and their translation to services."""

from stoker.api.anthropic import AnthropicRoutes
from stoker.api.app import build_app
from stoker.api.engines import EngineRoutes
from stoker.api.inference import InferenceRoutes
from stoker.api.logs import LogRoutes
from stoker.api.models import ModelRoutes
from stoker.api.ollama import OllamaRoutes
from stoker.api.ollama_models import OllamaModelRoutes
from stoker.api.transfer import TransferRoutes

__all__ = [
    "AnthropicRoutes",
    "EngineRoutes",
    "InferenceRoutes",
    "LogRoutes",
    "ModelRoutes",
    "OllamaModelRoutes",
    "OllamaRoutes",
    "TransferRoutes",
    "build_app",
]
