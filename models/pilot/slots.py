"""Questions that carry a value which the answer must repeat: model names, files, sizes,
quantizations.
"""

import random

_SPACES = [
    "", "", "ai/", "ai/", "ai/", "me/", "acme/", "myorg/", "team/", "docker.io/ai/",
    "registry.example.com/team/", "localhost:5000/", "ghcr.io/acme/", "hf.co/bartowski/",
    "hf.co/acme/", "hf.co/unsloth/",
]  # fmt: skip
_NAMES = [
    "smollm2", "smollm3", "llama3.2", "llama3.3", "gemma3", "gemma4", "qwen3", "qwen2.5", "phi4",
    "mistral", "deepseek-r1", "granite4", "nomic-embed", "mxbai-embed-large", "gpt-oss",
    "qwen3-coder", "devstral", "magistral", "my-model", "helper", "tinyllama", "codegemma",
    "olmo2", "falcon", "chatty", "writer", "bert-small", "vision", "pilot", "Llama-3.2-1B-GGUF",
    "Qwen3-4B-GGUF", "demo", "test-model", "summarizer", "kimi", "glm-4",
]  # fmt: skip
_TAGS = [
    "", "", "", "", ":latest", ":1B", ":3B-Q4_K_M", ":8B-Q4_K_M", ":Q8_0", ":Q4_K_M", ":v1",
    ":360M-Q4_K_M", ":7B", ":F16", ":v2",
]  # fmt: skip
_SYLLABLES = [
    "ba", "ka", "lo", "mi", "ra", "ti", "no", "ze", "fu", "go", "pe", "sun", "dor", "vel", "quin",
    "tar", "bex", "lum", "or", "nex", "sa", "wy", "cro", "pi", "ha", "jo",
]  # fmt: skip

# Bits per weight of llama.cpp's usual levels, rounded to one digit.
BITS = {
    "Q2_K": "2.6", "Q3_K_M": "3.9", "Q4_0": "4.5", "Q4_K_M": "4.8", "Q5_K_M": "5.7", "Q6_K": "6.6",
    "Q8_0": "8.5", "F16": "16",
}  # fmt: skip

# What is asked of a named model, and the command that does it; M is the name.
_DO: list[tuple[str, list[str]]] = [
    ("pull M", ["pull M", "download M", "get M", "fetch M", "install M"]),
    ("run M", ["run M", "start M", "chat with M", "talk to M", "use M", "try M", "launch M"]),
    ("rm M", ["remove M", "delete M", "get rid of M", "erase M", "rm M"]),
    ("push M", ["push M", "upload M", "publish M", "share M"]),
    ("inspect M", ["inspect M", "see the JSON details of M"]),
    ("show M", ["see the details of M", "show information about M", "show M"]),
    ("unload M", ["unload M", "take M out of memory", "stop M", "free the memory of M"]),
    ("bench M", ["benchmark M", "measure the speed of M", "see how fast M is"]),
    ("plan M", ["see how much memory M needs", "see whether M fits", "plan the memory for M"]),
]
_HOW = [
    "how do I ", "how can I ", "how to ", "which command do I use to ", "what is the command to ",
    "I want to ", "tell me how to ", "help me ", "I need to ", "please tell me how to ",
    "show me how to ", "what do I type to ", "I'd like to ", "how would I ",
    "what's the command to ", "can you tell me how to ", "", "command to ",
]  # fmt: skip


def model_name(rng: random.Random) -> str:
    """A model name, half from real-looking ones, half made of syllables so that it must be
    copied.
    """
    if rng.random() < 0.55:
        name = rng.choice(_NAMES)
    else:
        name = "".join(rng.choice(_SYLLABLES) for _ in range(rng.randint(2, 4)))
        name += rng.choice(
            ["", "", f"-{rng.randint(1, 9)}b", str(rng.randint(1, 9)), "-mini", "-chat"]
        )
    return rng.choice(_SPACES) + name + rng.choice(_TAGS)


