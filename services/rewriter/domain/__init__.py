"""Pure rewriting rules: reading conversations, categories, styles, certificate."""
