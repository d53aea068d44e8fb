"""Looks at processes through /proc, for tests of what is left behind."""

import os
import pathlib
import signal
import subprocess
import time


def children(pid):
  """Process ids of the living children of `pid`."""
  found = []
  for folder in pathlib.Path('/proc').glob('[0-9]*'):
    status = _status(folder)
    if status and status[0] != 'Z' and int(status[1]) == pid:
      found.append(int(folder.name))
  return found


def descendants(pid):
  """Process ids of the living children of `pid`, and theirs."""
  found = children(pid)
  for child in list(found):
    found += descendants(child)
  return found


def command(pid):
  """Command line of a process, or an empty text."""
  try:
    return pathlib.Path(f'/proc/{pid}/cmdline').read_text().replace('\0', ' ')
  except OSError:
    return ''


def engines(pid):
  """Process ids of the game engines below `pid`."""
  return [
    each
    for each in descendants(pid)
    if command(each).partition(' ')[0].endswith('/vizdoom')
  ]


def wait_until_gone(pids, seconds=10):
  """Returns those of `pids` that are still alive after a while."""
  end = time.monotonic() + seconds
  alive = list(pids)
  while alive and time.monotonic() < end:
    time.sleep(0.02)
    alive = [pid for pid in alive if _is_alive(pid)]
  return alive


def _is_alive(pid):
  status = _status(pathlib.Path(f'/proc/{pid}'))
  return bool(status) and status[0] != 'Z'


def _status(folder):
  """State and parent of a process."""
  try:
    text = (folder / 'stat').read_text()
  except OSError:
    return None
  return text.rpartition(')')[2].split()[:2]


def shared_memory(engine):
  """Files of the memory that an engine shares with its owner."""
  arguments = command(engine).split()
  instance = arguments[arguments.index('+viz_instance_id') + 1]
  return list(pathlib.Path('/dev/shm').glob(f'ViZDoom*{instance}'))


def kill_behind(command, start, delay):
  """Runs a command and kills its group `delay` seconds behind a line.

  Args:
    command: Program and arguments.
    start: How the line begins.
    delay: Seconds.
  """
  process = subprocess.Popen(
    command,
    stderr=subprocess.STDOUT,
    stdout=subprocess.PIPE,
    text=True,
    start_new_session=True,
  )
  seen = []
  for line in process.stdout:
    seen.append(line)
    if line.startswith(start):
      time.sleep(delay)
      break
  alive = process.poll() is None
  os.killpg(process.pid, signal.SIGKILL)
  process.stdout.close()
  process.wait()
  assert alive, ''.join(seen)
