"""`python -m autoglm_localcluster`."""

from autoglm_localcluster.cli import app

app()
