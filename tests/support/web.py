"""nginx with the project's own configuration (deploy/images/nginx.conf) in front of a store, on a free loopback port."""

import http.client
import os
import pathlib
import shutil
import subprocess

from .servers import ROOT, free_port
from .waiting import until

PROGRAM = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")

AROUND = """daemon off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {limit}
    {server}
}}
"""


class Web:
    """rate: bytes a second of each answer, e.g. "20k"; as root its workers belong to nobody."""

    def __init__(self, folder, store, rate=None):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        server = (ROOT / "deploy/images/nginx.conf").read_text()
        for old, new in ("listen 80;", f"listen 127.0.0.1:{self.port};"), ("root /var/lib/newsmill/images;", f"root {store};"):
            assert server.count(old) == 1, f"deploy/images/nginx.conf has no '{old}'"
            server = server.replace(old, new)
        user = "user nobody nogroup;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(AROUND.format(folder=folder, user=user, server=server, limit=f"limit_rate {rate};" if rate else ""))
        with open(folder / "nginx.log", "ab") as log:
            self.process = subprocess.Popen([PROGRAM, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(lambda: self._listens(folder), 20, "nginx answers")

    def _listens(self, folder):
        if self.process.poll() is not None:
            raise RuntimeError(f"nginx ended with {self.process.returncode}: {(folder / 'nginx.log').read_text()}")
        try:
            return self.ask("GET", "/").status == 404
        except OSError:
            return False

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ask(self, method, path, headers=None, body=None):
        """The answer, read; .body has its bytes."""
        connection = self.connect()
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            answer.body = answer.read()
            return answer
        finally:
            connection.close()

    def close(self):
        self.process.terminate()
        self.process.wait(20)
