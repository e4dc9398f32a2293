"""Furnish a room: what goes in, and where.

Furniture is placed in groups that belong together (a bed and its nightstands, a desk
and its chair), at a wall or in the free middle, by rejection: a place is taken if the
whole group keeps clear of what is there, of doors and, where it is tall, of windows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from mmp3d.structures import FRONT3D
from mmp3d.testing.synth_rooms import furniture as make
from mmp3d.testing.synth_rooms.furniture import Furniture, Palette, draw_palette
from mmp3d.testing.synth_rooms.scene import SceneObject
from mmp3d.testing.synth_rooms.shell import Shell, Wall, build_shell

# Furniture keeps this far from walls (skirting, curtains) and from its neighbours.
_WALL_GAP = 0.03
_GAP = 0.02
# What reaches higher than this does not stand before a window.
_SILL = 0.78
_TRIES = 30


@dataclass(frozen=True)
class Placement:
    """A piece of furniture in the room.

    Attributes:
        furniture: What stands there.
        position: World point of its origin, metres.
        yaw: Rotation about the vertical, radians.
    """

    furniture: Furniture
    position: tuple[float, float, float]
    yaw: float

    def bounds(self) -> np.ndarray:
        """World bounding box: rows lower and upper, metres."""
        w, d, h = self.furniture.size
        c, s = abs(math.cos(self.yaw)), abs(math.sin(self.yaw))
        half = np.array([c * w + s * d, s * w + c * d, 0.0]) / 2
        centre = np.array(self.position)
        return np.stack([centre - half, centre + half + [0, 0, h]])


@dataclass(frozen=True)
class Room:
    """A furnished room.

    Attributes:
        shell: The empty room.
        placements: The furniture; place i has the instance id i + 1.
    """

    shell: Shell
    placements: tuple[Placement, ...]

    def objects(self) -> list[SceneObject]:
        """Shell first, then the furniture in the order of its instance ids."""
        return list(self.shell.objects) + [
            SceneObject(p.furniture.label, i + 1, p.furniture.parts, p.position, p.yaw)
            for i, p in enumerate(self.placements)
        ]


def build_room(rng: Generator) -> Room:
    """Draw a room: shell, style, use, and the furniture that goes with it."""
    for _ in range(_TRIES):
        shell = build_shell(rng)
        plan = _Plan(rng, shell, draw_palette(rng))
        programme = _PROGRAMMES[int(rng.integers(len(_PROGRAMMES)))]
        for chance, place in programme:
            if rng.random() < chance and plan.standing() < 10:
                place(plan)
        if plan.standing() >= 3:
            return Room(shell, tuple(plan.placements))
    raise RuntimeError(
        f'no room with three pieces of furniture in {_TRIES} attempts: the room sizes '
        'of shell.py and the furniture sizes do not go together'
    )


@dataclass
class _Plan:
    """A room while it is being furnished."""

    rng: Generator
    shell: Shell
    style: Palette
    placements: list[Placement] = field(default_factory=list)

    def standing(self) -> int:
        """Number of pieces that stand on the floor."""
        return sum(p.position[2] == 0.0 for p in self.placements)

    def add(self, group: list[Placement], clear: tuple[np.ndarray, ...] = ()) -> bool:
        """Take a group in if all of it fits; ``clear`` are boxes that must be free."""
        boxes = [p.bounds() for p in group]
        if not all(self._inside(b) and self._free(b) for b in boxes):
            return False
        if not all(self._free(c, keep_doors=False) for c in clear):
            return False
        for i, a in enumerate(boxes):
            if any(_overlap(a, b, 0.0) for b in boxes[i + 1 :]):
                return False
        self.placements += group
        return True

    def _inside(self, bounds: np.ndarray) -> bool:
        upper = np.array(self.shell.size)
        margin = np.array([0.02, 0.02, 0.0])
        return bool(
            (bounds[0] >= margin - 1e-9).all()
            and (bounds[1] <= upper - margin + 1e-9).all()
        )

    def _free(self, bounds: np.ndarray, keep_doors: bool = True) -> bool:
        if any(_overlap(bounds, p.bounds(), _GAP) for p in self.placements):
            return False
        if not keep_doors:
            return True
        for wall in self.shell.walls:
            for opening in wall.openings:
                if opening.is_door:
                    zone = _zone(wall, opening.x, 0.85, (0.0, 2.0))
                elif bounds[1, 2] > _SILL and bounds[0, 2] < 1.0:
                    zone = _zone(
                        wall, (opening.x[0] - 0.2, opening.x[1] + 0.2), 0.35, (0.0, 2.2)
                    )
                else:
                    continue
                if _overlap(bounds, zone, 0.0):
                    return False
        return True

    def wall_spot(self, width: float) -> tuple[Wall, float]:
        """Draw a wall, and a point along it for something of this width."""
        wall = self.shell.walls[int(self.rng.integers(4))]
        room = max(wall.length / 2 - width / 2 - 0.05, 0.0)
        # Corners and middles are where furniture stands.
        share = self.rng.choice((-1.0, -0.5, 0.0, 0.5, 1.0, self.rng.uniform(-1, 1)))
        return wall, float(share) * room

    def at_wall(
        self, piece: Furniture, wall: Wall, x: float, gap: float = _WALL_GAP
    ) -> Placement:
        """Stand a piece with its back to a wall."""
        where = wall.to_world(x, -(piece.size[1] / 2 + gap))
        return Placement(piece, (*where, 0.0), wall.yaw)

    def on_top(
        self, carrier: Placement, piece: Furniture, x: float, y: float = 0.0
    ) -> Placement:
        """Put a piece on another, at a point of the carrier's frame."""
        c, s = math.cos(carrier.yaw), math.sin(carrier.yaw)
        px, py, pz = carrier.position
        where = (px + c * x - s * y, py + s * x + c * y)
        return Placement(piece, (*where, pz + carrier.furniture.size[2]), carrier.yaw)


