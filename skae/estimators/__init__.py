"""The public classes, and what they share."""
