"""A folder for `PYTHONPATH`: what programs would import to tell others about their use is not there."""
