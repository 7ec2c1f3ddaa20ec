#!/bin/sh
# What each image has beside its packages: the account and its folder, and bytecode of what its base brings, since the root
# of a running container is read-only and Python would compile it anew at each start.
set -eu
groupadd --gid 65532 candor
useradd --uid 65532 --gid 65532 -K UID_MAX=65535 -K GID_MAX=65535 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin candor
install -d -o candor -g candor /var/lib/candor
# What the base has is seen and kept; a slim Python has nothing.
python3 -m venv --without-pip --system-site-packages /opt/candor
for folder in $(python3 -c 'import site; print(*site.getsitepackages())'); do
  # A package with files for other Pythons is no error.
  if [ -d "$folder" ]; then python3 -m compileall -q -j 0 "$folder" >/dev/null 2>&1 || true; fi
done