def _overlap(a: np.ndarray, b: np.ndarray, gap: float) -> bool:
    grow = np.array([gap, gap, -1e-6])
    return bool((a[0] < b[1] + grow).all() and (b[0] < a[1] + grow).all())


def _zone(
    wall: Wall, x: tuple[float, float], depth: float, z: tuple[float, float]
) -> np.ndarray:
    """World box before a piece of a wall."""
    points = np.array([wall.to_world(x[0], 0.0), wall.to_world(x[1], -depth)])
    return np.array([[*points.min(0), z[0]], [*points.max(0), z[1]]])


def _front(plan: _Plan, placed: Placement, depth: float) -> np.ndarray:
    """The floor before a piece, which must stay free for people."""
    w, d, _ = placed.furniture.size
    c, s = math.cos(placed.yaw), math.sin(placed.yaw)
    corners = [
        (placed.position[0] + c * x - s * y, placed.position[1] + s * x + c * y)
        for x in (-w / 2, w / 2)
        for y in (-d / 2, -d / 2 - depth)
    ]
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    return np.array([[*low, 0.0], [*high, 1.0]])


def _place_bed(plan: _Plan) -> None:
    bed = make.build_bed(plan.rng, plan.style)
    stand = make.build_nightstand(plan.rng, plan.style)
    wanted = plan.rng.random(2) < 0.75
    lit = plan.rng.random(2) < 0.7
    lamp = make.build_table_lamp(plan.rng, plan.style)
    for _ in range(_TRIES):
        wall, x = plan.wall_spot(bed.size[0])
        placed = plan.at_wall(bed, wall, x)
        if not plan.add([placed]):
            continue
        for i, side in enumerate((-1, 1)):
            beside = side * (bed.size[0] / 2 + stand.size[0] / 2 + 0.05)
            night = plan.at_wall(stand, wall, x + beside)
            if wanted[i] and plan.add([night]) and lit[i]:
                plan.add([plan.on_top(night, lamp, 0.0)])
        return


def _at_wall(build: make.Builder, clearance: float) -> Callable[[_Plan], None]:
    def place(plan: _Plan) -> None:
        piece = build(plan.rng, plan.style)
        for _ in range(_TRIES):
            placed = plan.at_wall(piece, *plan.wall_spot(piece.size[0]))
            if plan.add([placed], (_front(plan, placed, clearance),)):
                _decorate(plan, placed)
                return

    return place


