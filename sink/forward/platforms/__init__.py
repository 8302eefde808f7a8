"""The platforms that events are forwarded to."""
