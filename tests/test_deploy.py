"""The proxy's configuration is one that nginx takes, and says the server's own bounds."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from serving.protocol import MAX_HEADER_BYTES
from serving.server import IDLE_S
from serving.settings import Settings

CONFIGURATION = Path(__file__).parent.parent / "deploy/nginx/mingjian.conf"


def value_of(directive: str) -> str:
    [value] = re.findall(rf"^\s*{directive} ([^;]+);", CONFIGURATION.read_text(), re.MULTILINE)
    return str(value)


def test_nginx_takes_the_configuration(tmp_path: Path, need: Callable[[str], None]) -> None:
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if nginx is None:
        need("no nginx on this machine")
    key, certificate = tmp_path / "privkey.pem", tmp_path / "fullchain.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate]
    subprocess.run([*made, "-days", "1", "-subj", "/CN=mingjian.example"], check=True, capture_output=True)
    own = CONFIGURATION.read_text().replace("/etc/nginx/mingjian", str(tmp_path))
    whole = f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{own}\n}}\n"
    (tmp_path / "nginx.conf").write_text(whole)
    command = [str(nginx), "-t", "-q", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr.replace("\n", "")) == (0, "")


def test_its_bounds_are_the_servers() -> None:
    number, size = value_of("large_client_header_buffers").split()
    assert int(number) * int(size.removesuffix("k")) * 1024 == MAX_HEADER_BYTES
    assert int(value_of("client_max_body_size").removesuffix("m")) << 20 == Settings().max_body_bytes
    assert float(value_of("client_header_timeout").removesuffix("s")) == Settings().header_timeout_s
    of_servers, _ = re.findall(r"keepalive_timeout (\d+)s;", CONFIGURATION.read_text())
    assert int(of_servers) < IDLE_S
