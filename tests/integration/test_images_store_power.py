"""A power cut under the directory store of the images worker: what a put has answered is on the disk.

A file system in an image file is copied at the instant a put is answered and mounted again: the copy has what the kernel
wrote out by then, and nothing that it only held in memory. Needs root and loop devices.
"""

import os
import pathlib
import shutil
import subprocess

import pytest

from support.talker import Talker
from support.workers import build_folder

IMAGE_BYTES = 48 << 20
# The mounts are the driver's own and go with it.
INSIDE = 'mount -o loop "$1" "$2" && chmod 755 "$2" && exec "$3" "$2" talk'


class Disk(Talker):
    """A driver on the file system in `image`, in a mount namespace of its own."""

    def __init__(self, image, mount):
        mount.mkdir(exist_ok=True)
        self.mount = mount
        super().__init__(["unshare", "--mount", "--propagation", "private", "sh", "-c", INSIDE, "sh", image, mount,
                          build_folder() / "bin" / "images_store_driver"])

    def inside(self, name):
        return pathlib.Path(f"/proc/{self.process.pid}/root{self.mount}") / name

    def kill(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def image(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("not run: only root can mount an image")
    path = tmp_path / "disk"
    with open(path, "wb") as out:
        out.truncate(IMAGE_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-F", path], check=True, stdin=subprocess.DEVNULL)
    (tmp_path / "try").mkdir()
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "mount", "-o", "loop", path, tmp_path / "try"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"not run: no loop device: {done.stderr.strip()}")
    return path


def test_what_was_answered_survives_a_power_cut(image, tmp_path):
    copies, names = [], []
    disk = Disk(image, tmp_path / "mnt")
    try:
        for seed in range(6):
            answer = disk.ask("put", seed, 50000)
            assert answer["put"] == "stored"
            names.append(answer["name"])
            disk.inside(f"plain{seed}").write_bytes(b"x" * 50000)  # the control: nobody syncs it
            copies.append(tmp_path / f"copy{seed}")
            shutil.copyfile(image, copies[-1])
    finally:
        disk.kill()
    for seed, copy in enumerate(copies):
        disk = Disk(copy, tmp_path / f"mnt{seed}")
        try:
            for n in range(seed + 1):  # hashed, since this process sees it for the first time
                assert disk.ask("put", n, 50000) == {"put": "existed", "name": names[n]}
            plain = disk.inside(f"plain{seed}")
            assert not plain.exists() or plain.stat().st_size == 0, "the copy has what was never synced: it proves nothing"
        finally:
            disk.kill()
