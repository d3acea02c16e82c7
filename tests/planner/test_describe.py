from pathlib import Path

from stoker.formats.facts import Kind
from stoker.formats.gguffacts import facts_of_gguf
from stoker.planner.describe import model_config_of
from tests.formats.files import parse, small_llama


def test_the_config_of_a_gguf_reads_as_docker_writes_it(tmp_path: Path) -> None:
    header = parse(small_llama(tmp_path / "m.gguf").read_bytes())
    facts = facts_of_gguf(header)
    config = model_config_of(facts)
    assert config.format == "gguf"
    assert config.quantization == "Q8_0"
    assert config.architecture == "llama"
    assert config.parameters == "93.25K"
    assert config.size == "97.67KiB"
    assert config.context_size == 4096
    assert config.gguf["general.architecture"] == "llama"
    assert config.gguf["llama.context_length"] == "4096"
    assert config.gguf["llama.attention.layer_norm_rms_epsilon"] == "0.000010"
    assert config.gguf["tokenizer.chat_template"] == "{{ messages }}"
    assert "tokenizer.ggml.tokens" not in config.gguf
    assert "tokenizer.ggml.token_type" not in config.gguf
    assert facts.kind is Kind.GENERATION
    assert facts.has_chat_template
    assert facts.vocabulary == 300
