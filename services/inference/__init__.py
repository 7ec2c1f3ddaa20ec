"""One door to every subject: generate replies, describe and check models."""
