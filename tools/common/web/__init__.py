"""Talking to servers: connections, errors, credentials, and what one transfer learns for all."""
