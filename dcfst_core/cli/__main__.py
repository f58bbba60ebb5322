"""`python -m dcfst_core.cli`, for where the `dcfst` script is not on the path."""

from __future__ import annotations

import sys

from dcfst_core.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
