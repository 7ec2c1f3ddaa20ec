"""The certificate of a rewrite (METHOD section 9): nothing of the content lost, added or turned round, and the style moved.

Each check is a module with one pure function, `check(case) -> reason`, empty where nothing was found. The checks compare words, not
meanings: they let a fluent lie pass that uses the same words, and they turn down some honest paraphrases; README.md has the measured
shares.
"""

from services.rewriter.domain.certificate.run import CHECKS, certify, nothing_changed, version

__all__ = ["CHECKS", "certify", "nothing_changed", "version"]
