"""Candor's images and manifests without a cluster: build the images, run rendered Pod templates as podman containers."""
