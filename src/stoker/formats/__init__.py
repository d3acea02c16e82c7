"""Header parsers and facts of model files. Pure: parsers ask for byte ranges, they read nothing."""

from stoker.formats.facts import Kind, LayerFacts, ModelFacts, Pooling
from stoker.formats.gguf import GgufHeader, gguf_header
from stoker.formats.gguffacts import facts_of_gguf
from stoker.formats.hfconfig import HfConfig, parse_hfconfig
from stoker.formats.index import shards_of_index
from stoker.formats.need import Need, Parser, run, run_async
from stoker.formats.quant import FileClass, file_class, is_projector, shard_names, shard_of
from stoker.formats.safetensors import SafetensorsHeader, safetensors_header
from stoker.formats.safetensorsfacts import facts_of_safetensors

__all__ = [
    "FileClass", "GgufHeader", "HfConfig", "Kind", "LayerFacts", "ModelFacts", "Need", "Parser",
    "Pooling", "SafetensorsHeader", "facts_of_gguf", "facts_of_safetensors", "file_class",
    "gguf_header", "is_projector", "parse_hfconfig", "run", "run_async", "safetensors_header",
    "shard_names", "shard_of", "shards_of_index",
]  # fmt: skip
