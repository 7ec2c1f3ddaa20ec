"""What the operator decides, as pure functions: a resource and its status give the next call, its answer the next status."""
