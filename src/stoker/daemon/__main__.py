"""`python -m stoker.daemon`."""

import sys

from stoker.daemon.main import main

if __name__ == "__main__":
    sys.exit(main())
