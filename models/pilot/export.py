"""Write pilot's committed weights as GGUF.

    python models/pilot/export.py --type Q8_0 -o pilot-Q8_0.gguf

Needs numpy, safetensors and gguf only: tests and packagers can run it without PyTorch. The weights
are float16, so an F16 export is exact.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import load_file

WEIGHTS = Path(__file__).parent / "weights"
TYPES = {
    "F16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "Q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}
DESCRIPTION = (
    "Stoker's help desk: a very small chat model, trained from scratch by the project, "
    "that knows Stoker, greetings, small sums and counting."
)
_OUTER_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
}
_LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name: str) -> str:
    """llama.cpp's name of a Hugging Face tensor. KeyError when it is not one of a Llama's."""
    if name in _OUTER_NAMES:
        return _OUTER_NAMES[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{_LAYER_NAMES[rest.removesuffix('.weight')]}.weight"


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key matrix (rows, columns) reordered for llama.cpp's rotary positions.

    Hugging Face turns the first half of a head against the second, llama.cpp turns neighbours.
    """
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)


def write(weights: Path, out: Path, kind: str) -> None:
    """`weights` (a Hugging Face folder) as the GGUF file `out`, of type F16 or Q8_0."""
    config = json.loads((weights / "config.json").read_text("utf-8"))
    tensors = load_file(weights / "model.safetensors")
    quantization, file_type = TYPES[kind]
    writer = gguf.GGUFWriter(out, "llama")
    _describe(writer, config, sum(tensor.size for tensor in tensors.values()))
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _tokenizer(writer, weights, config["vocab_size"])
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    for name, tensor in sorted(tensors.items(), key=_file_order):
        part = name.split(".")[-2]
        if part in heads:
            tensor = interleaved(tensor, heads[part])  # noqa: PLW2901
        if tensor.ndim == 1:  # norms stay exact: llama.cpp wants them in float32
            writer.add_tensor(gguf_name(name), tensor.astype(np.float32))
        elif quantization == gguf.GGMLQuantizationType.F16:
            writer.add_tensor(gguf_name(name), tensor.astype(np.float16))
        else:
            packed = gguf.quants.quantize(tensor.astype(np.float32), quantization)
            writer.add_tensor(gguf_name(name), packed, raw_dtype=quantization)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _file_order(item: tuple[str, Any]) -> tuple[int, str]:
    """Embedding first, layers by number, the last norm at the end."""
    parts = item[0].split(".")
    if parts[1] == "layers":
        return int(parts[2]), item[0]
    return (-1 if parts[1] == "embed_tokens" else 1 << 20), item[0]


def _describe(writer: gguf.GGUFWriter, config: dict[str, Any], parameters: int) -> None:
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name("pilot")
    writer.add_basename("pilot")
    writer.add_author("Stoker")
    writer.add_organization("Stoker")
    writer.add_description(DESCRIPTION)
    writer.add_license("apache-2.0")
    writer.add_size_label(f"{parameters / 1e6:.1f}M")
    writer.add_languages(["en"])
    writer.add_tags(["text-generation", "help-desk"])
    # Facts have one right answer: greedy unless a request asks otherwise (llama.cpp reads this
    # key).
    writer.add_sampling_temp(0.0)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def _tokenizer(writer: gguf.GGUFWriter, weights: Path, size: int) -> None:
    state = json.loads((weights / "tokenizer.json").read_text("utf-8"))
    settings = json.loads((weights / "tokenizer_config.json").read_text("utf-8"))
    vocabulary: dict[str, int] = dict(state["model"]["vocab"])
    types = dict.fromkeys(vocabulary.values(), gguf.TokenType.NORMAL)
    for token in state["added_tokens"]:
        vocabulary[token["content"]] = token["id"]
        # USER_DEFINED is cut out of text as CONTROL is, but stays visible: clients look for
        # <tool_call>.
        types[token["id"]] = (
            gguf.TokenType.CONTROL if token["special"] else gguf.TokenType.USER_DEFINED
        )
    by_id = {index: text for text, index in vocabulary.items()}
    tokens = [by_id.get(index, f"<|unused_{index}|>") for index in range(size)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([types.get(index, gguf.TokenType.UNUSED) for index in range(size)])
    merges = state["model"]["merges"]
    writer.add_token_merges(
        [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
    )
    end, pad = vocabulary[settings["eos_token"]], vocabulary[settings["pad_token"]]
    # llama.cpp would assume some other id for a missing start token; it is never inserted.
    writer.add_bos_token_id(pad)
    writer.add_eos_token_id(end)
    writer.add_eot_token_id(end)
    writer.add_pad_token_id(pad)
    writer.add_add_bos_token(False)
    writer.add_chat_template((weights / "chat_template.jinja").read_text("utf-8"))


def main() -> None:
    """Command line: one GGUF file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--type", choices=TYPES, default="Q8_0")
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args()
    write(args.weights, args.out, args.type)
    print(f"{args.out}: {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
