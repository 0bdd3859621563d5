"""Reporters turn events into what people and programs read; one module per form."""
