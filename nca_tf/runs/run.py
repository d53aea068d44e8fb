"""A run of an experiment: opened once, each stage done once, then reported."""

import functools
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nca_tf import files
from nca_tf import precision
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.runs import commands
from nca_tf.runs import report as report_lib
from nca_tf.runs import run_folder

if TYPE_CHECKING:  # Scripted policies are scored without waiting for these.
  from matplotlib.figure import Figure

  from nca_tf.runs import metrics


class Run(run_folder.RunFolder):
  """A run folder with its settings, its records and its stages.

      with run.start(config, 'train', 'vizdoom-dnc-0', 'vizdoom, dnc') as run:
        figures = run.stage('vision', train_vision)  # what it returned, once
        run.publish(report.Report({'Losses': table}))
        run.goodbye(Next='bin/evaluate')

  Attributes:
    config: The resolved configuration.
    computes: False where this process does without TensorFlow, whose import
      takes seconds. TensorBoard's files are then left out.
    curve: Name of its curves in TensorBoard, such as `dnc-0`; empty where the
      run has several or none, and its pictures are of all.
  """

  config: config_flags.Common | None = None
  computes: bool = True
  curve: str = ''
  _restore_precision = staticmethod(lambda: None)

  def close(self) -> None:
    """Frees the folder, and puts back the precision that was set before."""
    super().close()
    self._restore_precision()

  @functools.cached_property
  def log(self) -> 'metrics.MetricsLog':
    """Its records: `metrics.jsonl` and TensorBoard."""
    return self.open_log(self.curve)

  def open_log(
    self, curve: str, tag: str = '', **settings: Any
  ) -> 'metrics.MetricsLog':
    """Its records, with a curve of their own in TensorBoard.

    Args:
      curve: Its name, such as `dnc-0`: a folder below `tensorboard/`.
      tag: What its tags begin with, in place of the stage: those of all curves
        of one chart are equal.
      **settings: What this curve has and the run's configuration does not.
    """
    from nca_tf.runs import metrics

    return metrics.MetricsLog(
      self.path,
      self.tensorboard / curve,
      {**config_flags.identity(self.config), **settings},
      tag,
    )

  def stage(
    self,
    name: str,
    work: Callable[[], Any],
    is_whole: Callable[[], bool] | None = None,
  ) -> dict[str, Any]:
    """Does a stage unless it is finished, in this process or an earlier one.

    Args:
      name: Of the stage.
      work: Returns what the stage leaves, for JSON, or None.
      is_whole: Asked where it is finished whether its files are still what they
        were; if not, the stage is done again, from what is left of them.

    Returns:
      What it left, as JSON has it.
    """
    is_finished = self.is_finished(name)
    if is_finished and is_whole and not is_whole():
      faults.warn(f'{self.path}: {name} lost some of its work; made again')
      is_finished = False
    if not is_finished:
      self.finish(name, work())
    return self.info(name)

  def stages(self, works: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """Does stages in order; returns what each of them left, by name."""
    return {name: self.stage(name, work) for name, work in works.items()}

  def publish(
    self,
    report: report_lib.Report,
    name: str = 'summary',
    numbers: str = 'scores.json',
    step: int = 0,
  ) -> None:
    """Shows a report and writes it: NAME.txt, NAME.md, JSON, figures.

    The JSON file, `numbers`, is that of a report with numbers. TensorBoard has
    text and pictures at `step`.
    """
    if report.numbers is not None:
      files.write_json(self.path / numbers, report.numbers)
    files.write_whole(self.path / f'{name}.txt', report.text())
    files.write_whole(self.path / f'{name}.md', report.markdown())
    if self.computes:
      self.log.text(name, report.markdown(), step)
    for title, figure in report.figures:
      self.show(title, figure, step)
    print(report.text())

  def show(self, name: str, figure: 'Figure', step: int = 0) -> None:
    """Writes a figure to `figures/NAME.png` and to TensorBoard."""
    from nca_tf.analysis import canvas

    canvas.save(figure, self.figures / f'{name}.png')
    if self.computes:
      self.log.image(f'figures/{name}', canvas.to_image(figure), step)

  def goodbye(self, **lines: str) -> None:
    """Says where to look, and what comes next.

    The lines are texts by what they are of, such as `Next='bin/evaluate'`;
    underscores become spaces. Commands are those of `commands`.
    """
    look = commands.tensorboard(self.tensorboard)
    lines = {**lines, 'Figures': str(self.figures), 'Look_at_it': look}
    if 'Next' in lines:
      lines['Next'] = lines.pop('Next')  # Comes last.
    width = max(map(len, lines)) + 1
    for label, text in lines.items():
      print(f'{label.replace("_", " ") + ":":{width}} {text}')


def start(
  config: config_flags.Common,
  binary: str,
  name: str,
  about: str = '',
  computes: bool = True,
  curve: str = '',
) -> Run:
  """Opens the folder of a run, says so, and sets the precision.

  Args:
    config: The resolved configuration.
    binary: Name of the binary.
    name: Name of the run below `runs/<binary>/`, e.g. `vizdoom-dnc-0`; what
      has no place in a file's name becomes a hyphen.
    about: What is run, for the screen.
    computes: Whether this process uses Keras and TensorFlow; if not, neither
      is imported, and the run writes nothing for TensorBoard.
    curve: Name of its curves in TensorBoard, such as `dnc-0`.

  Returns:
    The run, locked until it is closed; use it in a `with` statement.

  Raises:
    faults.UsageError: The folder belongs to another configuration.
    faults.Fault: Another process uses it, or its files are damaged.
  """
  run = Run.open(config, binary, re.sub(r'[^\w.+-]+', '-', name))
  run.config, run.computes, run.curve = config, computes, curve
  print(f'{binary}: {about + ", " if about else ""}in {run.path}', flush=True)
  if computes:
    run._restore_precision = precision.set_precision(config.precision)
  return run
