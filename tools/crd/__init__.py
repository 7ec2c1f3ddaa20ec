"""The parts of the custom resource's schema that the protos do not say."""
