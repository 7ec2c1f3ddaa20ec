#!/bin/sh
# Two pretend models, one evaluation. Exit code: that of the verdict.
set -eu
cd "$(dirname "$0")"
if [ -z "${PYTHON:-}" ]; then # the one that make demo set up, else whatever is on the path
  if [ -x ../../.venv/bin/python ]; then PYTHON=../../.venv/bin/python; else PYTHON=python3; fi
fi
core=$("$PYTHON" -c 'from services.orchestrator.domain import tasks; from pathlib import Path; print(Path(tasks.__file__).parents[2] / "data/tasks/core")')
serve() { # port, sycophancy rate
  "$PYTHON" -m chassis.testing.fake_endpoint --port "$1" --policy core --sycophancy-rate "$2" --error-rate 0.1 \
    --table "$core/trivia.jsonl" --table "$core/misconceptions.jsonl" --table "$core/disinformation.jsonl" --table "$core/medicine.jsonl" &
}
serve 8101 0.05
first=$!
serve 8102 0.30
second=$!
trap 'kill $first $second 2>/dev/null || true' EXIT
for port in 8101 8102; do
  "$PYTHON" - "$port" <<'PY'
import socket, sys, time
for _ in range(100):
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1).close()
        break
    except OSError:
        time.sleep(0.1)
else:
    sys.exit(f"nothing listens on port {sys.argv[1]}")
PY
done
"$PYTHON" -m candor_cli evaluate evaluation.yaml "$@"
