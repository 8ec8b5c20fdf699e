"""Pictures hold what they were given."""

import io
from itertools import combinations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from latentbench import figures


def rendered(figure: Figure) -> np.ndarray:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    buffer.seek(0)
    return imread(buffer)[..., :3]


def test_grid_shows_every_image_in_its_place() -> None:
    images = np.zeros((2, 3, 1, 4, 5), dtype=np.uint8)
    images[1, 2] = 255
    shown = figures.image_grid(images, ["a", "b"]).axes[0].images[0].get_array()
    assert shown is not None
    assert shown.shape == (2 * 4 + 2, 3 * 5 + 4)
    assert (shown[6:10, 14:19] == 255).all()
    assert shown[:4, :5].sum() == 0


def test_grid_of_colour_shows_the_very_colours(rng: np.random.Generator) -> None:
    images = rng.integers(256, size=(2, 3, 3, 4, 5)).astype(np.uint8)
    signed = rng.normal(size=images.shape)
    for figure, expected in (
        (figures.image_grid(images), images / 255),
        (figures.image_grid(images / 255), images / 255),
        (figures.image_grid(signed, signed=True), (signed / np.abs(signed).max() + 1) / 2),
    ):
        shown = np.array(figure.axes[0].images[0].get_array())
        assert shown.shape == (2 * 4 + 2, 3 * 5 + 4, 3)
        for row, column in np.ndindex(2, 3):
            place = shown[6 * row :, 7 * column :][:4, :5]
            np.testing.assert_allclose(place, expected[row, column].transpose(1, 2, 0))
            place[:] = 1
        assert (shown == 1).all(), "something is between the images"


def test_row_labels_are_not_cut_off() -> None:
    images = np.zeros((2, 10, 1, 28, 28))
    picture = rendered(figures.image_grid(images, ["vae_dense", "Ankle boot"], "title"))
    assert (picture[:, 0] == 1).all(), "something touches the left edge"
    assert (picture[0] == 1).all(), "something touches the upper edge"


def test_signed_images_are_white_at_zero() -> None:
    figure = figures.image_grid(np.array([[[[[-1.0, 0.0, 0.5]]]]]), signed=True)
    image = figure.axes[0].images[0]
    assert image.get_clim() == (-1.0, 1.0)


def test_scatter_draws_each_point_in_its_class_colour() -> None:
    labels = np.array([0, 1, 2, 1])
    points = np.arange(8.0).reshape(4, 2)
    figure = figures.scatter(points, labels, ["a", "b", "c"], ("x", "y"), "t")
    drawn = figure.axes[0].collections[0]
    colours = {tuple(point): tuple(c) for point, c in zip(drawn.get_offsets(), drawn.get_facecolors(), strict=True)}
    assert set(colours) == {tuple(point) for point in points}
    assert colours[tuple(points[1])] == colours[tuple(points[3])] != colours[tuple(points[0])]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "c"]


def test_more_than_ten_classes_have_colours_of_their_own() -> None:
    colours = figures._class_colours(26)
    assert len({tuple(colour) for colour in colours}) == 26


def test_curves_and_panels_hold_what_they_were_given() -> None:
    figure = figures.curves([1, 4, 16], {"a": np.array([0.1, 0.2, 0.3])}, ("x", "y"))
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[1, 0.1], [4, 0.2], [16, 0.3]]
    points = np.arange(6.0).reshape(3, 2)
    figure = figures.panels([("first", points, points[:, 0]), ("second", points[::-1], points[:, 0])], n_columns=2)
    assert [axes.get_title() for axes in figure.axes] == ["first", "second"]
    assert figure.axes[1].collections[0].get_offsets().tolist() == points[::-1].tolist()


def test_a_sweep_has_a_panel_for_each_score() -> None:
    accuracy, error = np.array([0.8, 0.7, 0.6]), np.array([0.01, 0.02, 0.04])
    ends = (accuracy - 0.02, accuracy + 0.01)
    betas = [0.1, 1, 10]
    lines = [figures.Line("", betas, accuracy, *ends)], [figures.Line("", betas, error, error, error)]
    figure = figures.sweep([figures.Panel(name, "beta", each) for name, each in zip(("a", "b"), lines, strict=True)])
    assert [axes.get_title() for axes in figure.axes] == ["a", "b"]
    assert [axes.get_xscale() for axes in figure.axes] == ["log", "log"]
    assert figure.axes[1].lines[0].get_xydata().tolist() == [[0.1, 0.01], [1, 0.02], [10, 0.04]]
    (segments,), (flat,) = ([c.get_segments() for c in axes.collections] for axes in figure.axes)
    np.testing.assert_allclose([[s[0][1], s[1][1]] for s in segments], np.stack(ends, axis=1))
    assert all(s[0][1] == s[1][1] for s in flat)
    assert figure.legends == []


