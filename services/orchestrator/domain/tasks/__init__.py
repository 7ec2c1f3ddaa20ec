"""Tasks: the built-in `core`, loaders of public datasets, and a user's own file. Pure: bytes in, items out."""

from services.orchestrator.domain.tasks.loading import BUILT_IN, LOADERS, check_distinct, load, load_built_in
from services.orchestrator.domain.tasks.source import SourceFile

__all__ = ["BUILT_IN", "LOADERS", "SourceFile", "check_distinct", "load", "load_built_in"]
