"""A registry of versioned, parametrised models in shared storage, in the layout of audmodel."""
