"""How fast the tools are, measured against the programs a user would take instead."""
