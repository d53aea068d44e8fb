"""ViZDoom's engine: what it needs of the machine, and how it draws."""

import os
import pathlib
import shlex
import sys
import tempfile

from nca_tf.environments.take_cover import engine_guard

_SHARED_MEMORY = pathlib.Path('/dev/shm')
_SHARED_KIB = 256  # An engine takes 96; without them both end by a signal.


def import_vizdoom():
  """Returns the package; ImportError, where it is missing, says the cure."""
  try:
    import vizdoom
  except ImportError as error:
    raise ImportError(
      "game 'vizdoom' needs ViZDoom: pip install 'vizdoom>=1.3.2'"
    ) from error
  return vizdoom


def check_paths(engine: str):
  """Raises OSError where the library would crash or not take a name."""
  if sys.platform.startswith('linux') and not os.access(engine, os.X_OK):
    raise OSError(
      f"ViZDoom's engine {engine} is missing or may not be run: pip install "
      '--force-reinstall vizdoom, in a folder that is not mounted noexec'
    )
  for folder in (tempfile.gettempdir(), engine):
    try:
      folder.encode()
    except UnicodeEncodeError as error:
      raise OSError(
        'ViZDoom needs folders whose names are UTF-8 (TMPDIR names the one of '
        f'temporary files), got {folder!r}'
      ) from error


def check_shared_memory():
  """Raises OSError where an engine would find no room for its screen."""
  if not _SHARED_MEMORY.is_dir():
    return
  found = os.statvfs(_SHARED_MEMORY)
  free = found.f_bavail * found.f_frsize // 1024
  if free < _SHARED_KIB:
    raise OSError(
      f'ViZDoom needs {_SHARED_KIB} KiB of shared memory for each engine, and '
      f'{_SHARED_MEMORY} has {free} KiB left: remove what fills it, or make it '
      'larger (mount -o remount,size=1G /dev/shm, docker run --shm-size=1g)'
    )


def write_launcher(folder: pathlib.Path, engine: str) -> str:
  """Returns what to start instead of `engine`, so that it dies with us."""
  guard = [sys.executable, '-I', '-S', engine_guard.__file__]
  command = shlex.join([*guard, str(os.getpid()), str(folder), engine])
  launcher = folder / 'engine'
  launcher.write_bytes(os.fsencode(f'#!/bin/sh\nexec {command} "$@"\n'))
  launcher.chmod(0o700)
  # A temporary folder mounted noexec, or another system: no guard.
  guarded = sys.platform.startswith('linux') and os.access(launcher, os.X_OK)
  return str(launcher) if guarded else engine


def errors() -> tuple[type[Exception], ...]:
  """Returns what the package raises of an engine that died."""
  vizdoom = import_vizdoom()
  return (
    vizdoom.FileDoesNotExistException,
    vizdoom.ViZDoomErrorException,
    vizdoom.ViZDoomIsNotRunningException,
    vizdoom.ViZDoomUnexpectedExitException,
    vizdoom.MessageQueueException,
    vizdoom.SharedMemoryException,
  )


def set_drawing(engine, vizdoom):
  """Draws what the published experiment drew, at a quarter of its size."""
  engine.set_screen_resolution(vizdoom.ScreenResolution.RES_160X120)
  engine.set_screen_format(vizdoom.ScreenFormat.RGB24)
  engine.set_render_hud(True)
  engine.set_render_screen_flashes(True)
  engine.set_render_crosshair(False)
  engine.set_render_weapon(False)
  engine.set_render_decals(False)
  engine.set_render_particles(False)
