"""Search for better tracker settings, and say honestly whether what is found carries over.

The best of many trials on a few sequences is partly luck. So each trial keeps its AUC on every
sequence, and afterwards the choice is replayed fold by fold: the trial that is best on the *other*
folds' sequences is scored on this fold's. Only that gain may be expected on new sequences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcfst_core.evaluation.one_pass import run_one_pass
from dcfst_core.evaluation.sequences import AnnotatedSequence
from dcfst_core.evaluation.starts import with_starts
from dcfst_core.evaluation.summary import evaluate
from dcfst_core.evaluation.tables import format_table
from dcfst_core.evaluation.trackers import TrackerSpec
from dcfst_core.tracking.config import TrackerConfig


@dataclass(frozen=True)
class Dimension:
    """One setting's range: numbers `low` to `high`, or one of `choices`."""

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[Any, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Dimension:
        """Read `name=low:high`, `name=low:high:log` or `name=a,b,c`; else ValueError."""
        name, _, values = text.partition("=")
        default = TrackerConfig().to_dict().get(name)
        if default is None:
            raise ValueError(f"expected a tracker setting; got {name!r} in {text!r}")
        kind = type(default)
        try:
            if ":" in values:
                low, high, *rest = values.split(":")
                if rest not in ([], ["log"]):
                    raise ValueError
                return cls(name, kind(low), kind(high), bool(rest))
            known = {"true": True, "false": False}
            chosen = [known[v.lower()] if kind is bool else kind(v) for v in values.split(",")]
        except (KeyError, ValueError):
            raise ValueError(
                f"expected {name}=LOW:HIGH, {name}=LOW:HIGH:log or {name}=A,B,...; got {text!r}"
            ) from None
        return cls(name, choices=tuple(chosen))

    def suggest(self, trial: Any) -> Any:
        """This setting's value in an optuna trial."""
        if self.choices:
            return trial.suggest_categorical(self.name, list(self.choices))
        if isinstance(self.low, int):
            return trial.suggest_int(self.name, self.low, self.high, log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)


@dataclass(frozen=True)
class Trial:
    """Changed settings and the AUC that they gave on each sequence."""

    number: int
    changes: dict[str, Any]
    auc: NDArray[np.float64]


def tune(
    spec: TrackerSpec,
    space: Sequence[Dimension],
    sequences: Sequence[AnnotatedSequence],
    trials: int,
    out: Path,
    progress: bool = True,
    starts: int = 1,
) -> list[Trial]:
    """Run trials until there are `trials` in `out`, the unchanged settings first; return all.

    `starts`: how many starts a sequence has, of which the mean counts (`starts.with_starts`). A
    second call with the same folder goes on where the first one stopped.
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend

    out.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    backend = JournalFileBackend(str(out / "trials.jsonl"))
    study = optuna.create_study(
        study_name="tuning",
        storage=optuna.storages.JournalStorage(backend),
        sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=max(5, trials // 4)),
        direction="maximize",
        load_if_exists=True,
    )
    if not study.trials:
        study.enqueue_trial({d.name: spec.config[d.name] for d in space})

    runs = with_starts(sequences, starts)

    def objective(trial: Any) -> float:
        changes = {dimension.name: dimension.suggest(trial) for dimension in space}
        try:
            config = TrackerConfig.from_dict({**spec.config, **changes}).to_dict()
        except ValueError as error:  # two settings that do not go together
            raise optuna.TrialPruned(str(error)) from None
        named = replace(spec, name=f"trial{trial.number}", config=config)
        results = run_one_pass(named, runs, out, progress=progress)
        scores = evaluate(named.name, results, runs).scores
        trial.set_user_attr("auc", {name: score.auc for name, score in scores.items()})
        return float(np.mean([score.auc for score in scores.values()]))

    finished = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    while len(study.get_trials(states=finished)) < trials:
        study.optimize(objective, n_trials=1)
    return [
        Trial(t.number, t.params, np.array([t.user_attrs["auc"][s.name] for s in sequences]))
        for t in study.get_trials(states=finished[:1])
    ]


def random_folds(count: int, folds: int, seed: int = 0) -> list[NDArray[np.int64]]:
    """Deal `count` sequences out to folds; ValueError with fewer sequences than folds."""
    if not 2 <= folds <= count:
        raise ValueError(f"expected 2 to {count} folds for {count} sequences; got {folds}")
    return np.array_split(np.random.default_rng(seed).permutation(count), folds)


def set_folds(sequences: Sequence[AnnotatedSequence]) -> list[NDArray[np.int64]]:
    """One fold a set (`group`): sequences of one set have more in common than their number.

    ValueError where all are of one set.
    """
    groups = np.array([sequence.group for sequence in sequences])
    names = list(dict.fromkeys(groups.tolist()))
    if len(names) < 2:
        raise ValueError(f"expected sequences of two sets and more; all are of {names[0]!r}")
    return [np.flatnonzero(groups == name) for name in names]


def cross_validate(
    trials: Sequence[Trial], folds: Sequence[NDArray[np.int64]]
) -> tuple[float, list[int]]:
    """Replay the choice fold by fold; trial 0 is the baseline.

    `folds`: numbers of the sequences that are held out together. Returns the mean gain in AUC over
    the baseline on sequences that took no part in the choice, and the number of the trial chosen
    in each fold.
    """
    auc = np.stack([trial.auc for trial in trials])  # (trials, sequences)
    count = auc.shape[1]
    gains, chosen = np.zeros(count), []
    for held_out in folds:
        others = np.setdiff1d(np.arange(count), held_out)
        best = int(auc[:, others].mean(axis=1).argmax())
        chosen.append(trials[best].number)
        gains[held_out] = auc[best, held_out] - auc[0, held_out]
    return float(gains.mean()), chosen


def trial_table(trials: Sequence[Trial], most: int = 10) -> str:
    """The best trials: mean AUC, gain over the baseline, sequences gained and lost, settings."""
    baseline = trials[0]
    ranked = sorted(trials, key=lambda trial: -float(trial.auc.mean()))[:most]
    rows = []
    for trial in ranked if baseline in ranked else [*ranked, baseline]:
        gain = trial.auc - baseline.auc
        settings = ", ".join(
            f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}"
            for k, v in trial.changes.items()
        )
        won = f"+{int((gain > 0.002).sum())} -{int((gain < -0.002).sum())}"
        rows.append((str(trial.number), trial.auc.mean(), gain.mean(), won, settings))
    return format_table(("trial", "AUC", "gain", "sequences", "settings"), rows)
