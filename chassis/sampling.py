"""Names of the sampling parameters that an endpoint may refuse."""

from __future__ import annotations

OMITTABLE = ("temperature", "top_p", "seed", "max_tokens")
"""Parameters that are left out where an endpoint refuses them."""

TOKEN_LIMIT_FIELDS = ("max_tokens", "max_completion_tokens")
"""Names under which the token limit is sent."""
