"""The stages of train_memory_task: a training per cell and seed."""

import keras
import numpy as np
import tensorflow as tf

from nca_tf import random_numbers
from nca_tf.memory import controllers
from nca_tf.memory import sequence_model
from nca_tf.runs import checkpoints as checkpoints_lib
from nca_tf.saved_models import export
from nca_tf.training import loop
from nca_tf.training import sequence as sequence_training

_OF_THE_MEMORY = (
  'memory_slots',
  'word_size',
  'read_heads',
  'key_masking',
  'deallocation',
  'link_sharpness',
)


class Stages:
  """Trainings of one run: what is finished is loaded, what is not is made."""

  def __init__(self, config, folder, log):
    """Takes the configuration, the open run folder and its metrics log."""
    self.config = config
    self.folder = folder
    self.log = log
    self.task = config.make_task()
    self.seeds = range(config.seed, config.seed + config.seeds)
    sizes = self.task.input_size, self.task.output_size
    self.units = {'dnc': config.own('units')}
    self.parameters = {'dnc': self.model('dnc', 0).count_params()}
    # An LSTM with as many weights, unless its size was asked for.
    self.units['lstm'] = config.lstm_units or sequence_model.nearest_units(
      'lstm', self.parameters['dnc'], *sizes
    )
    self.parameters['lstm'] = self.model('lstm', 0).count_params()

  def describe(self) -> str:
    """One line: what is trained, and how many weights it has."""
    config = self.config
    sizes = ', '.join(
      f'{name} {self.units[name]} units, {self.parameters[name]} weights'
      for name in config.cells
    )
    return (
      f'{config.own("updates")} updates of {config.batch} sequences, up to '
      f'{config.own("longest")} {self.task.LENGTH}; {sizes}'
    )

  def model(self, cell, seed):
    """A new model with the weights that a seed starts from."""
    config = self.config
    keras.utils.set_random_seed(
      int(random_numbers.key(seed, f'weights of {cell}')[0])
    )
    units = self.units[cell]
    if cell == 'dnc' and config.own('controller') == 'feedforward':
      reads_size = config.own('read_heads') * config.own('word_size')
      units = controllers.FeedForward(units, reads_size, name='controller')
    return sequence_model.make(
      cell,
      units,
      self.task.input_size,
      self.task.output_size,
      **{name: config.own(name) for name in _OF_THE_MEMORY},
    )

  def train(self, cell, seed):
    """Trains, and tests at every length."""
    stage = f'{cell}-{seed}'
    if self.folder.is_finished(stage):
      return
    config = self.config
    trainer = self._trainer(cell, seed)
    steps = self.task.steps(max(config.lengths))
    longest = config.own('longest')

    def look(_):
      lengths = sorted({longest, max(config.lengths)})
      errors = trainer.evaluate(lengths, config.test_sequences, steps)
      means = errors.mean(1)
      return {
        f'error_at_{n}': mean for n, mean in zip(lengths, means, strict=True)
      }

    loop.fit(
      stage,
      trainer.step,
      config.own('updates'),
      checkpoints=self._checkpoints(cell, seed, trainer),
      log=self.log,
      held_out=look,
    )
    errors = trainer.evaluate(config.lengths, config.test_sequences, steps)
    self.folder.finish(
      stage,
      {
        'lengths': config.lengths,
        'errors': np.round(errors, 6),
        'parameters': self.parameters[cell],
      },
    )

  def export(self, cell, seed):
    """Writes the SavedModel of a trained cell."""
    stage = f'export-{cell}-{seed}'
    if not self.folder.is_finished(stage):
      model = self.load(cell, seed)
      export.export_sequence_model(
        model, self.task.input_size, self.folder.export / f'{cell}-{seed}'
      )
      self.folder.finish(stage)

  def load(self, cell, seed):
    """A trained model."""
    trainer = self._trainer(cell, seed)
    self._checkpoints(cell, seed, trainer).restore()
    return trainer.model

  def errors(self, cell):
    """Of every seed the errors of every sequence, [seeds, lengths, count]."""
    return np.array(
      [self.folder.info(f'{cell}-{seed}')['errors'] for seed in self.seeds]
    )

  def trace(self, cell, seed):
    """A held-out sequence as long as any in training, and what happens in it.

    Returns:
      A Batch of one sequence, the outputs [T, O], and the Trace of it as
      arrays by name; None for a cell without a memory.
    """
    longest = self.config.own('longest')
    rng = np.random.default_rng(random_numbers.key(seed, 'traced sequence'))
    batch = self.task.draw(rng, [longest], self.task.steps(longest))
    outputs, trace = self.load(cell, seed).trace(tf.constant(batch.inputs))
    if trace is not None:
      trace = {name: values[0] for name, values in trace.items()}
    return batch, outputs[0].numpy(), trace

  def _trainer(self, cell, seed):
    config = self.config
    updates = config.own('updates')
    return sequence_training.SequenceTrainer(
      self.model(cell, seed),
      self.task,
      longest=config.own('longest'),
      seed=seed,
      learning_rate=keras.optimizers.schedules.CosineDecay(
        config.own('learning_rate'), updates
      ),
      batch=config.batch,
      warm_up=int(config.own('curriculum') * updates),
      clip=config.own('clip'),
      # At these sizes a step is mostly the overhead of its operations.
      jit=config.jit != 'off',
    )

  def _checkpoints(self, cell, seed, trainer):
    return checkpoints_lib.Checkpoints(
      self.folder.checkpoints / f'{cell}-{seed}',
      model=trainer.model,
      optimizer=trainer.optimizer,
    )
