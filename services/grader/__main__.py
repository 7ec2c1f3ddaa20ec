"""`python -m services.grader`: serve until SIGTERM; settings come from CANDOR_GRADER_* variables."""

import sys

from chassis.process import run_service
from services.grader.bootstrap import build
from services.grader.settings import GraderSettings

if __name__ == "__main__":
    sys.exit(run_service(GraderSettings, build))
