"""`python -m stoker.engines.record_flags [VLLM]`: the table of flags, out of an engine's own help.

For whoever changes an engine: write the output to `llamacpp_flags.txt`, and with the `bin/python`
of an installed vLLM to `vllm_flags.txt`, and look at the difference.
"""

import subprocess
import sys

from stoker.engines import llamacpp_worker, vllm_flag_table
from stoker.engines.flag_table import flags_of


def llamacpp_help() -> str:
    """What the wheel's llama.cpp says of its flags."""
    command = [sys.executable, "-I", llamacpp_worker.__file__, "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


def vllm_help(python: str) -> str:
    """What the vLLM of this interpreter says of its flags. Takes ten seconds and more."""
    command = [python, "-I", "-m", "vllm.entrypoints.cli.main", "serve", "--help=all"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main(python: str | None = None) -> None:
    """Print the table."""
    read = vllm_flag_table.flags_of(vllm_help(python)) if python else flags_of(llamacpp_help())
    sys.stdout.writelines(f"{flag.line()}\n" for flag in read)


if __name__ == "__main__":
    main(*sys.argv[1:2])
