import copy
import logging
import math
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_pose import checkpoint, formats, parts
from lightning_pose.backbones import Backbone, SMPBackbone, UNet
from lightning_pose.codecs.heatmaps import blur, find_peaks, windows
from lightning_pose.errors import CheckpointError, InputError
from lightning_pose.geometry import from_grid
from lightning_pose.heads import Head, HeatmapHead, MaskHead, RegressionHead, SoftmaxJointHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.model_spec import ModelSpec
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14
from lightning_pose.weightings import FixedWeighting
from tests.batches import make_batch


def small_model(**settings: object) -> PoseModule:
    torch.manual_seed(0)
    heads = {
        "mask": MaskHead(),
        "heatmap": HeatmapHead(),
        "joints": SoftmaxJointHead(),
        "coordinates": RegressionHead(),
    }
    usual = {
        "backbone": UNet(width=4),
        "heads": heads,
        "skeleton": LSP14,
        "input_spec": InputSpec((48, 64)),
        "weighting": FixedWeighting({"mask": 0.5}),
    }
    return PoseModule(**{**usual, **settings}).eval()


def write(path: Path, model: PoseModule, **changes: object) -> Path:
    content = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(content)
    torch.save({**content, **changes}, path)
    return path


def same_predictions(first: PoseModule, second: PoseModule, size: tuple[int, int]) -> bool:
    image = make_batch(2, size).image
    ours, theirs = first.predict(image), second.predict(image)
    return all(
        torch.equal(getattr(ours[name], field), getattr(theirs[name], field))
        for name in ours
        for field in ours[name].fields()
    )


def test_a_checkpoint_alone_predicts_the_same(tmp_path: Path) -> None:
    model = small_model()
    loaded = PoseModule.load_from_checkpoint(write(tmp_path / "model.ckpt", model))
    assert not loaded.training
    assert loaded.spec() == model.spec()
    assert same_predictions(model, loaded, (48, 64))


def test_a_number_of_numpy_becomes_a_plain_one(tmp_path: Path) -> None:
    model = small_model()
    model.weighting.weights["mask"] = np.float64(0.25)
    loaded = PoseModule.load_from_checkpoint(write(tmp_path / "model.ckpt", model))
    assert loaded.weighting.weights == {"mask": 0.25}


def test_the_spec_is_plain_data_and_complete() -> None:
    spec = small_model().spec().to_dict()
    assert spec["weighting"]["init_args"] == {"weights": {"mask": 0.5}}
    assert spec["input_spec"]["size"] == [48, 64]
    assert spec["metrics"]["PCK"]["init_args"]["threshold"] == 0.2
    assert spec["backbone"]["class_path"] == "lightning_pose.backbones.unet.UNet"
    assert pickle.loads(pickle.dumps(spec)) == spec

    def leaves(value: object) -> list[object]:
        if isinstance(value, dict):
            return [leaf for item in value.values() for leaf in leaves(item)]
        if isinstance(value, list):
            return [leaf for item in value for leaf in leaves(item)]
        return [value]

    assert {type(leaf) for leaf in leaves(spec)} <= {int, float, str, bool, type(None)}


def test_a_part_that_forgets_its_argument_is_named() -> None:
    class Forgetful(FixedWeighting):
        def __init__(self, temperature: float = 1.0) -> None:
            super().__init__()

    with pytest.raises(InputError, match="Forgetful to keep its argument 'temperature'"):
        parts.describe(Forgetful())


class Fetching(UNet):
    weight_sources = ("start",)

    def __init__(self, start: str | None = None) -> None:
        super().__init__(width=4)
        self.start = start


def test_where_initial_weights_come_from_is_neither_written_nor_believed() -> None:
    spec = parts.describe(Fetching("imagenet"))
    assert spec["init_args"] == {"start": None}
    spec["init_args"]["start"] = "/etc/passwd"
    assert parts.rebuild(spec, Backbone).start is None


