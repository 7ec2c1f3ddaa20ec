#!/bin/sh
# Resolve requirements/{base,services,local,dev}.txt from pyproject.toml and the hand-made pins. No index addresses are written.
set -eu
cd "$(dirname "$0")/.."
python -m pip install --quiet pip-tools
for spec in "base:" "services:--extra services" "local:--extra local --extra trainer --extra hub --extra orchestrator" \
  "dev:--extra local --extra trainer --extra hub --extra orchestrator --extra dev"; do
  out="requirements/${spec%%:*}.txt"
  # shellcheck disable=SC2086 # the extras are words
  pip-compile --quiet --rebuild --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --strip-extras \
    --no-header --no-annotate ${spec#*:} -c requirements/pins.in -o "$out" pyproject.toml
  # A CPU build of torch is the same version elsewhere.
  sed -i -e 's/+cpu$//' -e '/^candor @/d' -e '/^#/d' -e '/^$/d' "$out"
done
