"""The controller: evolved in the dream, chosen and scored in the real game.

Ha and Schmidhuber, World Models (2018), section 4; the iterations are those of
its section 5: the controller plays, V and M learn from what it saw, and the
controller is evolved again. Each stage resumes and is done once.
"""

import dataclasses
import os

import numpy as np

from nca_tf import random_numbers
from nca_tf.command_line import faults
from nca_tf.experiments.controller import dream_check
from nca_tf.experiments.controller import evolution as evolution_lib
from nca_tf.experiments.controller import game_evolution
from nca_tf.experiments.controller import linear_agent
from nca_tf.experiments.controller import policy_gradient
from nca_tf.experiments.controller import report
from nca_tf.experiments.controller import scripted
from nca_tf.experiments.controller import search
from nca_tf.experiments.controller import settings
from nca_tf.experiments.games import evaluate
from nca_tf.experiments.world_model import run as world_model_run
from nca_tf.experiments.world_model import settings as world_model_settings
from nca_tf.play import score
from nca_tf.runs import progress
from nca_tf.runs import run as run_lib
from nca_tf.runs import run_files
from nca_tf.world_model import world_model as world_model_lib

_SEARCHES = {
  settings.CMA_ES: evolution_lib.Evolution,
  settings.PPO: policy_gradient.PolicyGradient,
}


def run(config: settings.Config) -> None:
  """Makes what the run folder lacks, and reports."""
  if config.env:
    config, kind = config.game_config, GameTraining
    about, curve = config.env, f'cma_es-{config.seed}'
  else:
    model, kind = config.world_model_config, ControllerTraining
    about, curve = f'{model.env}, {model.cell}', f'{model.cell}-{config.seed}'
  with run_lib.start(
    config, settings.NAME, config.run_name, about, curve=curve
  ) as run:
    training = kind(run)
    for iteration in training.iterations:
      training.learn(iteration)
      training.check(iteration)
      training.evolve(iteration)
    chosen = run.stage('choose', training.choose, training.is_chosen)
    figures = run.stage('score', training.score)
    run.stage('figures', lambda: report.draw(training))
    evaluations = training.evaluations(training.iterations)
    summary = report.summary(chosen, evaluations, figures)
    run.publish(summary, numbers='score.json')
    run.goodbye(
      Agent=f'{run.export}/agent',
      Next=config.next_command(run.path),
    )


def load_world_model(config, folder) -> world_model_lib.WorldModel:
  """A finished world model as `--untrained` wants it."""
  model = world_model_lib.WorldModel.load(folder)
  if config.untrained:
    model = model.untrained(config.seed)
  if config.dream_of:
    host = world_model_lib.WorldModel.load(config.dream_of, 'dream_of')
    try:
      model = model.in_dream_of(host)
    except ValueError as error:
      raise faults.UsageError(
        f'--dream_of: {error}, those of --world_model={folder}, got '
        f'{config.dream_of}'
      ) from error
  return model


