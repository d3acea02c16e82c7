"""Row 14: chat templates. No Python of ours renders one; the confined engine does, in C++."""

import subprocess
import sys
from pathlib import Path

import pytest

from stoker.formats.quant import MAX_TEMPLATE
from stoker.oci import mediatypes as mt
from stoker.store import Store
from tests.components.artifacts import put_model
from tests.components.daemon import Daemon
from tests.components.http import ask
from tests.components.shapes import Layer, put_shape
from tests.components.tiny_models import chat_model

CHAT = [{"role": "user", "content": "hi"}]

# What makes Jinja in Python run commands or read files.
INJECTIONS = (
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ cycler.__init__.__globals__.os.popen('touch /tmp/it-ran').read() }}",
    "{{ self.__init__.__globals__ }}",
    "{{ lipsum.__globals__['os'].system('touch /tmp/it-ran') }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}{{ os.system('touch /tmp/it-ran') }}",
    "{{ messages[0].__class__ }}{{ messages|attr('__class__') }}",
    "{{ namespace.__init__.__globals__ }}",
)


def test_no_python_of_ours_renders_templates() -> None:
    code = "import stoker.daemon.compose, sys; print('jinja2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("template", INJECTIONS, ids=range(len(INJECTIONS)))
def test_injections_reach_nothing(daemon: Daemon, tmp_path: Path, template: str) -> None:
    """A refusal or an odd prompt; nothing runs, nothing of a file is shown."""
    model = chat_model(tmp_path / "m.gguf", template="{{ messages[0].content }}" + template)
    name = f"test/inject{INJECTIONS.index(template)}"
    put_model(daemon.home / "models", model, name)
    body = {"model": name, "messages": CHAT, "max_tokens": 1}
    answer = ask(daemon, "POST", "/v1/apply-template", body)
    if answer.status == 200:
        assert "root:" not in answer.json["prompt"]
        assert "class" not in answer.json["prompt"]
    else:
        assert answer.json["error"]["message"]
    assert not Path("/tmp/it-ran").exists()
    assert ask(daemon, "GET", "/health").status == 200
    daemon.cli("unload", name)


def test_special_tokens_in_a_users_text_stay_text(daemon: Daemon) -> None:
    """The tiny model's <|end|> is one token in the template and many when a user writes it."""
    counts = []
    for text in ("", "<|end|>"):
        body = {"model": "test/endless", "max_tokens": 1}
        messages = [{"role": "user", "content": text}]
        answer = ask(daemon, "POST", "/v1/chat/completions", {**body, "messages": messages})
        counts.append(answer.json["usage"]["prompt_tokens"])
    assert counts[1] - counts[0] == 1 or counts[1] - counts[0] >= len("<|end|>")


def test_a_template_of_megabytes_is_refused_before_an_engine_starts(daemon: Daemon) -> None:
    store = Store.open(daemon.home / "models")
    layers = [
        Layer(mt.DOCKER_GGUF, b"GGUF", "model.gguf"),
        Layer(mt.DOCKER_CHAT_TEMPLATE, b"{" * (MAX_TEMPLATE + 1), "chat_template.jinja"),
    ]
    put_shape(store, "docker.io/test/long:latest", layers, {"config": {"format": "gguf"}})
    body = {"model": "test/long", "messages": CHAT}
    answer = ask(daemon, "POST", "/v1/chat/completions", body)
    assert answer.status == 422, answer.body
    assert "its chat template chat_template.jinja has" in answer.json["error"]["message"]