def hostile_checkpoints(folder: Path) -> list[Path]:
    """A top-level class path, one nested in a head's arguments, and a pickle with a reducer."""
    paths = []
    for number, nested in enumerate((False, True)):
        model = small_model()
        spec = model.spec().to_dict()
        evil = {"class_path": "hostile_trap.Evil", "init_args": {}}
        if nested:
            spec["heads"]["mask"]["init_args"] = {"deep": [{"deeper": evil}]}
        else:
            spec["backbone"] = evil
        changes = {formats.SPEC_KEY: {"format": formats.FORMAT, "model": spec}}
        paths.append(write(folder / f"hostile_{number}.ckpt", model, **changes))

    class Reducer:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return exec, ("import hostile_trap",)

    paths.append(write(folder / "hostile_pickle.ckpt", small_model(), extra=Reducer()))
    return paths


def test_hostile_checkpoints_are_refused_before_anything_is_imported(
    tmp_path: Path, trap: Path
) -> None:
    paths = hostile_checkpoints(tmp_path)
    assert len(paths) == 3
    for path in paths:
        with pytest.raises(InputError, match=r"hostile_trap|could run code"):
            PoseModule.load_from_checkpoint(path)
    assert not trap.exists()


def test_importing_the_trap_writes_its_file(tmp_path: Path, trap: Path) -> None:
    # Without this, the test above could also pass because the trap cannot be triggered at all.
    path = hostile_checkpoints(tmp_path)[0]
    with pytest.raises(InputError, match="to be a Backbone"):
        PoseModule.load_from_checkpoint(path, allow=["hostile_trap"])
    assert trap.exists()


@pytest.mark.parametrize(
    "class_path", ["os.system", "torchy.nn.Linear", "UNet", "", "lightning_pose"]
)
def test_class_paths_outside_the_trusted_packages_are_refused(class_path: str) -> None:
    with pytest.raises(InputError, match="Expected a class from one of"):
        parts.check_class_paths({"deep": [{"class_path": class_path}]})


@pytest.mark.parametrize(
    ("class_path", "kind"),
    [
        ("torch.nn.Linear", Backbone),
        ("torch.load", Head),
        ("lightning_pose.heads.mask.MaskHead", Backbone),
        ("lightning_pose.heads.mask.NoSuchHead", Head),
        ("lightning_pose.no_such_module.Head", Head),
    ],
)
def test_a_trusted_package_still_has_to_give_the_right_kind(class_path: str, kind: type) -> None:
    with pytest.raises(InputError):
        parts.rebuild({"class_path": class_path, "init_args": {}}, kind)


def test_unknown_arguments_are_named() -> None:
    spec = {"class_path": "lightning_pose.heads.mask.MaskHead", "init_args": {"no_such": 1}}
    with pytest.raises(InputError, match="no_such"):
        parts.rebuild(spec, Head)


