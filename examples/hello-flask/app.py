"""A web app of Flask, served by gunicorn."""

from flask import Flask

GREETING = "Hello from Flask"

app = Flask(__name__)


@app.get("/")
def hello() -> str:
    """One greeting."""
    return f"{GREETING}\n"
