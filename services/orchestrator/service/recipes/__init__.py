"""Arms that have to be made before they can be asked: reading, rewriting, training, choosing."""
