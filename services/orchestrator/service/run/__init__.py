"""The run: from a stored evaluation to its verdict and files."""
