"""A registry of versioned, parametrised models, whose repositories audmodel reads and writes too.

`identifiers` says what models are called, `layout` where a repository keeps what, `headers` what is
written there.
"""