def named_turns(rng: random.Random, count: int) -> list[tuple[str, str, str]]:
    """`count` questions about one model: the first names it, later ones may say "it". (ask, answer,
    brief).
    """
    name = model_name(rng)
    turns = []
    for i, (form, verbs) in enumerate(rng.sample(_DO, count)):
        said = "it" if i and rng.random() < 0.75 else name
        ask = rng.choice(_HOW) + rng.choice(verbs).replace("M", said, 1)
        if i and rng.random() < 0.5:
            ask = rng.choice(["and ", "ok, and ", "then ", "and now ", "next: ", "also, "]) + ask
        command = f"`stoker {form.replace('M', name)}`"
        turns.append((ask, f"Run {command}.", command))
    return turns


def make_slot(rng: random.Random) -> tuple[str, str, str]:
    """One question with a value in it: (ask, answer, brief)."""
    kind = rng.random()
    if kind < 0.50:
        return named_turns(rng, 1)[0]
    name = model_name(rng)
    if kind < 0.62:
        size = str(
            rng.choice(
                [
                    512,
                    1024,
                    2048,
                    4096,
                    8192,
                    16384,
                    32768,
                    65536,
                    131072,
                    1000,
                    2000,
                    4000,
                    rng.randint(100, 9999),
                ],
            ),
        )
        ask = rng.choice(
            [
                "how do I set the context size of M to N",
                "set the context of M to N",
                "give M a context of N tokens",
                "configure M with a context size of N",
                "I want a context size of N for M",
                "how can M get N tokens of context",
                "change the context length of M to N",
                "how do I run M with a context of N",
            ],
        )
        command = f"`stoker configure --context-size {size} {name}`"
        return ask.replace("M", name).replace("N", size), f"Run {command}.", command
    if kind < 0.72:
        file = "".join(rng.choice(_SYLLABLES) for _ in range(rng.randint(1, 3))) + rng.choice(
            [".gguf", "-q4.gguf", "-Q8_0.gguf"]
        )
        ask = rng.choice(
            [
                "how do I package F as M",
                "package F as M",
                "turn F into the model M",
                "make the model M from F",
                "I have F and want to call it M",
                "how can I make M out of F",
                "how do I pack the file F as M",
            ],
        )
        command = f"`stoker package --gguf {file} {name}`"
        return ask.replace("M", name).replace("F", file), f"Run {command}.", command
    if kind < 0.82:
        other = model_name(rng)
        ask = rng.choice(
            [
                "how do I tag M as T",
                "tag M as T",
                "rename M to T",
                "give M the name T",
                "how can I call M T",
                "how do I give M the tag T",
            ],
        )
        command = f"`stoker tag {name} {other}`"
        return ask.replace("M", name).replace("T", other), f"Run {command}.", command
    if kind < 0.86:
        port = str(rng.choice([8000, 8080, 9000, rng.randint(1025, 65000)]))
        host = rng.choice(["192.168.1.20", "server", "gpubox", "10.0.0.5", "myserver", "worker"])
        ask = rng.choice(
            [
                "how do I use the daemon on H",
                "my daemon runs on H, how do I use it",
                "how do I point the CLI at H",
                "connect the CLI to H",
            ],
        )
        value = f"STOKER_HOST=http://{host}:{port}"
        return ask.replace("H", f"{host}:{port}"), f"Set {value} in the environment.", value
    level = rng.choice(list(BITS))
    ask = (
        rng.choice(
            [
                "how many bits [does] Q [have]",
                "bits per weight of Q",
                "how many bits per weight has Q",
                "what is Q",
                "what does Q mean",
                "tell me about Q",
                "explain Q",
                "how big is Q",
                "is Q small",
                "what kind of quantization is Q",
                "Q?",
                "describe the level Q",
            ]
        )
        .replace("[does]", "does")
        .replace(
            "[have]",
            "have",
        )
    )
    low = level if rng.random() < 0.7 else level.lower()
    return (
        ask.replace("Q", low, 1),
        f"{level} stores about {BITS[level]} bits per weight.",
        f"About {BITS[level]} bits per weight.",
    )
