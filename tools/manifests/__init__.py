"""Rules for our manifests, over rendered objects: what the API server would not refuse and we do.

`python -m tools.manifests FOLDER...` renders each and prints what is wrong; for overlays of your own as well.
"""
