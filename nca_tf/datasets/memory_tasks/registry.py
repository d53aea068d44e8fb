"""Memory tasks by name."""

from nca_tf.datasets.memory_tasks import addition
from nca_tf.datasets.memory_tasks import tasks

_TASKS = {
  'addition': addition.Addition,
  'addition_base10': addition.AdditionBase10,
  'associative_recall': tasks.AssociativeRecall,
  'copy': tasks.Copy,
  'priority_sort': tasks.PrioritySort,
  'repeat_copy': tasks.RepeatCopy,
}


def names() -> tuple[str, ...]:
  """Names of the tasks."""
  return tuple(sorted(_TASKS))


def make(name: str, **sizes) -> tasks.Task:
  """Makes a task.

  Args:
    name: one of `names()`.
    **sizes: fields of the task; it ignores those that it does not have, so
      that one set of flags serves all tasks.

  Raises:
    ValueError: no task has this name.
  """
  if name not in _TASKS:
    raise ValueError(f'name must be one of {names()}, got {name!r}')
  task = _TASKS[name]
  known = task.__dataclass_fields__
  return task(**{key: value for key, value in sizes.items() if key in known})