def test_a_sweep_over_words_has_a_line_for_each_of_the_other_params() -> None:
    values = np.array([0.1, 0.2])
    lines = [figures.Line(name, ["ddim", "heun"], values, values, values) for name in ("5 calls", "10 calls")]
    figure = figures.sweep([figures.Panel("score", "sampler", lines)])
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["ddim", "heun"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["5 calls", "10 calls"]


def test_a_trade_joins_its_front() -> None:
    points = np.array([[3, 0.9], [1, 0.5], [2, 0.4], [2, 0.8]])
    figure = figures.trade(points, ["a", "b", "c", "d"], np.array([True, True, False, True]), ("x", "y"))
    front, dots = figure.axes[0].lines
    assert front.get_xydata().tolist() == [[1, 0.5], [2, 0.8], [3, 0.9]]
    assert dots.get_xydata().tolist() == points.tolist()
    assert [text.get_text() for text in figure.axes[0].texts] == ["a", "b", "c", "d"]


def test_intervals_reach_from_low_to_high() -> None:
    values, lows, highs = np.array([0.5, 0.7]), np.array([0.4, 0.69]), np.array([0.6, 0.72])
    figure = figures.dots_with_intervals(["a", "b"], values, lows, highs, "score")
    segments = figure.axes[0].collections[0].get_segments()
    assert [(s[0][0], s[1][0]) for s in segments] == [(0.4, 0.6), (0.69, 0.72)]
    assert (rendered(figure)[:, 0] == 1).all()


def test_cumulative_variance_ends_at_one() -> None:
    figure = figures.cumulative_variance(np.array([0.5, 0.3, 0.2]), {"some": 2})
    curve, mark = figure.axes[0].lines
    assert np.allclose(curve.get_ydata(), [0.5, 0.8, 1.0])
    assert np.allclose([mark.get_xdata(), mark.get_ydata()], [[2], [0.8]])


def test_tiles_are_images_at_whole_pixels_in_few_shades(rng: np.random.Generator) -> None:
    images = rng.random((2, 3, 1, 14, 28))
    figure = figures.tiles(images, ["one", "two\nlines"], "title", [["a", "b", "c"]] * 2)
    (drawn,) = figure.images
    shown = np.asarray(drawn.get_array())
    assert shown.shape[0] % 2 == shown.shape[1] % 3 == 0
    scale = 4  # to 56 pixels of height
    height, width = shown.shape[0] // 2, shown.shape[1] // 3
    for row, column in np.ndindex(2, 3):
        tile = shown[row * height :, column * width :][: scale * 14, : scale * 28]
        assert (tile == np.repeat(np.repeat(tile[::scale, ::scale], scale, 0), scale, 1)).all()
        np.testing.assert_allclose(tile[::scale, ::scale], images[row, column, 0], atol=0.5 / 15 + 1e-9)
    assert len(np.unique(shown)) <= 16
    assert [text.get_text() for text in figure.texts] == ["title", "one", "two\nlines", *"abcabc"]


def test_tiles_of_colour_are_drawn_in_the_very_colours(rng: np.random.Generator) -> None:
    images = rng.integers(256, size=(2, 3, 3, 14, 28)) / 255
    figure = figures.tiles(images, ["one", "two"], "title", [["a", "b", "c"]] * 2)
    (drawn,) = figure.images
    left, picture = int(drawn.ox), rendered(figure)
    picture = picture[-drawn.get_array().shape[0] :, left : left + drawn.get_array().shape[1]]
    step_down, step_right = picture.shape[0] // 2, picture.shape[1] // 3
    scale = 4  # to 56 pixels of height
    for row, column in np.ndindex(2, 3):
        tile = picture[row * step_down :, column * step_right :][: scale * 14, : scale * 28]
        enlarged = images[row, column].transpose(1, 2, 0).repeat(scale, axis=0).repeat(scale, axis=1)
        np.testing.assert_allclose(tile, enlarged, atol=0.5 / 255)
        assert (picture[row * step_down :, column * step_right :][: scale * 14, scale * 28 : step_right] == 1).all()
    beyond = figures.tiles(np.full((1, 1, 3, 14, 28), [-0.5, 1.5] * 14)).images[0].get_array()
    assert np.unique(beyond).tolist() == [0, 1]


def test_maps_name_each_class_that_is_there_and_no_name_covers_another(rng: np.random.Generator) -> None:
    labels = np.repeat([0, 1, 2], 50)
    points = rng.normal(size=(150, 2))
    centroids = np.array([[0.0, 0.0], [0.1, 0.05], [-0.1, 0.1], [np.nan, np.nan]])
    names = ["Ankle boot", "Pullover", "T-shirt/top", "never"]
    figure = figures.class_maps([("one", points, centroids), ("two", -points, -centroids)], labels, names, "title")
    figure.draw_without_rendering()
    for axes, sign in zip(figure.axes, (1, -1), strict=True):
        assert axes.collections[0].get_offsets().shape == (150, 2)
        marks = {tuple(place) for line in axes.lines for place in line.get_xydata()}
        assert marks == {tuple(place) for place in sign * centroids[:3]}
        assert sorted(note.get_text() for note in axes.texts) == names[:3]
        boxes = [Text.get_window_extent(note) for note in axes.texts]
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
