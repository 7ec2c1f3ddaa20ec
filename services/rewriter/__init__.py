"""Makes training targets: classifies conversations and rewrites replies into a style, each with a certificate."""
