"""The one command table, used by SSH and by the local pushlog command."""