def test_bad_files_are_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found nothing at"):
        checkpoint.read(tmp_path / "missing.ckpt")
    (tmp_path / "text.ckpt").write_text("not a checkpoint")
    with pytest.raises(InputError, match=r"refused|damaged"):
        checkpoint.read(tmp_path / "text.ckpt")
    (tmp_path / "empty.ckpt").write_bytes(b"")
    with pytest.raises(InputError, match="damaged"):
        checkpoint.read(tmp_path / "empty.ckpt")
    whole = write(tmp_path / "whole.ckpt", small_model())
    (tmp_path / "half.ckpt").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(InputError, match="damaged"):
        checkpoint.read(tmp_path / "half.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    with pytest.raises(InputError, match="without its spec"):
        checkpoint.read(tmp_path / "foreign.ckpt")
    newer = {formats.SPEC_KEY: {"format": formats.FORMAT + 1, "model": {}}}
    torch.save(newer, tmp_path / "newer.ckpt")
    with pytest.raises(InputError, match="newer lightning_pose"):
        checkpoint.read(tmp_path / "newer.ckpt")


def test_weights_that_do_not_fit_the_spec_are_refused(tmp_path: Path) -> None:
    model = small_model()
    path = write(tmp_path / "model.ckpt", model, state_dict={"wrong": torch.zeros(1)})
    with pytest.raises(InputError, match="weights and settings that fit each other"):
        PoseModule.load_from_checkpoint(path)


def test_differences_name_the_keys() -> None:
    ours, theirs = {"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2, "d": 4}
    assert list(checkpoint.differences(ours, theirs)) == [
        "model.a.b (1 here, 3 in the checkpoint)",
        "model.d (nothing here, 4 in the checkpoint)",
    ]


FORMAT_1 = Path(__file__).parent / "data" / "format_1.ckpt"


def joints_as_decoded_then(head: SoftmaxJointHead, logits: torch.Tensor) -> torch.Tensor:
    """The joints of a softmax-joint head as decoded when format 1 was written."""
    probability, radius = logits.softmax(dim=1), head.radius
    joints, reach = probability[:, 1:], 0.8 * radius
    peaks, _ = find_peaks(blur(joints, radius / 2))
    window = math.ceil(radius + reach)
    evidence = windows(joints - probability[:, :1], peaks, window)
    steps = torch.linspace(-reach, reach, 2 * math.ceil(4 * reach) + 1)
    near = (torch.arange(-window, window + 1)[:, None] - steps).square()
    discs = (near[:, None, :, None] + near[None, :, None] < radius**2).float()
    agreement = torch.einsum("bkyx,yxvu->bkvu", evidence, discs)
    weight = agreement.flatten(2).softmax(dim=2).view_as(agreement)
    offset = torch.stack(((weight.sum(2) * steps).sum(2), (weight.sum(3) * steps).sum(2)), dim=-1)
    return from_grid(peaks + offset, head.stride)


def test_format_1_is_still_read() -> None:
    # Written once by tests/data/write_format_1.py; never rewrite it for a later version.
    content = torch.load(FORMAT_1, weights_only=True)
    assert content[formats.SPEC_KEY]["format"] == 1
    model = PoseModule.load_from_checkpoint(FORMAT_1)
    picture = torch.arange(3 * 32 * 48, dtype=torch.float32).view(1, 3, 32, 48) % 251 / 250
    for name, prediction in model.predict(picture).items():
        value = prediction.mask if prediction.keypoints is None else prediction.keypoints
        if name == "joints":
            # Its decoding has been corrected since; what it decodes has not changed.
            value = joints_as_decoded_then(model.heads[name], model(picture)[name])
        torch.testing.assert_close(value, content[f"expected/{name}"], atol=1e-3, rtol=1e-3)
    assert model.input_spec == InputSpec((32, 48), enlarge=1.25)
    # Its map has stride 1, where cells are pixels.
    assert model.heads["heatmap"].sigma == 1.5
    assert list(model.metrics) == ["PCKh", "PCK", "RMSE", "Dice", "Accuracy", "MAE"]


def test_a_sigma_in_cells_of_format_1_becomes_pixels(tmp_path: Path) -> None:
    options = {"decoder_pyramid_channels": 8, "decoder_segmentation_channels": 32}
    backbone = SMPBackbone("FPN", "tu-mobilenetv3_small_050", options=options)
    heads = {"heatmap": HeatmapHead(sigma=6.0), "joints": SoftmaxJointHead(sigma=2.0)}
    model = PoseModule(backbone, heads, LSP14, InputSpec((64, 96)))
    new = model.spec().to_dict()
    old = {key: new[key] for key in ("backbone", "weighting", "main_head", "mean", "std")}
    old |= {"skeleton": new["skeleton"], "input_size": [64, 96], "enlarge": 1.5, "heads": {}}
    for name, cells in (("heatmap", 1.5), ("joints", 0.5)):
        part = new["heads"][name]
        old["heads"][name] = {**part, "init_args": {**part["init_args"], "sigma": cells}}
    weights = {k.removeprefix("network."): v for k, v in model.state_dict().items()}
    content = {formats.SPEC_KEY: {"format": 1, "model": old}, "state_dict": weights}
    torch.save(content, tmp_path / "old.ckpt")
    loaded = PoseModule.load_from_checkpoint(tmp_path / "old.ckpt")
    assert loaded.spec() == replace(model.spec(), input_spec=InputSpec((64, 96), enlarge=1.5))
    assert same_predictions(model, loaded, (64, 96))


def test_a_run_of_format_1_resumes() -> None:
    content = torch.load(FORMAT_1, weights_only=True)
    model = PoseModule.load_from_checkpoint(FORMAT_1)
    model.on_load_checkpoint(content)
    model.load_state_dict(content["state_dict"])


def test_other_settings_are_said_and_other_weights_or_meanings_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def content() -> dict[str, object]:
        model = small_model()
        saved = {"state_dict": model.state_dict()}
        model.on_save_checkpoint(saved)
        return saved

    other = small_model(backbone=UNet(width=4, dropout=0.0), weighting=FixedWeighting())
    other.heads["heatmap"].decoding = "argmax"
    other.skeleton = replace(LSP14, colours=LSP14.colours[::-1])
    with caplog.at_level(logging.INFO):
        other.on_load_checkpoint(content())
    assert "model.backbone.init_args.dropout (0.0 here, 0.3 in the checkpoint)" in caplog.text
    assert "model.heads.heatmap.init_args.decoding (argmax here" in caplog.text
    for settings, message in (
        ({"backbone": UNet(width=8)}, r"backbone\.init_args\.width \(8 here, 4 in"),
        ({"heads": {"mask": MaskHead()}}, r"heads\.\w+ \(nothing here"),
        ({"skeleton": replace(LSP14, names=LSP14.names[::-1])}, r"skeleton\.names"),
        ({"mean": (0.1, 0.1, 0.1)}, r"model\.mean"),
        ({"std": (0.1, 0.1, 0.1)}, r"model\.std"),
        ({"labels": {"activity": ["run"]}}, r"model\.labels\.activity"),
    ):
        with pytest.raises(CheckpointError, match=message):
            small_model(**settings).on_load_checkpoint(content())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("backbone", "UNet"),
        ("backbone", {"init_args": {}}),
        ("heads", []),
        ("heads", {"h": None}),
        ("weighting", {"class_path": "lightning_pose.weightings.FixedWeighting", "init_args": []}),
        ("skeleton", None),
        ("skeleton", {"names": 3}),
        ("mean", [1, 2]),
        ("mean", "abc"),
        ("input_spec", None),
        ("input_spec", {"size": ["a", "b"]}),
        ("input_spec", {"size": [64, 64], "enlarge": "a lot"}),
        ("metrics", {"PCK": 3}),
        ("labels", {"activity": 3}),
        ("untrained", 3),
        ("more", 1),
    ],
)
def test_a_damaged_spec_is_refused_with_a_sentence(key: str, value: object, tmp_path: Path) -> None:
    model = small_model()
    spec = {**model.spec().to_dict(), key: value}
    changes = {formats.SPEC_KEY: {"format": formats.FORMAT, "model": spec}}
    with pytest.raises(InputError, match="Expected"):
        PoseModule.load_from_checkpoint(write(tmp_path / "model.ckpt", model, **changes))


