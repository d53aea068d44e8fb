"""Trains each cell with each seed on a memory task, tests and exports it."""

import functools

import keras
import numpy as np
import tensorflow as tf

from nca_tf import random_numbers
from nca_tf.experiments.memory_tasks import report
from nca_tf.experiments.memory_tasks import settings
from nca_tf.memory import cell_flags
from nca_tf.memory import cells
from nca_tf.memory import controllers
from nca_tf.memory import extensions
from nca_tf.memory import sequence_model
from nca_tf.runs import checkpoints as checkpoints_lib
from nca_tf.runs import run as run_lib
from nca_tf.runs import run_files
from nca_tf.saved_models import export as export_lib
from nca_tf.training import loop
from nca_tf.training import sequence as sequence_training

_MEMORY_OPTIONS = (*cell_flags.OF_A_MEMORY, *extensions.Options._fields)


def run(config: settings.Config) -> None:
  """Trains what the run folder has not finished yet, tests it and reports."""
  name = config.run_name
  about = f'{config.task}, {config.cell}'
  with run_lib.start(config, settings.NAME, name, about) as folder:
    training = Training(folder)
    print(training.describe(), flush=True)
    for seed in training.seeds:
      for cell in config.cells:
        which = cell, seed
        folder.stage(
          f'{cell}-{seed}',
          functools.partial(training.train, *which),
          functools.partial(training.is_trained, *which),
        )
        folder.stage(
          f'export-{cell}-{seed}',
          functools.partial(training.export, *which),
          functools.partial(training.is_exported, *which),
        )
    folder.publish(report.make(training), numbers='errors.json')
    folder.goodbye(
      SavedModels=str(folder.export),
      Next=config.next_command(folder.path),
    )


