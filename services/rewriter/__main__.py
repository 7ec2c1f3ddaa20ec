"""`python -m services.rewriter`: serve until SIGTERM; settings come from CANDOR_REWRITER_* variables."""

import sys

from chassis.process import run_service
from services.rewriter.bootstrap import build
from services.rewriter.settings import RewriterSettings

if __name__ == "__main__":
    sys.exit(run_service(RewriterSettings, build))
