import json
from importlib import metadata

import pytest
import torch
from typer.testing import CliRunner

from assay.cli.main import app


def doctor(*options):
    return CliRunner().invoke(app, ["doctor", *options])


def test_machines_learn_what_is_installed_and_what_will_be_used():
    facts = json.loads(doctor("--device", "cpu", "--json").stdout)
    assert facts["packages"]["torch"] == metadata.version("torch")
    assert (facts["device"], facts["dtype"]) == ("cpu", "float32")
    assert facts["sharing"].startswith("works here")
    assert set(facts["extras"]) == {"peft", "av", "easy-vqa", "torchvision"}


def test_people_learn_why():
    done = doctor("--device", "cpu", "--dtype", "bfloat16")
    assert done.exit_code == 0
    assert "cpu: asked for; bfloat16: asked for" in done.stdout
    assert "torchvision" in done.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device that is asked for in vain")
def test_a_device_that_is_not_there_is_refused():
    assert "torch sees 0 GPUs" in str(doctor("--device", "cuda").exception)