def _decorate(plan: _Plan, carrier: Placement) -> None:
    """Put a lamp, a vase or a screen on a chest or a low cabinet."""
    w, _, h = carrier.furniture.size
    label = FRONT3D.classes[carrier.furniture.label]
    if label not in ('dresser', 'cabinet') or h > 1.2 or w < 0.6:
        return
    taken: list[Placement] = []
    kind = plan.rng.random()
    if kind < 0.35 and w > 1.0 and h < 0.9:
        screen = make.build_television(plan.rng, plan.style)
        if screen.size[0] < w:
            taken.append(plan.on_top(carrier, screen, 0.0))
    elif kind < 0.75:
        lamp = make.build_table_lamp(plan.rng, plan.style)
        taken.append(plan.on_top(carrier, lamp, -0.32 * w))
    if kind > 0.6:
        vase = make.build_vase(plan.rng, plan.style)
        taken.append(plan.on_top(carrier, vase, 0.3 * w))
    plan.add(taken)


def _place_desk(plan: _Plan) -> None:
    rng = plan.rng
    desk = make.build_desk(rng, plan.style)
    swivel = rng.random() < 0.6
    chair = (make.build_office_chair if swivel else make.build_chair)(rng, plan.style)
    for _ in range(_TRIES):
        wall, x = plan.wall_spot(desk.size[0])
        placed = plan.at_wall(desk, wall, x)
        seat = (x + float(rng.uniform(-0.1, 0.1)), -(desk.size[1] + chair.size[1] / 2))
        away = float(rng.uniform(0.06, 0.2))
        where = wall.to_world(seat[0], seat[1] - away)
        # A chair faces the desk: its back looks into the room.
        turned = wall.yaw + math.pi + float(rng.uniform(-0.35, 0.35))
        if not plan.add([placed, Placement(chair, (*where, 0.0), turned)]):
            continue
        if rng.random() < 0.75:
            screen = make.build_monitor(rng, plan.style)
            plan.add([plan.on_top(placed, screen, float(rng.uniform(-0.1, 0.1)), 0.08)])
        if rng.random() < 0.6:
            lamp = make.build_table_lamp(rng, plan.style)
            side = 1 if rng.random() < 0.5 else -1
            plan.add([plan.on_top(placed, lamp, side * (desk.size[0] / 2 - 0.2), 0.08)])
        return


def _place_sofa(plan: _Plan) -> None:
    rng = plan.rng
    sofa = make.build_sofa(rng, plan.style)
    table = make.build_coffee_table(rng, plan.style)
    for _ in range(_TRIES):
        wall, x = plan.wall_spot(sofa.size[0])
        placed = plan.at_wall(sofa, wall, x, 0.1)
        if not plan.add([placed], (_front(plan, placed, 0.5),)):
            continue
        reach = sofa.size[1] + 0.1 + float(rng.uniform(0.3, 0.45)) + table.size[1] / 2
        where = wall.to_world(x + float(rng.uniform(-0.15, 0.15)), -reach)
        before = Placement(table, (*where, 0.0), wall.yaw)
        if rng.random() < 0.85 and plan.add([before]) and rng.random() < 0.5:
            vase = make.build_vase(rng, plan.style)
            plan.add([plan.on_top(before, vase, float(rng.uniform(-0.15, 0.15)))])
        if rng.random() < 0.55:
            lamp = make.build_floor_lamp(rng, plan.style)
            side = 1 if rng.random() < 0.5 else -1
            beside = side * (sofa.size[0] / 2 + lamp.size[0] / 2 + 0.08)
            plan.add([plan.at_wall(lamp, wall, x + beside, 0.12)])
        return


def _place_dining(plan: _Plan) -> None:
    rng = plan.rng
    w, d, _ = plan.shell.size
    round_one = rng.random() < 0.35
    build = make.build_round_table if round_one else make.build_dining_table
    table, chair = build(rng, plan.style), make.build_chair(rng, plan.style)
    for _ in range(_TRIES):
        yaw = math.pi / 2 * float(rng.integers(2))
        x, y = float(rng.uniform(0.3, 0.7)) * w, float(rng.uniform(0.3, 0.7)) * d
        placed = Placement(table, (x, y, 0.0), yaw)
        around = placed.bounds() + np.array([[-0.3, -0.3, 0.0], [0.3, 0.3, 0.0]])
        if plan.add([placed], (around,)):
            break
    else:
        return
    a, b, _ = table.size
    # Where the table's edge is, and which way out of it a chair stands.
    along = (-a / 4, a / 4) if a > 1.35 else (0.0,)
    seats = [(px, side * b / 2, 0.0, side) for side in (1.0, -1.0) for px in along]
    seats += [(side * a / 2, 0.0, side, 0.0) for side in (1.0, -1.0)]
    c, s = math.cos(yaw), math.sin(yaw)
    for px, py, out_x, out_y in seats:
        if rng.random() < 0.2 or plan.standing() >= 10:
            continue
        away = chair.size[1] / 2 + float(rng.uniform(0.03, 0.2))
        lx, ly = px + away * out_x, py + away * out_y
        where = (x + c * lx - s * ly, y + s * lx + c * ly, 0.0)
        # Its back looks away from the table.
        turn = yaw + math.atan2(-out_x, out_y) + float(rng.uniform(-0.15, 0.15))
        plan.add([Placement(chair, where, turn)])
    if rng.random() < 0.5:
        plan.add([plan.on_top(placed, make.build_vase(rng, plan.style), 0.0)])