@pytest.mark.parametrize("arguments", [{"width": 10**7}, {"width": 2.5}, {"upsampling": "foo"}])
def test_arguments_that_a_class_does_not_take_are_refused(arguments: dict[str, object]) -> None:
    spec = {"class_path": "lightning_pose.backbones.unet.UNet", "init_args": arguments}
    with pytest.raises(InputError, match="Expected"):
        parts.rebuild(spec, Backbone)


def test_a_spec_cannot_name_weights_to_fetch(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("not weights")
    options = {"decoder_pyramid_channels": 8, "decoder_segmentation_channels": 32}
    spec = parts.describe(SMPBackbone("FPN", "tu-mobilenetv3_small_050", options=options))
    for source in (str(secret), "imagenet", "pypi"):
        spec["init_args"]["pretrained"] = source
        assert parts.rebuild(spec, Backbone).pretrained is None


@pytest.mark.parametrize("content", [b"hello world", b".", b"{}", b"\x80\x02}q\x00."])
def test_bytes_that_are_no_checkpoint_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "odd.ckpt").write_bytes(content)
    with pytest.raises(InputError, match="Expected a checkpoint"):
        checkpoint.read(tmp_path / "odd.ckpt")


def test_only_the_settings_behind_other_tensors_are_blamed() -> None:
    model = small_model()
    saved = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(saved)
    other = small_model(backbone=UNet(width=4, dropout=0.0), heads={"mask": MaskHead(channels=3)})
    with pytest.raises(CheckpointError, match="one of another") as caught:
        other.on_load_checkpoint(saved)
    assert "dropout" not in str(caught.value)


