"""`dcfst-train bench`: that it measures what it says; how much that is, is for its tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dcfst_core.network import embedding
from dcfst_training.benchmarks import solver
from dcfst_training.benchmarks.meter import measure
from dcfst_training.benchmarks.step import FORMS, make_batch
from dcfst_training.cli import main
from dcfst_training.module import DCFSTModule

CPU = torch.device("cpu")


def test_the_peak_is_that_of_the_work_every_time() -> None:
    def work() -> None:
        torch.ones(64, 2**18).sum()  # 64 MiB

    for _ in range(2):
        cost = measure(work, CPU, repeats=2)
        assert 60 < cost.peak_mib < 80
        assert 0 < cost.seconds < 10


def test_a_step_without_its_shortcuts_has_the_same_losses_and_gradients() -> None:
    batch = make_batch(2, CPU, proposals=3)
    found = {}
    for form, kind in FORMS.items():
        torch.manual_seed(0)
        module = kind(trunk_weights="random", start="gaussian", train_grid=5, fixed_norm=True)
        # The Gaussian start's scores are near zero, which agree whatever is computed.
        for branch in (module.net.embedding.block3, module.net.embedding.block4):
            torch.nn.init.normal_(branch.fc.weight, std=0.05)
        module.train().setup("fit")
        loss = module.losses(batch)["score_loss"]
        loss.backward()
        gradients = {
            name: value.grad for name, value in module.named_parameters() if value.grad is not None
        }
        found[form] = (float(loss.detach()), gradients)
    expected_loss, expected = found.pop("as trained")
    assert len(found) == 2 and "net.embedding.block4.fc.weight" in expected
    for form, (loss, gradients) in found.items():
        assert loss == pytest.approx(expected_loss, rel=1e-4), form
        assert set(gradients) == set(expected)
        for name, gradient in gradients.items():
            scale = float(expected[name].abs().max())
            assert (gradient - expected[name]).abs().max() <= 2e-3 * scale, (form, name)


def test_forms_differ_in_what_they_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A form that quietly ran the usual path would agree as well."""
    calls: list[str] = []

    def noted(name: str) -> Callable[..., Tensor]:
        run = getattr(embedding, name)

        def call(*given: Tensor) -> Tensor:
            calls.append(name)
            return run(*given)

        return call

    for name in ("prroi_pool_grid", "prroi_score_grid"):
        monkeypatch.setattr(embedding, name, noted(name))
    batch = make_batch(1, CPU, proposals=2)
    seen = {}
    for form, kind in FORMS.items():
        calls.clear()
        module: DCFSTModule = kind(trunk_weights="random", train_grid=3, iou_weight=0).eval()
        with torch.no_grad():
            module.losses(batch)
        seen[form] = (calls.count("prroi_pool_grid"), calls.count("prroi_score_grid"))
    assert seen == {"as trained": (2, 2), "every RoI": (4, 0), "general pooling": (0, 0)}


def test_the_solvers_table_plot_and_crossover(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--json", str(tmp_path / "s.json"), "--plot", str(tmp_path / "s.png")]
    before = torch.get_num_threads()
    sizes = ["--samples", "16,512", "--dimensions", "16,1024"]
    main(["bench", "solver", *sizes, "--repeats", "1", *files])
    torch.set_num_threads(before)
    document = json.loads((tmp_path / "s.json").read_text())
    rows = {(row["samples"], row["dimensions"]): row for row in document["rows"]}
    assert set(rows) == {(16, 16), (16, 1024), (512, 16), (512, 1024)}
    wide, tall = rows[16, 1024], rows[512, 16]
    assert wide["dual_seconds"] < wide["primal_seconds"]
    assert tall["primal_seconds"] < tall["dual_seconds"]
    assert wide["primal_mib"] > 7 > wide["dual_mib"]  # X^T X and its factor: 4 MiB each
    assert (tmp_path / "s.png").stat().st_size > 10_000
    assert "| 512 | 1024 |" in capsys.readouterr().out
    made = [
        {"samples": 100, "dimensions": d, "dual_seconds": 1.0, "primal_seconds": (d / 100) ** 2}
        for d in (25, 50, 200, 400)
    ]
    assert solver.crossovers(made) == {100: pytest.approx(100)}


def test_the_loader_is_measured_from_folders_and_shards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], debug_recipe: Path
) -> None:
    shards = str(tmp_path / "shards")
    main(["pack", "--out", shards, "--data.synthetic", "6", "--workers", "0"])
    command = ["bench", "loader", f"--config={debug_recipe}", f"--shards={shards}"]
    main([*command, "--pairs=6", "--data.batch_size=2", f"--json={tmp_path / 'l.json'}"])
    rows = json.loads((tmp_path / "l.json").read_text())["rows"]
    assert [row["source"] for row in rows] == ["48 synthetic clips", shards]
    for row in rows:
        assert row["pairs_per_second"] > 0 and 0 < row["cpu_ms_per_pair"] < 10_000
    assert "pairs / s and process" in capsys.readouterr().out


def test_an_unknown_part_prints_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["bench", "speed"])
    assert done.value.code == 2
    assert "dcfst-train bench solver" in capsys.readouterr().err