class ControllerTraining:
  """Iterations of a controller, each in the dream of its own world model.

  Iteration k has the folder `iteration-k/` with `evolution-1/` and so on and,
  from the second iteration on, `rollouts/` (what the controllers before it
  played) and `world_model/`, a whole run folder of train_world_model.

  Attributes:
    run: The open run, whose config is a settings.Config.
    iterations: Their numbers.
    indices: Numbers of the evolutions of an iteration.
  """

  def __init__(self, run: run_lib.Run):
    self.run = run
    self._config = run.config
    self.iterations = range(1, run.config.iterations + 1)
    self.indices = range(1, run.config.evolutions + 1)
    self._evolutions = {}
    self._models = {}

  def learn(self, number):
    """From the second iteration on: plays, and fits V and M to all data."""

    def learn():
      self._collect(number)
      return {'steps': world_model_run.train(self._model_config(number))}

    if number > 1:
      self.run.stage(f'learn-{number}', learn, lambda: self._is_learnt(number))

  def _is_learnt(self, number):
    try:
      self.world_model(number)
    except (faults.Fault, faults.UsageError) as error:
      faults.warn(str(error))
      return False
    return True

  def check(self, number):
    """Scripted policies in the dream and in the game; may refuse the dream."""
    if self._config.check_episodes:
      self.run.stage(f'check-{number}', lambda: self._check(number))

  def _check(self, number):
    config = self._config
    print(f'dream check of iteration {number}', flush=True)
    model = self.world_model(number)
    in_dream = dream_check.play_dream(model, config)
    if number > 1:
      in_game = self.run.info('check-1')['game']
    else:
      in_game = dream_check.play_game(model, config)
    view = dream_check.compare(in_dream, in_game, config.seed)
    order = dream_check.order(in_dream, in_game).text(2)
    line = f'Rank correlation of the dream and the game: {order}'
    print(f'{view.text()}\n{line}', flush=True)
    text = f'{view.markdown()}\n{line}\n'
    self.run.log.text(f'dream_check/{number}', text)
    fault = dream_check.find_fault(in_dream, in_game, model.spec)
    if fault:
      print(f'warning: {fault}', flush=True)
      if number == 1 and not (config.accept_dream or config.untrained):
        raise faults.UsageError(
          f'--world_model must have a better dream: {fault}; '
          '--accept_dream trains in it all the same'
        )
    return {'dream': in_dream, 'game': in_game}

  def evolve(self, number):
    """Runs the evolutions of an iteration that are not finished."""
    for index in self.indices:
      self.run.stage(
        f'evolve-{_name(number, index)}',
        lambda index=index: self.evolution(number, index).run(
          self._open_log(number, index)
        ),
        lambda index=index: self.evolution(number, index).is_whole,
      )

  def _open_log(self, number, index):
    """The records of an evolution, one of several curves of one chart."""
    return self.run.open_log(
      f'{self.run.curve}/evolution-{_name(number, index)}',
      'controller',
      **self._describe(),
      iteration=number,
      evolution=index,
    )

  def _describe(self):
    """What its curves have that the run's configuration has not."""
    return {'cell': self._config.world_model_config.cell}

  def choose(self):
    """The best evaluated controllers play a runoff; the winner is exported."""
    config = self._config
    evaluations = self.evaluations(self.iterations)
    finalists = sorted(evaluations, reverse=True)[: config.finalists]
    results = []
    with progress.Progress('runoff', len(finalists), 'finalists') as bar:
      for place, (_, *which) in enumerate(finalists):
        results.append((float(np.mean(self._run_off(*which))), *which))
        bar.update(place + 1, best=max(results)[0])
    mean, number, index, generation = max(results)
    evolution = self.evolution(number, index)
    winner = {'iteration': number, 'evolution': index, 'generation': generation}
    evolution.export(
      evolution.mean(generation),
      self.run.export / 'agent',
      trained_by=settings.NAME,
      seed=config.seed,
      **winner,
    )
    return {**winner, 'mean': mean, 'finalists': results}

  def is_chosen(self):
    """Whether the agent that was chosen is there."""
    return search.is_player(self.run.export / 'agent')

  def score(self):
    """Plays the final episodes, which nothing was chosen by."""
    config = self._config
    final = evaluate.Config(
      agent=str(self.run.export / 'agent'),
      seed=random_numbers.derive(config.seed, 'final'),
      episodes=config.final_episodes,
      time_limit=config.world_model_config.time_limit,
      processes=config.processes,
    )
    episodes = score.play(final.resolved, self.run.path / 'episodes.jsonl')
    return score.summarise(
      [episode['score'] for episode in episodes],
      [not episode['terminated'] for episode in episodes],
      config.seed,
    )

  def evolution(self, number, index=1) -> search.Search:
    """A search of an iteration; it begins where the last one was best."""
    if (number, index) not in self._evolutions:
      x0 = None
      if number > 1:
        _, *which, generation = max(self.evaluations([number - 1]))
        x0 = self.evolution(*which).mean(generation)
      kind = _SEARCHES[self._config.optimizer]
      self._evolutions[number, index] = kind(
        self.world_model(number),
        self._config,
        self._path(number) / f'evolution-{index}',
        _name(number, index),
        x0,
      )
    return self._evolutions[number, index]

  def evaluations(self, numbers) -> list[tuple[float, int, int, int]]:
    """Score, iteration, evolution, generation of all of some iterations."""
    return [
      (float(np.mean(scores)), number, index, generation)
      for number in numbers
      for index in self.indices
      for generation, scores in self.evolution(
        number, index
      ).evaluations.items()
    ]

  def world_model(self, number) -> world_model_lib.WorldModel:
    """The finished world model of an iteration."""
    if number not in self._models:
      folder = self._config.world_model
      if number > 1:
        folder = self._path(number) / 'world_model'
      self._models[number] = load_world_model(self._config, folder)
    return self._models[number]

  def _path(self, number):
    return self.run.path / f'iteration-{number}'

  def _model_config(self, number) -> world_model_settings.Config:
    """Settings of the world model of a later iteration."""
    config = self._config
    first = config.world_model_config
    before = config.world_model
    if number > 2:
      before = str(self._path(number - 1) / 'world_model')
    recorded = first.rollouts or (os.path.join(config.world_model, 'rollouts'),)
    played = [str(self._path(k) / 'rollouts') for k in range(2, number + 1)]
    return dataclasses.replace(
      first,
      precision=config.precision,
      run_dir=str(self._path(number) / 'world_model'),
      seed=random_numbers.derive(first.seed, f'iteration {number}'),
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
    """Plays with the last iteration's evaluated means in turn, half varied.

    With all of them and not with the best one: what the dream overrates, later
    means as a rule, is what M has to learn.
    """
    config = self._config
    sources = self.evaluations([number - 1])
    folder = self._path(number) / 'rollouts'
    folder.mkdir(parents=True, exist_ok=True)
    seed = random_numbers.derive(config.seed, f'collect {number}')
    total = config.collect_episodes
    parameters = []
    for index in range(total):
      _, *which, generation = sources[index // 2 % len(sources)]
      evolution = self.evolution(*which)
      mean = evolution.mean(generation)
      varied = index % 2
      parameters.append(evolution.draw(mean, index) if varied else mean)
    world_model_run.collect(
      f'collect {number}',
      folder,
      evolution.world_model.spec.name,
      evolution.player,  # The same for all evolutions of an iteration.
      total,
      seed,
      processes=config.processes,
      options=evolution.world_model.game_options,
      parameters=np.asarray(parameters, np.float32),
    )

  def _run_off(self, number, index, generation):
    """Scores of a finalist: its evaluation and, once, more episodes."""
    config = self._config
    evolution = self.evolution(number, index)
    scores = list(evolution.evaluations[generation])
    if not config.runoff_episodes:
      return scores

    def play():
      with evolution.open_players() as players:
        mean = evolution.mean(generation)
        played = evolution.play(players, 'runoff', config.runoff_episodes, mean)
        return {'scores': played}

    name = f'runoff-{_name(number, index)}-{generation}'
    return scores + self.run.stage(name, play)['scores']


class GameTraining(ControllerTraining):
  """One iteration in the game itself, by its own observations, without V and M.

  Its episodes are played side by side in this process.
  """

  def check(self, number):
    """Scores of the game's scripted policies, where it has them."""
    if self._config.check_episodes:
      self.run.stage(f'check-{number}', self._play_policies)

  def _play_policies(self):
    config = self._config
    played = config.env, config.check_episodes, config.seed, config.processes
    return {'game': scripted.play(*played)}

  def evolution(self, number, index=1) -> game_evolution.GameEvolution:
    """An evolution; all of them have one scale of observations."""
    if not self._models:
      seed = random_numbers.derive(self._config.seed, 'scale')
      self._models[1] = linear_agent.Candidates(self._config.env, seed)
    if (number, index) not in self._evolutions:
      self._evolutions[number, index] = game_evolution.GameEvolution(
        self._models[1],
        self._config,
        self._path(number) / f'evolution-{index}',
        _name(number, index),
      )
    return self._evolutions[number, index]

  def is_chosen(self):
    """Whether the agent that was chosen is there."""
    return run_files.is_saved_model(self.run.export / 'agent')

  def score(self):
    """Plays the final episodes, which nothing was chosen by."""
    config = self._config
    chosen = self.run.info('choose')
    evolution = self.evolution(chosen['iteration'], chosen['evolution'])
    played = evolution.play_episodes(
      'final', config.final_episodes, evolution.mean(chosen['generation'])
    )
    at_limit = played.lengths[0] >= evolution.time_limit
    return score.summarise(played.returns[0], at_limit, config.seed)

  def _describe(self):
    return {}


def _name(number: int, index: int) -> str:
  """Name of an evolution in logs: the iteration, and which of several."""
  return f'{number}' if index == 1 else f'{number}-{index}'
