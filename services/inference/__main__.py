"""`python -m services.inference`: serve until SIGTERM; settings come from CANDOR_INFERENCE_* variables."""

import sys

from chassis.process import run_service
from services.inference.bootstrap import build
from services.inference.settings import InferenceSettings

if __name__ == "__main__":
    sys.exit(run_service(InferenceSettings, build))
