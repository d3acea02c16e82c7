"""`python -m stoker.engines.record_flags`: the table of flags, out of the wheel's own help.

For whoever changes the wheel: write its output to `llamacpp_flags.txt` and look at the difference.
"""

import subprocess
import sys

from stoker.engines import llamacpp_worker
from stoker.engines.flag_table import flags_of


def main() -> None:
    """Print the table."""
    command = [sys.executable, "-I", llamacpp_worker.__file__, "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    sys.stdout.writelines(f"{flag.line()}\n" for flag in flags_of(shown))


if __name__ == "__main__":
    main()
