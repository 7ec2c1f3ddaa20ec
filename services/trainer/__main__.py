"""`python -m services.trainer`: serve until SIGTERM; settings come from CANDOR_TRAINER_* variables."""

import sys

from chassis.process import run_service
from services.trainer.bootstrap import build
from services.trainer.settings import TrainerSettings

if __name__ == "__main__":
    sys.exit(run_service(TrainerSettings, build))
