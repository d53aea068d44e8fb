"""The stages of train_controller; each one resumes and is done once."""

import dataclasses
import json
import os

import numpy as np

from nca_tf import random_numbers
from nca_tf.analysis import table
from nca_tf.command_line import faults
from nca_tf.datasets import rollouts
from nca_tf.experiments.controller import dream_check
from nca_tf.experiments.controller import evolution as controller_evolution
from nca_tf.experiments.controller import report as controller_pictures
from nca_tf.experiments.games import evaluate
from nca_tf.experiments.world_model import run as world_model_stages
from nca_tf.experiments.world_model import settings as train_world_model
from nca_tf.play import collect
from nca_tf.play import score
from nca_tf.runs import metrics
from nca_tf.runs import progress
from nca_tf.runs import run_folder


class Stages:
  """One run: what is finished is loaded, what is not is made.

  Iteration k has the folder `iteration-k/` with `evolution-1/` and so on and,
  from the second iteration on, `rollouts/` (what the controllers before it
  played) and `world_model/`, a whole run folder of train_world_model.
  """

  def __init__(self, config, folder, log):
    """Takes the configuration, the open run folder and its metrics log."""
    self.config = config
    self.folder = folder
    self.log = log
    self._evolutions = {}
    self._models = {}

  def learn(self, number):
    """From the second iteration on: plays, and fits V and M to all data."""
    if number == 1 or self.folder.is_finished(f'learn-{number}'):
      return
    self._collect(number)
    settings = self._model_config(number)
    with run_folder.RunFolder.open(
      settings, train_world_model.NAME, ''
    ) as folder:
      log = metrics.MetricsLog(folder.path, folder.tensorboard)
      stages = world_model_stages.Stages(settings, folder, log)
      stages.train_vision()
      stages.encode()
      stages.train_model()
    self.folder.finish(f'learn-{number}', {'steps': _steps(stages)})

  def check(self, number):
    """Scripted policies in the dream and in the game; may refuse the dream."""
    config = self.config
    stage = f'check-{number}'
    if self.folder.is_finished(stage) or not config.check_episodes:
      return
    print(f'dream check of iteration {number}', flush=True)
    model = self.world_model(number)
    dream = controller_evolution.make_dream(model, config)
    in_dream = dream_check.play_dream(model, dream, config.seed)
    if number > 1:
      in_game = self.folder.info('check-1')['game']
    else:
      in_game = dream_check.play_game(
        model, config.check_episodes, config.seed, config.processes
      )
    view = table.Table(['policy', 'in the dream', 'in the game'], digits=0)
    for row in dream_check.compare(in_dream, in_game, config.seed):
      view.add(*row)
    print(view.text(), flush=True)
    self.log.text(f'dream_check/{number}', view.markdown())
    complaint = dream_check.complain(in_dream, in_game, model.spec.time_limit)
    if complaint:
      print(f'warning: {complaint}', flush=True)
      if number == 1 and not (config.accept_dream or config.untrained):
        raise faults.UsageError(
          f'--world_model must have a better dream: {complaint}; '
          '--accept_dream trains in it all the same'
        )
    self.folder.finish(stage, {'dream': in_dream, 'game': in_game})

  def evolve(self, number):
    """Runs the evolutions of an iteration that are not finished."""
    for index in self.indices:
      stage = f'evolve-{evolution_name(number, index)}'
      if not self.folder.is_finished(stage):
        self.evolution(number, index).run(self.log)
        self.folder.finish(stage)

  def choose(self):
    """The best looks of all iterations play a runoff; the winner is kept."""
    if self.folder.is_finished('choose'):
      return
    config = self.config
    looks = [
      look
      for number in range(1, config.iterations + 1)
      for look in self.looks(number)
    ]
    finalists = sorted(looks, reverse=True)[: config.finalists]
    results = []
    with progress.Progress('runoff', len(finalists), 'finalists') as bar:
      for place, (_, *look) in enumerate(finalists):
        results.append((float(np.mean(self._run_off(*look))), *look))
        bar.update(place + 1, best=max(results)[0])
    mean, number, index, generation = max(results)
    evolution = self.evolution(number, index)
    controller_evolution.export_player(
      evolution.world_model,
      evolution.controller,
      evolution.mean(generation),
      self.folder.export / 'agent',
      trained_by='train_controller',
      seed=config.seed,
      iteration=number,
      evolution=index,
      generation=generation,
    )
    self.folder.finish(
      'choose',
      {
        'iteration': number,
        'evolution': index,
        'generation': generation,
        'mean': mean,
        'finalists': results,
      },
    )

  def score(self):
    """Plays the final episodes, which nothing was chosen by."""
    if self.folder.is_finished('score'):
      return
    config = self.config
    model = self.world_model(1)
    settings = evaluate.Config(
      agent=str(self.folder.export / 'agent'),
      seed=int(random_numbers.key(config.seed, 'final')[0]),
      episodes=config.final_episodes,
      time_limit=model.config.time_limit,
      processes=config.processes,
    )
    episodes = score.play(
      settings.resolved, self.folder.path / 'episodes.jsonl'
    )
    figures = score.summarise(
      [episode['score'] for episode in episodes],
      [not episode['terminated'] for episode in episodes],
      config.seed,
    )
    self._write_summary(figures)
    self.folder.finish('score', figures)

  def draw(self):
    """The curve of the score over generations, and the summary."""
    if not self.folder.is_finished('figures'):
      controller_pictures.draw(self)
      self.folder.finish('figures')

  @property
  def indices(self) -> range:
    """Numbers of the evolutions of an iteration."""
    return range(1, self.config.evolutions + 1)

  def evolution(self, number, index=1) -> controller_evolution.Evolution:
    """An evolution of an iteration; it begins where the last one was best."""
    if (number, index) not in self._evolutions:
      self._evolutions[number, index] = controller_evolution.Evolution(
        self.world_model(number),
        self.config,
        self._path(number) / f'evolution-{index}',
        evolution_name(number, index),
        self._best_mean(number - 1) if number > 1 else None,
      )
    return self._evolutions[number, index]

  def looks(self, number) -> list[tuple[float, int, int, int]]:
    """Looks of an iteration: score, iteration, evolution, generation."""
    return [
      (float(np.mean(scores)), number, index, generation)
      for index in self.indices
      for generation, scores in self.evolution(number, index).looks.items()
    ]

  def _best_mean(self, number):
    """The mean vector of an iteration's best look."""
    _, number, index, generation = max(self.looks(number))
    return self.evolution(number, index).mean(generation)

  def world_model(self, number):
    """The finished world model of an iteration."""
    if number not in self._models:
      config = self._model_config(number)
      folder = config.run_dir if number > 1 else self.config.world_model
      stages = world_model_stages.load(folder, config)
      if self.config.untrained:
        stages.model = stages.make_model(self.config.seed + 2)
      self._models[number] = stages
    return self._models[number]

  def _path(self, number):
    return self.folder.path / f'iteration-{number}'

  def _model_config(self, number) -> train_world_model.Config:
    """Settings of the world model of an iteration."""
    config = self.config
    first = config.world_model_config
    if number == 1:
      return first
    before = config.world_model
    if number > 2:
      before = str(self._path(number - 1) / 'world_model')
    recorded = first.rollouts or (os.path.join(config.world_model, 'rollouts'),)
    played = [str(self._path(k) / 'rollouts') for k in range(2, number + 1)]
    return dataclasses.replace(
      first,
      run_dir=str(self._path(number) / 'world_model'),
      seed=first.seed + 1000 * number,
      rollouts=(*recorded, *played),
      initial=before,
      # Where V is refitted, it does not matter where the first came from.
      initial_vision='' if config.refit_vision_steps else before,
      vision_steps=config.refit_vision_steps or first.vision_steps,
      model_steps=config.refit_model_steps,
      model_rate=first.model_rate / 2,
      vision_rate=first.vision_rate / 2,
    )

  def _collect(self, number):
    """Episodes of the last iteration's looks in turn, half of them varied.

    Of all looks and not of the best one: what the dream overrates, later looks
    as a rule, is what M has to learn.
    """
    config = self.config
    sources = []
    for _, *which, generation in self.looks(number - 1):
      evolution = self.evolution(*which)
      sources.append((evolution, evolution.mean(generation)))
    folder = self._path(number) / 'rollouts'
    folder.mkdir(parents=True, exist_ok=True)
    seed = int(random_numbers.key(config.seed, f'collect {number}')[0])
    total = config.collect_episodes
    parameters = []
    for index in range(total):
      evolution, mean = sources[index // 2 % len(sources)]
      varied = index % 2
      parameters.append(evolution.draw(mean, seed + index) if varied else mean)
    done = min(rollouts.count(folder), total)
    with progress.Progress(f'collect {number}', total, 'episodes', done) as bar:
      collect.collect(
        folder,
        evolution.world_model.spec.name,
        evolution.player,  # The same for all evolutions of an iteration.
        total,
        seed,
        processes=config.processes,
        shard_size=max(1, min(32, total // 4)),
        progress=bar.update,
        options=evolution.world_model.config.game_options,
        parameters=np.asarray(parameters, np.float32),
      )

  def _run_off(self, number, index, generation):
    """Scores of a finalist: its look and, once, more episodes."""
    config = self.config
    evolution = self.evolution(number, index)
    scores = list(evolution.looks[generation])
    if not config.runoff_episodes:
      return scores
    stage = f'runoff-{evolution_name(number, index)}-{generation}'
    if not self.folder.is_finished(stage):
      seeds = controller_evolution.episode_seeds(
        config.seed, 'runoff', config.runoff_episodes
      )
      with evolution.open_players() as players:
        more = controller_evolution.play_scores(
          players, seeds, evolution.mean(generation)
        )
      self.folder.finish(stage, {'scores': more})
    return scores + self.folder.info(stage)['scores']

  def _write_summary(self, figures):
    chosen = self.folder.info('choose')
    lines = [score.describe('agent', figures), '']
    lines.append(
      f'chosen: iteration {chosen["iteration"]}, evolution '
      f'{chosen["evolution"]}, generation {chosen["generation"]}, by '
      f'{chosen["mean"]:.1f} in selection'
    )
    view = table.Table(
      ['iteration', 'evolution', 'generation', 'selection'], digits=1
    )
    for number in range(1, self.config.iterations + 1):
      for mean, *look in self.looks(number):
        view.add(*look, mean)
    text = '\n'.join([*lines, '', view.text(), ''])
    markdown = '\n'.join([*lines, '', view.markdown()])
    (self.folder.path / 'summary.txt').write_text(text)
    (self.folder.path / 'summary.md').write_text(markdown)
    (self.folder.path / 'score.json').write_text(json.dumps(figures))
    self.log.text('summary', markdown)


def evolution_name(number: int, index: int) -> str:
  """Name of an evolution in logs: the iteration, and which of several."""
  return f'{number}' if index == 1 else f'{number}-{index}'


def _steps(stages):
  return sum(size for _, episodes in stages.index for _, size in episodes)
