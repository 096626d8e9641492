"""A program of the tests that answers each line of words with a line of JSON."""

import json
import subprocess


class Talker:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def ask(self, *words):
        try:
            self.process.stdin.write(" ".join(map(str, words)) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the driver says why below
        line = self.process.stdout.readline()
        assert line, f"the driver ended at {words}: {self.process.communicate(timeout=30)}"
        return json.loads(line)
