#!/bin/sh
# Install into /opt/candor with the builder's pip: install.sh pinned FILE | named REQUIREMENT... | code FOLDER (into /opt/code).
# It lies in /tmp with what it reads, and leaves nothing there.
set -eu
python=/opt/candor/bin/python
if [ -e /run/secrets/pip ]; then export PIP_CONFIG_FILE=/run/secrets/pip; fi

pip() { # Wheels in /wheels are found first.
  /opt/builder/pip/bin/python -m pip --python $python --disable-pip-version-check install --quiet --no-cache-dir --no-compile \
    --no-warn-script-location --find-links /wheels "$@"
}

finish() { # FOLDER [MODULES]: bytecode of what is new. Times of files may change on the way, so it does not ask for them.
  find "$1" -cnewer /tmp/start -name '*.py' >/tmp/sources
  $python -m compileall -q -j 0 -i /tmp/sources --invalidation-mode unchecked-hash >/dev/null 2>&1 || true
  $python -B -c "import ${2:-sys}"
  rm -rf /tmp/*
}

step=$1
shift
touch /tmp/start
case $step in
  pinned)
    # What the base has stays: its torch and vLLM were built for each other.
    $python /tmp/beyond.py <"/tmp/$1.txt" >/tmp/beyond.txt
    pip --no-deps -r /tmp/beyond.txt
    # The pins are those of a CPU build of torch; a CUDA build of the same version wants CUDA's libraries too.
    if grep -q '^torch==' /tmp/beyond.txt; then
      $python /tmp/lacking.py torch >/tmp/lacking.txt
      if [ -s /tmp/lacking.txt ]; then pip -c "/tmp/$1.txt" -r /tmp/lacking.txt; fi
    fi
    # A quarter of what these weigh are their own tests.
    find /opt/candor/lib -type d -name tests -prune -exec rm -r {} +
    # No image is made of packages that do not load.
    case $1 in
      services) finish /opt/candor/lib "dbos, grpc, huggingface_hub, jwt, kopf, kubernetes, opentelemetry.sdk, psycopg, pyarrow, scipy" ;;
      local) finish /opt/candor/lib "torch, transformers, accelerate, datasets, peft, trl" ;;
    esac
    ;;
  named)
    [ $# -eq 0 ] || pip -c /tmp/dev.txt "$@"
    finish /opt/candor/lib
    ;;
  code)
    pip --no-deps --prefix /opt/code "$1"
    finish /opt/code/lib
    ;;
esac
