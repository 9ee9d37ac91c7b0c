"""`python -m tests.fakes.wrong_clock SECONDS run --config FILE`: the daemon on a host whose clock is so far ahead."""

import sys
import time

from mta.cli import main

if __name__ == "__main__":
    ahead_s = float(sys.argv.pop(1))
    right = time.time
    time.time = lambda: right() + ahead_s
    main()
