"""Media types and annotation keys that Stoker reads or writes."""

from typing import Final

# OCI image specification, media-types.md
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
OCI_EMPTY: Final = "application/vnd.oci.empty.v1+json"

# Docker's model artifact
DOCKER_CONFIG_V01: Final = "application/vnd.docker.ai.model.config.v0.1+json"
DOCKER_CONFIG_V02: Final = "application/vnd.docker.ai.model.config.v0.2+json"
DOCKER_GGUF: Final = "application/vnd.docker.ai.gguf.v3"
DOCKER_GGUF_LORA: Final = "application/vnd.docker.ai.gguf.v3.lora"
DOCKER_GGUF_MMPROJ: Final = "application/vnd.docker.ai.gguf.v3.mmproj"
DOCKER_SAFETENSORS: Final = "application/vnd.docker.ai.safetensors"
DOCKER_VLLM_CONFIG_TAR: Final = "application/vnd.docker.ai.vllm.config.tar"
DOCKER_DIR_TAR: Final = "application/vnd.docker.ai.dir.tar"
DOCKER_DDUF: Final = "application/vnd.docker.ai.dduf"
DOCKER_LICENSE: Final = "application/vnd.docker.ai.license"
DOCKER_MMPROJ: Final = "application/vnd.docker.ai.mmproj"
DOCKER_CHAT_TEMPLATE: Final = "application/vnd.docker.ai.chat.template.jinja"
DOCKER_MODEL_FILE: Final = "application/vnd.docker.ai.model.file"

# CNCF ModelPack
CNCF_CONFIG: Final = "application/vnd.cncf.model.config.v1+json"
CNCF_ARTIFACT: Final = "application/vnd.cncf.model.manifest.v1+json"
CNCF_WEIGHT_RAW: Final = "application/vnd.cncf.model.weight.v1.raw"
CNCF_WEIGHT_GGUF: Final = "application/vnd.cncf.model.weight.v1.gguf"
CNCF_WEIGHT_SAFETENSORS: Final = "application/vnd.cncf.model.weight.v1.safetensors"
CNCF_WEIGHT_CONFIG_RAW: Final = "application/vnd.cncf.model.weight.config.v1.raw"
CNCF_CODE_RAW: Final = "application/vnd.cncf.model.code.v1.raw"
CNCF_DOC_RAW: Final = "application/vnd.cncf.model.doc.v1.raw"
CNCF_PREFIX: Final = "application/vnd.cncf.model."

MODEL_CONFIGS: Final = frozenset({DOCKER_CONFIG_V01, DOCKER_CONFIG_V02, CNCF_CONFIG})
MANIFESTS: Final = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})

# Annotations
ANNOTATION_FILEPATH: Final = "org.cncf.model.filepath"
ANNOTATION_FILE_METADATA: Final = "org.cncf.model.file.metadata+json"
ANNOTATION_MEDIATYPE_UNTESTED: Final = "org.cncf.model.file.mediatype.untested"
ANNOTATION_REF_NAME: Final = "org.opencontainers.image.ref.name"
ANNOTATION_TITLE: Final = "org.opencontainers.image.title"
