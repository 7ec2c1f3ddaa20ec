"""A closed invented world and the miniature models pretrained on it: the embedded default's subject."""
