"""Tables of the ledger. One schema for SQLite (embedded) and Postgres."""

from __future__ import annotations

import sqlalchemy as sa

# Version 2 added the rewrites, version 3 who created an evaluation and in which trace. Additions are made to older ledgers as they are opened.
SCHEMA_VERSION = 3
metadata = sa.MetaData()

meta = sa.Table(
    "candor_meta",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.String(256), nullable=False),
)
evaluations = sa.Table(
    "candor_evaluations",
    metadata,
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("request_id", sa.String(128), unique=True, nullable=True),
    sa.Column("spec", sa.LargeBinary, nullable=False),
    sa.Column("document_digest", sa.String(80), nullable=False, index=True),
    sa.Column("gate_digest", sa.String(80), nullable=False),
    sa.Column("lineage", sa.String(128), nullable=False, index=True),
    sa.Column("limit", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("verdict", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("failure_reason", sa.String(64), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("cancel", sa.Boolean, nullable=False),
    sa.Column("progress", sa.JSON, nullable=False),
    sa.Column("pinned", sa.JSON, nullable=False),
    sa.Column("verdict_json", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False, index=True),
    sa.Column("updated", sa.Float, nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False, server_default=""),
    sa.Column("trace", sa.String(64), nullable=False, server_default=""),
)
# Each request that asked for an evaluation, the one that found it under way included. Programs that do not know this table
# lose nothing but that.
requests = sa.Table(
    "candor_requests",
    metadata,
    sa.Column("request_id", sa.String(128), primary_key=True),
    sa.Column("evaluation_id", sa.String(128), nullable=False, index=True),
)
events = sa.Table(
    "candor_events",
    metadata,
    sa.Column("evaluation_id", sa.String(128), primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("time", sa.Float, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("progress", sa.JSON, nullable=False),
)
responses = sa.Table(
    "candor_responses",
    metadata,
    sa.Column("key", sa.LargeBinary(32), primary_key=True),
    sa.Column("scope", sa.String(256), nullable=False, index=True),
    sa.Column("evaluation_id", sa.String(128), nullable=False),
    sa.Column("chars", sa.Integer, nullable=False),
    sa.Column("finish_reason", sa.String(32), nullable=False),
    sa.Column("prompt_tokens", sa.Integer, nullable=False),
    sa.Column("completion_tokens", sa.Integer, nullable=False),
    sa.Column("latency_seconds", sa.Float, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("reported_model", sa.String(256), nullable=False),
    sa.Column("error_reason", sa.String(64), nullable=False),
    sa.Column("error_message", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    # Last: a scan that needs only the columns above does not read the text's overflow pages.
    sa.Column("text", sa.Text, nullable=False),
)
grades = sa.Table(
    "candor_grades",
    metadata,
    sa.Column("key", sa.LargeBinary(32), primary_key=True),
    sa.Column("grader_digest", sa.String(80), primary_key=True),
    sa.Column("verdict", sa.String(16), nullable=False),
    sa.Column("adopts", sa.Boolean, nullable=True),
    sa.Column("decided_by", sa.String(16), nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("final_claim", sa.Text, nullable=False),
    sa.Column("judge_raw", sa.Text, nullable=False),
    sa.Column("judge_model", sa.String(256), nullable=False),
    sa.Column("prompt_tokens", sa.Integer, nullable=False),
    sa.Column("completion_tokens", sa.Integer, nullable=False),
)
scores = sa.Table(
    "candor_scores",
    metadata,
    sa.Column("key", sa.LargeBinary(32), primary_key=True),
    sa.Column("scorer", sa.String(512), primary_key=True),
    sa.Column("value", sa.Float, nullable=True),
)
rewrites = sa.Table(
    "candor_rewrites",
    metadata,
    sa.Column("key", sa.LargeBinary(32), primary_key=True),
    sa.Column("rewriter_digest", sa.String(80), primary_key=True),
    sa.Column("evaluation_id", sa.String(128), nullable=False, index=True),
    sa.Column("accepted", sa.Boolean, nullable=False),
    sa.Column("failed", sa.JSON, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("prompt_tokens", sa.Integer, nullable=False),
    sa.Column("completion_tokens", sa.Integer, nullable=False),
    sa.Column("reported_model", sa.String(256), nullable=False),
    sa.Column("style_shift", sa.Float, nullable=False),
    sa.Column("spend", sa.Float, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)
datasets = sa.Table(
    "candor_datasets",
    metadata,
    sa.Column("digest", sa.String(80), primary_key=True),
    sa.Column("filename", sa.String(256), nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)
calibrations = sa.Table(
    "candor_calibrations",
    metadata,
    sa.Column("judge_digest", sa.String(80), primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
)
# Replicas that are alive: who has not beaten for a while is dead, and its runs are adopted.
replicas = sa.Table(
    "candor_replicas",
    metadata,
    sa.Column("executor", sa.String(128), primary_key=True),
    sa.Column("beat", sa.Float, nullable=False),
)
