"""Lines that engines really wrote when they failed, and what Stoker makes of them.

Those of the wheel were captured with `tiny_models.bad_models`; those of GPU builds are quoted from
llama.cpp's and Docker Model Runner's issue trackers and sources.
"""

from stoker.engines.spec import Reason

_LOADING = "0.00.013.695 E srv          init: exiting due to model loading error"

FAILURES: list[tuple[int | None, list[str], Reason, str]] = [
    (
        3,
        [
            (
                "0.00.012.441 E llama_model_load: error loading model: "
                "unknown model architecture: 'zebra9'"
            ),
            "0.00.013.284 E srv    load_model: failed to load model, 'm.gguf'",
            _LOADING,
        ],
        Reason.UNSUPPORTED_ARCHITECTURE,
        "llama.cpp does not know the architecture 'zebra9'",
    ),
    (
        3,
        [
            (
                "llama_model_load: error loading model: error loading model vocabulary: "
                "unknown pre-tokenizer type: 'kimi-k9'"
            ),
            _LOADING,
        ],
        Reason.UNSUPPORTED_ARCHITECTURE,
        "llama.cpp does not know the tokenizer 'kimi-k9'",
    ),
    (
        3,
        [
            (
                "0.00.005.343 E llama_model_load: error loading model: "
                "tensor 'blk.0.attn_v.weight' "
                "data is not within the file bounds, model is corrupted or incomplete"
            ),
            _LOADING,
        ],
        Reason.BAD_FILE,
        "the model file is truncated",
    ),
    (
        3,
        [
            (
                "0.38.422.094 E ggml_aligned_malloc: insufficient memory "
                "(attempted to allocate 97656.25 MB)"
            ),
            (
                "0.38.422.260 E ggml_backend_buft_alloc_buffer_n_default: "
                "failed to allocate CPU buffer of size 102400000000"
            ),
            (
                "0.39.380.536 E llama_init_from_model: failed to initialize the context: "
                "failed to allocate buffer for kv cache"
            ),
            _LOADING,
        ],
        Reason.OUT_OF_MEMORY,
        "not enough memory: 97656.25 MB more could not be had",
    ),
    (
        1,
        [
            (
                "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 4403.49 MiB on device 0: "
                "cudaMalloc failed: out of memory"
            ),
            "alloc_tensor_range: failed to allocate CUDA0 buffer of size 4617403392",
            "llama_model_load: error loading model: unable to allocate CUDA0 buffer",
        ],
        Reason.OUT_OF_MEMORY,
        "not enough GPU memory to load the model",
    ),
    (
        -6,
        ["/app/ggml/src/ggml-cuda/ggml-cuda.cu:88: CUDA error", "CUDA error: out of memory"],
        Reason.OUT_OF_MEMORY,
        "not enough GPU memory to load the model",
    ),
    (
        1,
        [
            "ggml_vulkan: Device memory allocation of size 1073741824 failed.",
            "ggml_vulkan: vk::Device::allocateMemory: ErrorOutOfDeviceMemory",
        ],
        Reason.OUT_OF_MEMORY,
        "not enough GPU memory to load the model",
    ),
    (
        1,
        ["ggml_metal_buffer_init: error: failed to allocate buffer, size = 4096.00 MiB"],
        Reason.OUT_OF_MEMORY,
        "not enough GPU memory to load the model (Metal)",
    ),
    (-6, ["terminate called", "  what():  std::bad_alloc"], Reason.OUT_OF_MEMORY, "not enough"),
    (-9, ["0.00.100.000 I load_tensors: loading"], Reason.OUT_OF_MEMORY, "was killed from outside"),
    (-11, ["0.00.100.000 I load"], Reason.CRASHED, "llama.cpp crashed (SIGSEGV)"),
    (
        -6,
        ["/src/ggml.c:3120: GGML_ASSERT(ggml_can_mul_mat(a, b)) failed", "[New LWP 17]"],
        Reason.CRASHED,
        "llama.cpp crashed (SIGABRT): /src/ggml.c:3120: GGML_ASSERT(ggml_can_mul_mat(a, b)) failed",
    ),
    (-4, [], Reason.CRASHED, "llama.cpp crashed (SIGILL)"),
    (-15, [], Reason.CRASHED, "llama.cpp was stopped from outside (SIGTERM)"),
    (2, ["error: invalid argument: --nope"], Reason.BAD_ARGUMENTS, "has no flag --nope"),
    (
        2,
        ['error while handling argument "-c": stoi'],
        Reason.BAD_ARGUMENTS,
        "wrong value for -c: stoi",
    ),
    (
        3,
        [
            (
                "0.00.006.050 E llama_init_from_model: "
                "K cache type q8_0 with block size 32 does not divide n_embd_head_k=16"
            )
        ],
        Reason.BAD_ARGUMENTS,
        "do not fit the model or each other: K cache type q8_0",
    ),
    (
        1,
        ["error: the supplied chat template is not supported: {% for x in %}"],
        Reason.BAD_TEMPLATE,
        "the model's chat template cannot be used by llama.cpp",
    ),
    (
        3,
        [
            (
                "0.00.002.419 E srv         start: couldn't bind HTTP server socket, "
                "hostname: /run/e.sock, port: 0"
            )
        ],
        Reason.ADDRESS_IN_USE,
        "the engine cannot listen on /run/e.sock",
    ),
    (
        4,
        ["0.00.000.000 E worker: xllamacpp is 1.2, needed is 2026.10.11549"],
        Reason.BROKEN_ENGINE,
        "the built-in llama.cpp does not work here: xllamacpp is 1.2, needed is 2026.10.11549",
    ),
    (
        3,
        ["0.00.000.001 E llama_model_load: error loading model: something new", _LOADING],
        Reason.BAD_FILE,
        "the model file cannot be loaded: something new",
    ),
    (
        7,
        ["0.00.000.001 E srv  init: the moon is wrong", "0.00.000.002 I srv  init: bye"],
        Reason.UNKNOWN,
        "llama.cpp failed (exit code 7): srv  init: the moon is wrong",
    ),
    (1, [], Reason.UNKNOWN, "llama.cpp failed (exit code 1): it wrote nothing"),
    (None, ["still loading"], Reason.UNKNOWN, "llama.cpp failed (no exit code yet): still loading"),
]
