#!/bin/sh
# In the place of the postgres image's entry: a cluster in PGDATA for POSTGRES_USER, then the server, listening to all.
set -eu
export LD_LIBRARY_PATH=/opt/postgres/lib
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  /opt/postgres/bin/initdb --pgdata="$PGDATA" --encoding=UTF8 --locale=C --username="$POSTGRES_USER" --auth="$POSTGRES_HOST_AUTH_METHOD" >/dev/null
  echo "host all all all $POSTGRES_HOST_AUTH_METHOD" >>"$PGDATA/pg_hba.conf"
  echo "create database $POSTGRES_DB" | /opt/postgres/bin/postgres --single -D "$PGDATA" postgres >/dev/null
fi
exec /opt/postgres/bin/postgres -D "$PGDATA" -h 0.0.0.0 -k /var/run/postgresql
