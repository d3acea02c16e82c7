"""Simon Willison's `llm` command, with a model from its own configuration file."""

import os
import subprocess
import sys

URL = os.environ["STOKER_TEST_URL"] + "/v1"


def test_llm(tmp_path):
    config = f"- model_id: pilot\n  model_name: pilot\n  api_base: {URL}\n  api_key_name: none\n"
    (tmp_path / "extra-openai-models.yaml").write_text(config)
    environment = {**os.environ, "LLM_USER_PATH": str(tmp_path), "OPENAI_API_KEY": "none"}
    for options in ([], ["--no-stream"]):
        done = subprocess.run(
            [sys.executable, "-m", "llm", "-m", "pilot", "--key", "none", *options, "hello"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()
