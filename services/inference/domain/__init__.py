"""Pure inference rules: identities and outcomes."""