def _place_pendant(plan: _Plan) -> None:
    lamp = make.build_pendant_lamp(plan.rng, plan.style)
    w, d, h = plan.shell.size
    tables = [
        p for p in plan.placements if FRONT3D.classes[p.furniture.label] == 'table'
    ]
    x, y = tables[0].position[:2] if tables else (w / 2, d / 2)
    plan.add([Placement(lamp, (x, y, h - lamp.size[2]), 0.0)])


def _in_corner(build: make.Builder) -> Callable[[_Plan], None]:
    def place(plan: _Plan) -> None:
        piece = build(plan.rng, plan.style)
        for _ in range(_TRIES):
            wall = plan.shell.walls[int(plan.rng.integers(4))]
            side = 1 if plan.rng.random() < 0.5 else -1
            x = side * (
                wall.length / 2 - piece.size[0] / 2 - float(plan.rng.uniform(0.05, 0.5))
            )
            if plan.add([plan.at_wall(piece, wall, x, 0.08)]):
                return

    return place


_wardrobe = _at_wall(make.build_wardrobe, 0.6)
_sideboard = _at_wall(make.build_sideboard, 0.5)
_dresser = _at_wall(make.build_dresser, 0.5)
_bookshelf = _at_wall(make.build_bookshelf, 0.4)
_single_chair = _at_wall(make.build_chair, 0.3)
_plant = _in_corner(make.build_plant)
_boxes = _in_corner(make.build_boxes)
_floor_lamp = _in_corner(make.build_floor_lamp)
_pouf = _in_corner(make.build_pouf)

# How probable each group is, in the order in which they are placed.
_PROGRAMMES: tuple[tuple[tuple[float, Callable[[_Plan], None]], ...], ...] = (
    (
        (1.0, _place_bed),
        (0.85, _wardrobe),
        (0.7, _dresser),
        (0.45, _place_desk),
        (0.4, _plant),
        (0.3, _floor_lamp),
        (0.3, _single_chair),
        (0.25, _bookshelf),
        (0.25, _pouf),
        (0.5, _place_pendant),
    ),
    (
        (1.0, _place_sofa),
        (0.85, _sideboard),
        (0.5, _place_sofa),
        (0.6, _plant),
        (0.5, _bookshelf),
        (0.3, _place_dining),
        (0.4, _floor_lamp),
        (0.3, _dresser),
        (0.35, _pouf),
        (0.25, _single_chair),
        (0.5, _place_pendant),
    ),
    (
        (1.0, _place_dining),
        (0.9, _sideboard),
        (0.5, _plant),
        (0.45, _floor_lamp),
        (0.5, _place_sofa),
        (0.4, _wardrobe),
        (0.35, _dresser),
        (0.3, _bookshelf),
        (0.8, _place_pendant),
    ),
    (
        (1.0, _place_desk),
        (0.75, _bookshelf),
        (0.6, _wardrobe),
        (0.65, _place_sofa),
        (0.5, _place_desk),
        (0.5, _plant),
        (0.45, _floor_lamp),
        (0.4, _boxes),
        (0.4, _dresser),
        (0.3, _single_chair),
        (0.4, _place_pendant),
    ),
    (
        (1.0, _place_bed),
        (0.9, _place_desk),
        (0.8, _wardrobe),
        (0.4, _place_dining),
        (0.55, _place_sofa),
        (0.5, _dresser),
        (0.4, _boxes),
        (0.4, _plant),
        (0.3, _floor_lamp),
        (0.4, _place_pendant),
    ),
)