class Training:
  """The trainings of one run, one per cell and seed.

  Attributes:
    run: The open run, with its configuration.
    task: A datasets.memory_tasks Task.
    seeds: Seeds of the trainings.
    units: Units by cell.
    parameters: Number of weights by cell.
  """

  def __init__(self, run: run_lib.Run):
    """Sizes the cells."""
    self.run = run
    self.config = config = run.config
    self.task = config.make_task()
    self.seeds = range(config.seed, config.seed + config.seeds)
    self.units, self.parameters = {}, {}
    for cell in config.cells:
      self._size(cell)

  def _size(self, cell):
    """Sizes a cell with a memory by the flags, another one by its weights."""
    has_memory = cells.get(cell).has_memory
    units = self.config.own('units' if has_memory else 'lstm_units')
    if not units:
      if settings.REFERENCE not in self.parameters:
        self._size(settings.REFERENCE)
      sizes = self.task.input_size, self.task.output_size
      weights = self.parameters[settings.REFERENCE]
      units = sequence_model.nearest_units(cell, weights, *sizes)
    self.units[cell] = units
    self.parameters[cell] = self.model(cell, 0).count_params()

  def describe(self) -> str:
    """One line: what is trained, and how many weights it has."""
    config = self.config
    sizes = ', '.join(
      f'{cell} {self.units[cell]} units, {self.parameters[cell]} weights'
      for cell in config.cells
    )
    return (
      f'{config.own("updates")} updates of {config.batch} sequences, up to '
      f'{config.own("longest")} {self.task.LENGTH}; {sizes}'
    )

  def model(self, cell: str, seed: int) -> sequence_model.SequenceModel:
    """A new model with the weights that a seed starts from."""
    config = self.config
    units = self.units[cell]
    feedforward = config.own('controller') == 'feedforward'
    with random_numbers.weights(seed, cell):
      if feedforward and cells.get(cell).has_memory:
        reads_size = config.own('read_heads') * config.own('word_size')
        units = controllers.FeedForward(units, reads_size, name='controller')
      return sequence_model.make(
        cell,
        units,
        self.task.input_size,
        self.task.output_size,
        **{name: config.own(name) for name in _MEMORY_OPTIONS},
      )

  def train(self, cell: str, seed: int) -> dict:
    """Trains; returns the errors of all test sequences at every length."""
    config = self.config
    updates, longest = config.own('updates'), config.own('longest')
    rate = config.own('learning_rate')
    trainer = sequence_training.SequenceTrainer(
      self.model(cell, seed),
      self.task,
      longest=longest,
      seed=seed,
      learning_rate=keras.optimizers.schedules.CosineDecay(rate, updates),
      batch=config.batch,
      warm_up=int(config.own('curriculum') * updates),
      clip=config.own('clip'),
      # At these sizes a step is mostly the overhead of its operations.
      jit=config.jit != 'off',
    )
    steps = self.task.steps(max(config.lengths))
    lengths = sorted({longest, max(config.lengths)})

    def evaluate(_):
      means = trainer.evaluate(lengths, config.test_sequences, steps).mean(1)
      return {
        f'error_at_{n}': mean for n, mean in zip(lengths, means, strict=True)
      }

    which = {'cell': cell, 'seed': seed}
    sizes = {'units': self.units[cell], 'parameters': self.parameters[cell]}
    loop.fit(
      f'{cell}-{seed}',
      trainer.step,
      updates,
      checkpoints=checkpoints_lib.Checkpoints(
        self.run.checkpoints / f'{cell}-{seed}',
        model=trainer.model,
        optimizer=trainer.optimizer,
      ),
      log=self.run.open_log(f'{cell}-{seed}', config.task, **which, **sizes),
      held_out=evaluate,
    )
    errors = trainer.evaluate(config.lengths, config.test_sequences, steps)
    return {
      'lengths': config.lengths,
      'errors': np.round(errors, 6),
      'parameters': self.parameters[cell],
    }

  def is_trained(self, cell: str, seed: int) -> bool:
    """Whether a finished training left what is needed of it."""
    steps = self.config.own('updates')
    folder = self.run.checkpoints / f'{cell}-{seed}'
    if not run_files.has_step(folder, steps):
      return False
    sizes = len(self.config.lengths), self.config.test_sequences
    try:
      errors = np.array(self.run.info(f'{cell}-{seed}')['errors'], np.float64)
    except (KeyError, TypeError, ValueError):
      return False
    return errors.shape == sizes and bool(np.isfinite(errors).all())

  def is_exported(self, cell: str, seed: int) -> bool:
    """Whether the SavedModel of a trained cell is there."""
    return run_files.is_saved_model(self.run.export / f'{cell}-{seed}')

  def export(self, cell: str, seed: int) -> None:
    """Writes the SavedModel of a trained cell."""
    folder = self.run.export / f'{cell}-{seed}'
    model = self.load(cell, seed)
    export_lib.export_sequence_model(model, self.task.input_size, folder)

  def load(self, cell: str, seed: int) -> sequence_model.SequenceModel:
    """A trained model; ValueError if its checkpoint is lost or damaged."""
    model = self.model(cell, seed)
    where = self.run.checkpoints / f'{cell}-{seed}'
    checkpoints_lib.Checkpoints(where, model=model).load(
      self.config.own('updates')
    )
    return model

  def errors(self, cell: str) -> np.ndarray:
    """Errors of every test sequence, [seeds, lengths, sequences]."""
    return np.array(
      [self.run.info(f'{cell}-{seed}')['errors'] for seed in self.seeds]
    )

  def trace(self, cell: str, seed: int):
    """A held-out sequence of the longest training length, and its trace.

    Returns:
      A Batch of one sequence, the outputs [T, O], and the arrays [T, ...] of
      `cells.trace`; None for a cell without a memory.
    """
    longest = self.config.own('longest')
    rng = random_numbers.generator(seed, 'traced sequence')
    batch = self.task.draw(rng, [longest], self.task.steps(longest))
    outputs, trace = self.load(cell, seed).trace(tf.constant(batch.inputs))
    if trace is not None:
      trace = {name: values[0] for name, values in trace.items()}
    return batch, outputs[0].numpy(), trace
