"""Predictions are in pixels of the original image, whatever the box, the size and the batch."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_pose.backbones import UNet
from lightning_pose.errors import InputError
from lightning_pose.heads import HeatmapHead, MaskHead
from lightning_pose.inference import Predictor, load
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.person import Person
from lightning_pose.prediction import Prediction
from lightning_pose.skeletons import LSP14
from lightning_pose.visualization import draw_skeleton
from tests.dot_model import dot_model


def painted(size, point, radius=6.0):
    """A black image with a red disc around a sub-pixel point."""
    rows, columns = np.indices(size)
    distance = np.hypot(columns - point[0], rows - point[1])
    image = np.zeros((*size, 3), dtype=np.uint8)
    image[..., 0] = (np.clip(radius + 0.5 - distance, 0, 1) * 255).round()
    return image


@pytest.mark.parametrize("size", [(96, 64), (97, 131), (240, 320), (700, 500), (50, 41)])
def test_a_joint_comes_back_to_its_place_in_the_picture(size):
    point = (size[1] * 0.6 + 0.25, size[0] * 0.4 + 0.75)
    person = Person(painted(size, point, radius=min(size) / 12))
    (found,) = Predictor(dot_model()).stream([person])
    # A hundredth of the image's side is far less than a pixel of the input.
    np.testing.assert_allclose(found.keypoints[3], point, atol=0.002 * max(size))
    assert found.person is person
    assert found.scores.tolist() == [0.75] * 14


@pytest.mark.parametrize(
    "box", [(60, 40, 160, 190), (-20.5, -30, 150, 170), (80, 60, 105, 85.25), (90, 20, 400, 300)]
)
def test_a_joint_in_a_box_comes_back_to_its_place_in_the_picture(box):
    person = Person(painted((200, 220), (92.25, 72.5)), np.array(box, dtype=np.float32))
    (found,) = Predictor(dot_model()).stream([person])
    np.testing.assert_allclose(found.keypoints[0], (92.25, 72.5), atol=0.25)
    assert found.to_dict()["box"] == list(box)


def test_a_mask_comes_back_to_its_pixels_and_is_0_beyond_the_crop():
    image = np.zeros((200, 240, 3), dtype=np.uint8)
    image[:, :, 2] = 255
    box = np.array([90.25, 60.25, 130.25, 120.25], dtype=np.float32)
    (found,) = Predictor(dot_model()).stream([Person(image, box, around="joints")])
    # The box of 40 x 60 pixels, enlarged by 1.25 to 50 x 75, has the shape of the input.
    rows, columns = np.indices(image.shape[:2])
    inside = (np.abs(columns - 110.25) < 25) & (np.abs(rows - 90.25) < 37.5)
    np.testing.assert_array_equal(found.mask > 0.99, inside)
    assert (found.mask[~inside] == 0).all()


def test_a_box_is_enlarged_as_in_the_training_of_the_model():
    image = np.zeros((200, 240, 3), dtype=np.uint8)
    image[:, :, 2] = 255
    box = np.array([90.25, 60.25, 130.25, 120.25], dtype=np.float32)
    areas = []
    for enlarge in (1.0, 1.5):
        model = dot_model()
        model.input_spec = InputSpec((96, 64), enlarge=enlarge)
        (found,) = Predictor(model).stream([Person(image, box, around="joints")])
        areas.append((found.mask > 0.99).sum())
    assert areas[0] == 40 * 60
    assert areas[1] == 60 * 90


def test_the_mask_of_a_shape_is_that_shape():
    image = np.zeros((150, 130, 3), dtype=np.uint8)
    image[30:110, 40:90, 2] = 255
    (found,) = Predictor(dot_model()).stream([Person(image)])
    person = found.mask > 0.5
    truth = image[..., 2] > 0
    assert (person & truth).sum() / (person | truth).sum() > 0.97
    rows, columns = np.nonzero(person)
    assert rows.mean() == pytest.approx(69.5, abs=0.2)
    assert columns.mean() == pytest.approx(64.5, abs=0.2)


@pytest.mark.parametrize("size", [(96, 64), (30, 20), (301, 200), (37, 91)])
def test_a_person_that_fills_the_picture_is_not_cut_at_its_edges(size, monkeypatch):
    model = dot_model(("mask",))
    everywhere = {"mask": Prediction(mask=torch.ones(1, 96, 64))}
    monkeypatch.setattr(model, "predict", lambda image, flip: everywhere)
    (found,) = Predictor(model).stream([Person(np.zeros((*size, 3), dtype=np.uint8))])
    assert found.mask.shape == size
    assert (found.mask > 0.999).all()


def test_predictions_do_not_depend_on_the_batch():
    torch.manual_seed(0)
    heads = {"mask": MaskHead(), "joints": HeatmapHead()}
    model = PoseModule(UNet(width=4), heads, LSP14, InputSpec((32, 32))).eval()
    rng = np.random.default_rng(0)
    people = [
        Person(rng.integers(0, 255, (40 + 7 * i, 60, 3), dtype=np.uint8), image_id=str(i))
        for i in range(5)
    ]
    alone = [next(Predictor(model).stream([person])) for person in people]
    for batch_size in (2, 3, 16):
        found = list(Predictor(model).stream(people, batch_size))
        assert [one.person.image_id for one in found] == list("01234")
        for one, other in zip(found, alone, strict=True):
            np.testing.assert_allclose(one.keypoints, other.keypoints, atol=1e-2)
            np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
            np.testing.assert_allclose(one.mask, other.mask, atol=1e-4)


def test_people_are_taken_a_batch_at_a_time():
    taken = []

    def endless():
        for number in itertools.count():
            taken.append(number)
            yield Person(np.zeros((20, 20, 3), dtype=np.uint8), image_id=str(number))

    found = Predictor(dot_model()).stream(endless(), batch_size=4)
    assert [one.person.image_id for one in itertools.islice(found, 5)] == list("01234")
    assert taken == list(range(8))


def test_the_main_head_answers_where_it_can_and_the_first_other_one_elsewhere():
    person = Person(painted((96, 64), (30.0, 40.0)))
    (found,) = Predictor(dot_model(("first", "mask", "main"))).stream([person])
    np.testing.assert_allclose(found.keypoints[0], (30, 40), atol=0.1)
    assert found.mask is not None
    (found,) = Predictor(dot_model(("mask", "first"))).stream([person])
    np.testing.assert_allclose(found.keypoints[0], (35, 45), atol=0.1)
    (found,) = Predictor(dot_model(("main",))).stream([person])
    assert found.mask is None
    (found,) = Predictor(dot_model(("mask",))).stream([person])
    assert found.keypoints is None
    assert found.scores is None
    assert found.to_dict()["keypoints"] == []


def test_a_prediction_as_plain_data():
    (found,) = Predictor(dot_model()).stream(
        [Person(painted((96, 64), (30.0, 40.0)), None, "a.jpg")]
    )
    entry = found.to_dict()
    assert entry["image"] == "a.jpg"
    assert entry["box"] == [-0.5, -0.5, 63.5, 95.5]
    assert len(entry["keypoints"]) == 14
    assert entry["keypoints"][0] == pytest.approx([30, 40, 0.75], abs=0.05)


def test_files_pil_images_and_arrays_are_the_same_image(tmp_path):
    pixels = painted((96, 64), (30.0, 40.0))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(pixels))).save(tmp_path / "a.png", exif=exif)
    predictor = Predictor(dot_model())
    with Image.open(tmp_path / "a.png") as opened:
        images = [
            tmp_path / "a.png",
            str(tmp_path / "a.png"),
            opened,
            Image.fromarray(pixels),
            pixels,
        ]
        found = predictor(images)
        names = [str(tmp_path / "a.png")] * 2 + ["2", "3", "4"]
        assert [one.person.image_id for one in found] == names
        for one, image in zip(found, images, strict=True):
            np.testing.assert_array_equal(one.person.image, pixels)
            (alone,) = predictor(image)
            np.testing.assert_array_equal(alone.keypoints, one.keypoints)


def test_boxes_belong_to_their_image():
    image = painted((200, 220), (92.25, 72.5))
    boxes = [[60, 40, 160, 190], [80, 60, 105, 85]]
    predictor = Predictor(dot_model())
    found = predictor(image, boxes)
    assert [one.box.tolist() for one in found] == boxes
    assert predictor(image, np.empty((0, 4))) == []
    several = predictor([image, image, image], [boxes, None, boxes[:1]])
    assert [one.person.image_id for one in several] == ["0", "0", "1", "2"]
    assert several[2].box.tolist() == [-0.5, -0.5, 219.5, 199.5]
    assert predictor(image, []) == predictor(image, np.empty((0, 4))) == []
    assert len(predictor([image, image], [[], boxes])) == 2
    around = predictor(image, boxes, boxes_around="joints")
    assert [one.person.around for one in around] == ["joints", "joints"]
    unusable = ([1, 2, 3, 4], [[1, 2, 3]], [[5, 2, 3, 4]], [[1, 2, 3, np.nan]], [[0, 0, 1e9, 9]])
    for bad in (*unusable, [[1, 2], [3]], "boxes"):
        with pytest.raises(InputError, match=r"boxes of shape \(N, 4\) with x0 < x1"):
            predictor(image, bad)
    with pytest.raises(InputError, match=r"2 pixels or more .* not fractions of the image"):
        predictor(image, [[0.1, 0.1, 0.9, 0.9]])
    with pytest.raises(InputError, match=r"one of \['joints', 'silhouette'\], found 'joint'"):
        predictor(image, boxes, boxes_around="joint")
    with pytest.raises(InputError, match="overlap image 0, of 220 x 200 pixels"):
        predictor(image, [[230, 10, 260, 40]])
    with pytest.raises(InputError, match="boxes for each of 2 images, found 1"):
        predictor([image, image], [boxes])


def test_other_images_are_refused(tmp_path):
    predictor = Predictor(dot_model())
    for image, found in (
        (np.zeros((20, 20, 3)), r"float64 and shape \(20, 20, 3\)"),
        (np.zeros((3, 20, 20), dtype=np.uint8), r"uint8 and shape \(3, 20, 20\)"),
        (np.zeros((20, 20), dtype=np.uint8), r"shape \(20, 20\)"),
        (np.zeros((0, 20, 3), dtype=np.uint8), r"shape \(0, 20, 3\)"),
    ):
        with pytest.raises(InputError, match=rf"as uint8 \(H, W, 3\), found.*{found}"):
            predictor(image)
    with pytest.raises(InputError, match=r"whole image in .*none\.jpg"):
        predictor(tmp_path / "none.jpg")


def test_a_plot_shows_the_prediction_and_leaves_the_image_alone():
    image = painted((96, 64), (30.0, 40.0))
    before = image.copy()
    (found,) = Predictor(dot_model(("main",)))(image)
    drawn = np.asarray(found.plot())
    assert drawn.shape == image.shape
    changed = (drawn != image).any(axis=2)
    assert changed[40, 30]
    assert not changed[80:, :].any()
    np.testing.assert_array_equal(image, before)


def test_joints_that_are_not_certain_are_drawn_thinly():
    image = np.zeros((960, 640, 3), dtype=np.uint8)
    (sure,) = Predictor(dot_model(("main",)))(image)
    sure.keypoints = np.random.default_rng(0).uniform(100, 500, (14, 2)).astype(np.float32)
    doubtful = replace(sure, scores=np.full(14, 0.1, dtype=np.float32))
    full, thin = ((np.asarray(one.plot()) > 0).any(axis=2).sum() for one in (sure, doubtful))
    assert 0 < thin < 0.5 * full
    # A joint alone is a ring, whose middle is free.
    alone = draw_skeleton(image, sure.keypoints, np.arange(14) == 3, LSP14, np.zeros(14, np.bool_))
    x, y = sure.keypoints[3].round().astype(int)
    assert not alone[y, x].any()
    assert alone.any()


def test_a_head_can_be_preferred_for_what_it_predicts():
    predictor = Predictor(dot_model(), head="first")
    assert predictor.heads == {"keypoints": "first", "mask": "mask"}
    assert Predictor(dot_model(), head="mask").heads == {"mask": "mask", "keypoints": "main"}
    with pytest.raises(InputError, match="one of the trained heads mask, first, main, found 'x'"):
        Predictor(dot_model(), head="x")
    model = dot_model()
    model.assume_trained(["mask"])
    with pytest.raises(InputError, match="one of the trained heads mask, found 'first'"):
        Predictor(model, head="first")


def test_what_cannot_be_used_gets_one_sentence():
    people = [Person(np.zeros((20, 20, 3), dtype=np.uint8))]
    with pytest.raises(InputError, match="batch size of 1 or more"):
        next(Predictor(dot_model()).stream(people, batch_size=0))
    heads = {"joints": HeatmapHead()}
    model = PoseModule(UNet(width=4), heads, LSP14, InputSpec((32, 32))).eval()
    torch.nn.init.constant_(next(model.parameters()), torch.nan)
    with pytest.raises(InputError, match="finite predictions"):
        next(Predictor(model).stream(people))


def test_a_checkpoint_predicts_what_its_model_did(tmp_path):
    heads = {"mask": MaskHead(), "joints": HeatmapHead()}
    model = PoseModule(UNet(width=4), heads, LSP14, InputSpec((32, 32))).eval()
    content = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(content)
    torch.save(content, tmp_path / "model.ckpt")
    people = [Person(np.random.default_rng(0).integers(0, 255, (40, 30, 3), dtype=np.uint8))]
    (ours,) = Predictor(model).stream(people)
    (theirs,) = load(tmp_path / "model.ckpt").stream(people)
    np.testing.assert_array_equal(ours.keypoints, theirs.keypoints)
    np.testing.assert_array_equal(ours.mask, theirs.mask)


@pytest.mark.parametrize("fit", ["contain", "cover", "stretch"])
@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_an_image_comes_in_as_the_model_was_trained(fit, interpolation):
    model = dot_model()
    model.input_spec = InputSpec((96, 64), subject="image", fit=fit, interpolation=interpolation)
    # In the middle, because "cover" cuts off the sides.
    point = (95.25, 72.75)
    person = Person(painted((150, 200), point, radius=9), np.array([0, 0, 30, 30], np.float32))
    (found,) = Predictor(model).stream([person])
    np.testing.assert_allclose(found.keypoints[0], point, atol=0.3)
    assert found.mask.shape == (150, 200)


def test_images_of_unequal_size_are_predicted_together_as_alone():
    torch.manual_seed(0)
    heads = {"mask": MaskHead(), "joints": HeatmapHead()}
    spec = InputSpec(size=None, short_side=32, multiple=16, subject="image")
    model = PoseModule(UNet(width=4), heads, LSP14, spec)
    rng = np.random.default_rng(0)
    sizes = [(40, 60), (60, 40), (50, 50), (41, 63), (90, 40)]
    people = [Person(rng.integers(0, 255, (*s, 3), dtype=np.uint8), None, str(s)) for s in sizes]
    alone = [next(Predictor(model).stream([person])) for person in people]
    together = list(Predictor(model).stream(people, batch_size=5))
    for one, other in zip(together, alone, strict=True):
        assert one.person.image_id == other.person.image_id
        np.testing.assert_allclose(one.keypoints, other.keypoints, atol=1e-2)
        np.testing.assert_allclose(one.mask, other.mask, atol=1e-4)
        assert one.mask.shape == one.person.image.shape[:2]


def test_the_flip_test_of_a_symmetric_image_is_symmetric():
    torch.manual_seed(0)
    model = PoseModule(UNet(width=4), {"mask": MaskHead()}, LSP14, InputSpec((32, 32)))
    half = np.random.default_rng(0).integers(0, 255, (32, 16, 3), dtype=np.uint8)
    person = Person(np.concatenate((half, half[:, ::-1]), axis=1))
    (plain,) = Predictor(model).stream([person])
    (found,) = Predictor(model).stream([person], flip=True)
    assert np.abs(plain.mask - plain.mask[:, ::-1]).max() > 1e-3
    np.testing.assert_allclose(found.mask, found.mask[:, ::-1], atol=1e-5)


def test_a_head_that_saw_no_label_does_not_answer():
    model = PoseModule(
        UNet(width=4), {"joints": HeatmapHead(), "mask": MaskHead()}, LSP14, InputSpec((32, 32))
    )
    model.assume_trained(["joints"])
    (found,) = Predictor(model).stream([Person(np.zeros((20, 20, 3), dtype=np.uint8))])
    assert found.mask is None
    assert found.keypoints is not None
