"""The jobs: each command is one function here."""
