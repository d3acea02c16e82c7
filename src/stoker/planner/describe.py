"""ModelFacts → the config of a model artifact, worded as Docker Model Runner words it.

Lives here and not in `formats`, because `formats` and `oci` do not know each other.
"""

from stoker.base.units import binary_size, decimal_size, parameter_count
from stoker.formats.facts import ModelFacts
from stoker.oci.modelconfig import ModelConfig, possible_context
from stoker.planner.spec import Format


def model_config_of(facts: ModelFacts) -> ModelConfig:
    """The config of an artifact with this model; `created` and `diff_ids` are the packer's."""
    context = possible_context(facts.context_size)
    if facts.format == Format.GGUF:
        return ModelConfig(
            format=Format.GGUF.value,
            quantization=facts.quantization,
            parameters=parameter_count(facts.parameters),
            architecture=facts.architecture,
            size=binary_size(facts.weights_size),
            context_size=context,
            gguf=facts.metadata,
        )
    return ModelConfig(
        format=Format.SAFETENSORS.value,
        quantization=facts.quantization,
        parameters=parameter_count(facts.parameters),
        architecture=facts.architecture,
        size=decimal_size(facts.file_size),
        context_size=context,
        safetensors=facts.metadata,
    )
