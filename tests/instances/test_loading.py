"""`load` finds what a name means."""

from __future__ import annotations

import pytest

import dnnplan
from dnnplan.instances import InputError, Instance, Layer, Model, Task, UnsupportedError
from dnnplan.instances.catalogue import load_bundled, load_platform
from dnnplan.instances.files import write_instance
from dnnplan.instances.loading import load, load_all, load_part


def _network(path, name, **sections):
    model = Model(name=name, layers=(Layer(name="a", op="Conv", flops=1000),))
    write_instance(Instance(name=name, models=(model,), **sections), path)
    return path


def test_bundled_name_file_and_path_object(tmp_path):
    path = tmp_path / "x.json"
    write_instance(load_bundled("tiny/hand"), path)
    assert dnnplan.load("tiny/hand") == load(path) == load(str(path)) == load([path])


def test_a_file_wins_over_a_bundled_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    write_instance(load_bundled("chain/50x4-ccr1"), tmp_path / "tiny" / "hand.json")
    (tmp_path / "tiny" / "hand.json").rename(tmp_path / "tiny" / "hand")
    assert load("tiny/hand").name == "chain/50x4-ccr1"


def test_networks_are_planned_together(tmp_path):
    paths = [_network(tmp_path / f"{n}.json", n) for n in ("first", "second")]
    together = load(paths, platform="phone-soc")
    assert [m.name for m in together.models] == ["first", "second"]
    assert together.platform == load_platform("phone-soc")
    assert load(paths[0], platform=load_platform("mcu")).platform == load_platform("mcu")


def test_networks_beside_an_instance_still_need_a_platform(tmp_path):
    first = _network(tmp_path / "first.json", "first")
    second = _network(tmp_path / "second.json", "second")
    with pytest.raises(InputError, match="no platform to run on"):
        load_all([first, "tiny/hand", second])


def test_networks_without_platform_name_the_platforms(tmp_path):
    path = _network(tmp_path / "first.json", "first")
    with pytest.raises(InputError, match="phone-soc"):
        load(path)
    assert load_part(path).platform is None


def test_networks_with_sections_of_their_own_are_not_merged(tmp_path):
    first = _network(tmp_path / "first.json", "first")
    second = _network(tmp_path / "second.json", "second", tasks=(Task(name="t", model="second", batch=4),))
    with pytest.raises(InputError, match=r"second\.json: has the section tasks"):
        load([first, second], platform="phone-soc")
    assert load(second, platform="phone-soc").tasks[0].batch == 4


def test_two_instances(tmp_path):
    with pytest.raises(InputError, match="2 instances, expected one"):
        load(["tiny/hand", "chain/50x4-ccr1"])
    assert [i.name for i in load_all(["tiny/hand", "chain/50x4-ccr1"])] == ["tiny/hand", "chain/50x4-ccr1"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing.json", "no such file"),
        ("tiny/hnd", "tiny/hand"),
        ("tinyhand", "did you mean tiny/hand"),
        ("", "folder"),
    ],
)
def test_unknown_names(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        load(name)


def test_nothing_at_all():
    with pytest.raises(InputError, match="no instance given"):
        load([])


def test_options_that_a_format_does_not_have(tmp_path):
    path = tmp_path / "x.json"
    write_instance(load_bundled("tiny/hand"), path)
    with pytest.raises(UnsupportedError, match="no part to select"):
        load(path, select="1")
    with pytest.raises(UnsupportedError, match="no option 'dims'"):
        load(path, dims={"batch": 1})
    with pytest.raises(UnsupportedError, match="take no option 'coarsen'"):
        load("tiny/hand", coarsen=True)


def test_light_networks_by_name():
    pytest.importorskip("onnx")
    instance = load("squeezenet", platform="phone-soc")
    assert [m.name for m in instance.models] == ["squeezenet"]
    fused, plain = load_part("squeezenet"), load_part("squeezenet", fuse=False)
    assert len(fused.models[0].layers) < len(plain.models[0].layers)