@pytest.mark.parametrize("state", [{1: torch.zeros(1)}, {"weight": "none"}, [], None])
def test_weights_that_are_no_tensors_by_name_are_refused(state: object, tmp_path: Path) -> None:
    for number in (1, formats.FORMAT):
        spec = {formats.SPEC_KEY: {"format": number, "model": {}}, "state_dict": state}
        torch.save(spec, tmp_path / "odd.ckpt")
        with pytest.raises(CheckpointError, match="weights by name"):
            checkpoint.read(tmp_path / "odd.ckpt")


def test_a_spec_that_contains_itself_is_refused(tmp_path: Path) -> None:
    spec: dict[str, object] = {}
    spec["model"] = {"deep": spec}
    with pytest.raises(CheckpointError, match="nested too deeply"):
        parts.check_class_paths(spec)


def test_lists_that_share_lists_are_refused_at_once() -> None:
    shared: list[object] = []
    for _ in range(40):
        shared = [shared, shared]
    with pytest.raises(CheckpointError, match="too deeply or too large"):
        parts.check_class_paths({"model": shared})


def test_an_encoder_that_needs_values_to_be_built_comes_back(tmp_path: Path) -> None:
    # It cannot be built on the meta device, on which shapes are compared first.
    backbone = SMPBackbone("Segformer", "mit_b0")
    heads = {"joints": HeatmapHead()}
    model = PoseModule(backbone, heads, LSP14, InputSpec((64, 64))).eval()
    again = PoseModule.load_from_checkpoint(write(tmp_path / "model.ckpt", model))
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(again(image)["joints"], model(image)["joints"])


@pytest.mark.parametrize("number", [1, formats.FORMAT])
def test_sizes_are_compared_before_memory_is_taken(tmp_path: Path, number: int) -> None:
    if number == 1:
        content = torch.load(FORMAT_1, weights_only=True)
    else:
        content = torch.load(write(tmp_path / "model.ckpt", small_model()), weights_only=True)
    # Its deepest convolution alone would take 147 gigabytes.
    content[formats.SPEC_KEY]["model"]["backbone"]["init_args"]["width"] = 4000
    torch.save(content, tmp_path / "huge.ckpt")
    with pytest.raises(CheckpointError, match=r"fit each other.*network\.backbone.*found shape"):
        PoseModule.load_from_checkpoint(tmp_path / "huge.ckpt")


def test_one_wrong_byte_in_the_weights_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "model.ckpt", small_model())
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda one: one.file_size)
    content[largest.header_offset + 200] ^= 1
    path.write_bytes(content)
    torch.load(path, weights_only=True)  # It has no complaint.
    with pytest.raises(CheckpointError, match=r"wrong checksum for .*data"):
        checkpoint.read(path)


def test_a_checkpoint_that_unpacks_to_more_than_it_is_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "model.ckpt", small_model())
    with (
        zipfile.ZipFile(path) as stored,
        zipfile.ZipFile(tmp_path / "packed.ckpt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for one in stored.infolist():
            packed.writestr(one.filename, stored.read(one))
    with pytest.raises(CheckpointError, match=r"stored as they are, found .* compressed"):
        checkpoint.read(tmp_path / "packed.ckpt")


def test_a_checkpoint_whose_parts_overlap_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "model.ckpt", small_model())
    with zipfile.ZipFile(path, "a") as archive:
        largest = max(archive.infolist(), key=lambda one: one.file_size)
        # More entries for the same bytes, as archives have that unpack to terabytes.
        for number in range(3):
            again = copy.copy(largest)
            again.filename = f"{largest.filename}{number}"
            archive.filelist.append(again)
        archive.writestr("end", "")  # So that the list is written again.
    with pytest.raises(CheckpointError, match=r"no larger than its file, found parts .* overlap"):
        checkpoint.read(path)


def test_a_config_from_a_checkpoint_names_no_weights_to_fetch() -> None:
    model = small_model()
    options = {"decoder_pyramid_channels": 8, "decoder_segmentation_channels": 32}
    backbone = SMPBackbone("FPN", "tu-mobilenetv3_small_050", options=options)
    spec = small_model(backbone=backbone).spec().to_dict()
    spec["backbone"]["init_args"]["pretrained"] = "/etc/passwd"
    config = ModelSpec.from_dict(spec).to_config()
    assert config["backbone"]["init_args"]["pretrained"] is None
    assert model.spec().to_config().keys() == config.keys()
