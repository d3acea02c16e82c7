"""The Hugging Face hub: a repository seen as a Source."""

from stoker.hub.client import HubClient
from stoker.hub.options import HubOptions, options_of
from stoker.hub.search import FoundModel
from stoker.hub.source import HubSource

__all__ = ["FoundModel", "HubClient", "HubOptions", "HubSource", "options_of"]
