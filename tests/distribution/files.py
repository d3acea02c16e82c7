"""Model files in a few bytes, for packaging."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter
from safetensors.numpy import save_file


def tiny_gguf(path: Path, *, metadata: dict[str, Any] | None = None, seed: int = 0) -> Path:
    """A GGUF with one tensor; strings and uint32 of `metadata` are added."""
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(8192)
    writer.add_block_count(0)
    for key, value in (metadata or {}).items():
        if isinstance(value, str):
            writer.add_string(key, value)
        else:
            writer.add_uint32(key, value)
    writer.add_tensor("token_embd.weight", np.full((2, 32), seed, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def shards(folder: Path, count: int = 3, prefix: str = "big") -> list[Path]:
    """A GGUF model in several files."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        tiny_gguf(
            folder / f"{prefix}-{number + 1:05d}-of-{count:05d}.gguf",
            metadata={"split.no": number, "split.count": count},
            seed=number,
        )
        for number in range(count)
    ]


def projector(path: Path) -> Path:
    """A GGUF that says it is a projector."""
    return tiny_gguf(path, metadata={"general.type": "mmproj"}, seed=7)


def checkout(folder: Path, *, weights: tuple[str, ...] = ("model.safetensors",)) -> Path:
    """A directory as Hugging Face has them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(weights):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        save_file({f"w{number}": np.zeros((4, 8), np.float16)}, folder / name)
    config = {"model_type": "llama", "max_position_embeddings": 2048}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "README.md").write_text("# a model\n")
    (folder / "LICENSE").write_text("do what you like\n")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    return folder
