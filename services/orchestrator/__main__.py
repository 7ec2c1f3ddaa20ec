"""`python -m services.orchestrator`: serve until SIGTERM; settings come from CANDOR_ORCHESTRATOR_* variables."""

import sys

from chassis.process import run_service
from services.orchestrator.bootstrap import build
from services.orchestrator.settings import OrchestratorSettings

if __name__ == "__main__":
    sys.exit(run_service(OrchestratorSettings, build))
