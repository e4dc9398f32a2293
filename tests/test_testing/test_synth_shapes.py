"""Distances and ray hits of the primitives, against numbers worked out by hand."""

import numpy as np
import pytest

from mmp3d.testing.synth_rooms.shapes import (
    Kind,
    box,
    cone,
    intersect,
    rotation_matrix,
    signed_distance,
)
from mmp3d.testing.synth_rooms.textures import Material, Pattern

PAINT = Material(Pattern.PLAIN, (0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    ('point', 'expected'),
    [
        ((2.0, 0.0, 0.0), 1.0),  # before a face
        ((0.0, 5.0, 7.0), 5.0),  # 3-4-5 from an edge (y 2, z 3)
        ((0.0, 0.0, 2.5), -0.5),  # inside
        ((2.0, 4.0, 5.0), 3.0),  # 1-2-2 from a corner
    ],
)
def test_distance_to_a_box(point, expected):
    size = np.array([1.0, 2.0, 3.0])
    assert signed_distance(Kind.BOX, size, 0.0, *point) == pytest.approx(expected)


def test_rounding_cuts_the_corner():
    size = np.ones(3)
    # The ball of radius 0.5 sits at (.5, .5, .5): the corner is off by .5 (sqrt 3 - 1).
    distance = signed_distance(Kind.BOX, size, 0.5, 1.0, 1.0, 1.0)
    assert distance == pytest.approx(0.5 * (np.sqrt(3) - 1))


def test_a_flat_box_is_a_rectangle_seen_from_both_sides():
    size = np.array([1.0, 0.0, 1.0])
    for y in (-0.3, 0.3):
        assert signed_distance(Kind.BOX, size, 0.0, 0.2, y, 0.1) == pytest.approx(0.3)
    assert signed_distance(Kind.BOX, size, 0.0, 4.0, 4.0, 0.0) == pytest.approx(5.0)


@pytest.mark.parametrize(
    ('point', 'expected'),
    [
        ((0.0, 0.0, 3.0), 2.0),  # above the cap
        (
            (3.0, 0.0, 0.0),
            np.sqrt(2.0),
        ),  # before the slanted side x = 1 - z, 45 degrees
        ((0.0, 0.0, -0.5), -0.5),  # inside, nearest to the bottom
        ((5.0, 0.0, -5.0), 5.0),  # 3-4-5 from the lower rim
    ],
)
def test_distance_to_a_cone(point, expected):
    size = np.array([2.0, 0.0, 1.0])  # radius 2 at z = -1, apex at z = 1
    assert signed_distance(Kind.CONE, size, 0.0, *point) == pytest.approx(expected)


def test_distance_to_a_ball():
    size = np.full(3, 2.0)
    assert signed_distance(Kind.BALL, size, 0.0, 3.0, 4.0, 0.0) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ('kind', 'size', 'rounding', 'hit'),
    [
        (Kind.BOX, (1.0, 2.0, 3.0), 0.0, 4.0),
        (Kind.BOX, (1.0, 2.0, 3.0), 0.5, 4.0),
        (Kind.BOX, (0.0, 2.0, 3.0), 0.0, 5.0),
        (Kind.CONE, (2.0, 1.0, 3.0), 0.0, 3.5),
        (Kind.BALL, (1.5, 1.5, 1.5), 0.0, 3.5),
    ],
)
def test_a_ray_meets_the_near_side(kind, size, rounding, hit):
    ray = (-5.0, 0.0, 0.0, 1.0, 0.0, 0.0)
    t = intersect(kind, np.array(size), rounding, *ray, 0.0, 50.0)
    assert t == pytest.approx(hit, abs=1e-4)  # rays step up to 2e-5 m before a surface


@pytest.mark.parametrize('kind', list(Kind))
@pytest.mark.parametrize('rounding', [0.0, 0.3])
def test_random_hits_lie_on_the_surface(kind, rounding):
    rng = np.random.default_rng(3)
    size = np.array([1.0, 1.0, 1.0]) if kind is Kind.BALL else np.array([1.0, 0.6, 0.8])
    hits = 0
    for _ in range(300):
        origin = rng.normal(size=3) * 3
        direction = rng.normal(size=3) - origin
        t = intersect(kind, size, rounding, *origin, *direction, 0.0, 50.0)
        if t < 0:
            continue
        hits += 1
        distance = signed_distance(kind, size, rounding, *(origin + t * direction))
        assert abs(distance) < 1e-4
    assert hits > 20


def test_a_ray_that_points_away_meets_nothing():
    for kind in Kind:
        assert intersect(kind, np.ones(3), 0.0, 5, 0, 0, 1, 0, 0, 0.0, 50.0) == -1.0


def test_turns_are_about_x_then_y_then_z():
    turned = rotation_matrix((np.pi / 2, 0.0, np.pi / 2)) @ np.array([0.0, 1.0, 0.0])
    np.testing.assert_allclose(turned, [0, 0, 1], atol=1e-12)  # y to z, then z stays


def test_parts_know_their_bounds():
    part = box((-1, 3), (0, 2), (0, 1), PAINT, rounding=9.0)
    assert part.centre == (1.0, 1.0, 0.5)
    assert part.rounding == 0.5  # never more than half an edge
    np.testing.assert_allclose(
        cone(0, 0, (0, 2), (0.5, 0.3), PAINT).half_extent(), [0.5, 0.5, 1.0]
    )


def test_box_bounds_must_ascend():
    with pytest.raises(ValueError, match='must ascend, got x'):
        box((1, 0), (0, 1), (0, 1), PAINT)
