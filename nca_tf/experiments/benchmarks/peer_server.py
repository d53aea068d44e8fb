"""Answers requests to the functions of a script, over stdin and stdout.

`peers.PeerProcess` starts this file with the path of a script, in an
environment that may lack this library. Requests and answers are JSON, one
object per line: {"call": name of a function, ...arguments} is answered by
{"answer": value}.
"""

import importlib
import json
import os
import pathlib
import sys


def serve(calls):
  """Answers requests until stdin is closed."""
  answers = os.fdopen(os.dup(sys.stdout.fileno()), 'w')
  # What libraries print goes to stderr, not between the answers.
  os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
  for line in sys.stdin:
    request = json.loads(line)
    answer = calls[request.pop('call')](**request)
    print(json.dumps({'answer': answer}), file=answers, flush=True)


if __name__ == '__main__':
  script = pathlib.Path(sys.argv[1])
  sys.path[0] = str(script.parent)
  serve(vars(importlib.import_module(script.stem)))
