"""Many files of many models: planned, brought, postprocessed, recorded."""
