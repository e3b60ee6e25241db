"""Small apps that tests push, as texts by file name."""

ECHO = {
    ".null": "",
    "Procfile": "web: python3 -u app.py\nworker: while true; do echo working; sleep 1; done\n",
    "app.py": '''
import os, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = "one"

class Echo(BaseHTTPRequestHandler):
    def do_GET(self):
        """/NAME answers with the variable NAME, / with the version."""
        text = os.environ.get(self.path[1:], "") if self.path != "/" else VERSION
        self.send_response(200)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())
        if self.path.startswith("/say/"):
            sys.stdout.write(self.path[5:] + "\\n")

    def log_message(self, *_):
        pass

if os.environ.get("MOOD") == "bad":
    sys.exit("I do not start in a bad mood")
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
ThreadingHTTPServer(("", int(os.environ["PORT"])), Echo).serve_forever()
''',
}
"""Answers with its environment, prints what it is told to, and does not start with MOOD=bad."""

SLOW = {
    "Procfile": "web: python3 -m http.server $PORT\n",
    "requirements.txt": "./slow\n",
    "slow/pyproject.toml": """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
""",
    "slow/backend.py": '''
import time, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    """A wheel of nothing, after a while."""
    time.sleep(2)
    name = "slow-1-py3-none-any.whl"
    about = {
        "METADATA": "Metadata-Version: 2.1\\nName: slow\\nVersion: 1\\n",
        "WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        for file, text in about.items():
            wheel.writestr(f"slow-1.dist-info/{file}", text)
    return name
''',
}
"""Builds for some seconds."""
