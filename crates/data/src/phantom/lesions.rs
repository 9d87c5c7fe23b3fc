use rand::{Rng, RngExt};

use super::anatomy::{Anatomy, Point, Tissue, inside, length, mix, sign, smooth_step};
use super::attributes::{Lobe, Side, Size};
use super::findings::{FindingKind, PhantomFinding, PhantomFindings};

/// A finding's shape on one film.
#[derive(Debug, Clone)]
pub(super) enum Lesion {
    /// Fluid up to `level`, climbing along the chest wall.
    Fluid { side: f32, level: f32 },
    /// Air outside a lung that has fallen in by `depth`.
    FreeAir { side: f32, depth: f32 },
    /// A fuzzy, uneven whitening.
    Cloud {
        centre: Point,
        width: f32,
        height: f32,
        strength: f32,
        grain: f32,
    },
    /// A sharp small disc.
    Disc { centre: Point, radius: f32 },
    /// A plate from `from` to `to`.
    Plate {
        from: Point,
        to: Point,
        half: f32,
        strength: f32,
    },
    /// A tube or wire along a polyline.
    Wire {
        path: Vec<Point>,
        half: f32,
        strength: f32,
    },
    /// A metal box.
    Metal {
        centre: Point,
        half_width: f32,
        half_height: f32,
    },
    /// A displaced rib fracture: bright ends, a dark gap.
    Break { centre: Point, tilt: f32 },
}

/// The shapes of all findings, in the order they are drawn. The heart's size is anatomy.
pub(super) fn lesions_of(findings: &PhantomFindings, rng: &mut impl Rng) -> Vec<Lesion> {
    let mut lesions = Vec::new();
    for kind in DRAWING_ORDER {
        for finding in findings.of(kind) {
            draw_finding(finding, rng, &mut lesions);
        }
    }
    lesions
}

/// Air is drawn before the structures in front of it; fluid and metal are drawn last.
const DRAWING_ORDER: [FindingKind; 10] = [
    FindingKind::Edema,
    FindingKind::Consolidation,
    FindingKind::Nodule,
    FindingKind::Atelectasis,
    FindingKind::Pneumothorax,
    FindingKind::RibFracture,
    FindingKind::Effusion,
    FindingKind::PiccLine,
    FindingKind::EndotrachealTube,
    FindingKind::Pacemaker,
];

fn draw_finding(finding: PhantomFinding, rng: &mut impl Rng, lesions: &mut Vec<Lesion>) {
    let side = finding.side().map_or(0.0, sign);
    let size = finding.size().unwrap_or(Size::Moderate);
    match finding.kind() {
        FindingKind::Cardiomegaly => {}
        FindingKind::Effusion => lesions.push(fluid(side, size, rng)),
        FindingKind::Pneumothorax => lesions.push(free_air(side, size, rng)),
        FindingKind::Consolidation => lesions.push(Lesion::Cloud {
            centre: near(lobe_centre(finding), 0.03, rng),
            width: rng.random_range(0.17..0.21),
            height: rng.random_range(0.16..0.20),
            strength: rng.random_range(0.46..0.54),
            grain: 0.35,
        }),
        FindingKind::Nodule => lesions.push(Lesion::Disc {
            centre: near(lobe_centre(finding), 0.06, rng),
            radius: rng.random_range(0.085..0.100),
        }),
        FindingKind::Atelectasis => lesions.push(plate(side, rng)),
        FindingKind::Edema => lesions.extend([-1.0, 1.0].map(|side| Lesion::Cloud {
            centre: near(
                Point {
                    x: side * 0.36,
                    y: -0.04,
                },
                0.02,
                rng,
            ),
            width: rng.random_range(0.26..0.30),
            height: rng.random_range(0.36..0.42),
            strength: rng.random_range(0.32..0.38),
            grain: 0.6,
        })),
        FindingKind::RibFracture => lesions.push(Lesion::Break {
            centre: near(
                Point {
                    x: side * 0.62,
                    y: -0.08,
                },
                0.05,
                rng,
            ),
            tilt: side * rng.random_range(0.20..0.40),
        }),
        FindingKind::PiccLine => lesions.push(picc(side, rng)),
        FindingKind::EndotrachealTube => lesions.push(endotracheal_tube(rng)),
        FindingKind::Pacemaker => lesions.extend(pacemaker(rng)),
    }
}

fn near(p: Point, spread: f32, rng: &mut impl Rng) -> Point {
    Point {
        x: p.x + rng.random_range(-spread..spread),
        y: p.y + rng.random_range(-spread..spread),
    }
}

fn lobe_centre(finding: PhantomFinding) -> Point {
    let (x, y) = match (finding.lobe(), finding.side()) {
        (Some(Lobe::Upper) | None, _) => (0.38, -0.38),
        (Some(Lobe::Middle), _) => (0.38, 0.05),
        (Some(Lobe::Lower), Some(Side::Left)) => (0.62, 0.36),
        (Some(Lobe::Lower), _) => (0.56, 0.38),
    };
    Point {
        x: x * finding.side().map_or(0.0, sign),
        y,
    }
}

fn fluid(side: f32, size: Size, rng: &mut impl Rng) -> Lesion {
    let level = match size {
        Size::Small => 0.40,
        Size::Moderate => 0.12,
        Size::Large => -0.22,
    };
    Lesion::Fluid {
        side,
        level: level + rng.random_range(-0.04..0.04),
    }
}

fn free_air(side: f32, size: Size, rng: &mut impl Rng) -> Lesion {
    let depth = match size {
        Size::Small => 0.11,
        Size::Moderate => 0.22,
        Size::Large => 0.36,
    };
    Lesion::FreeAir {
        side,
        depth: depth * rng.random_range(0.92..1.08),
    }
}

fn plate(side: f32, rng: &mut impl Rng) -> Lesion {
    let (height, tilt) = (rng.random_range(0.28..0.38), rng.random_range(-0.05..0.05));
    let inner = if side > 0.0 { 0.46 } else { 0.30 };
    Lesion::Plate {
        from: Point {
            x: side * inner,
            y: height - tilt,
        },
        to: Point {
            x: side * 0.74,
            y: height + tilt,
        },
        half: rng.random_range(0.034..0.042),
        strength: rng.random_range(0.38..0.46),
    }
}

/// From the arm over the axilla and under the clavicle into the superior vena cava.
fn picc(side: f32, rng: &mut impl Rng) -> Lesion {
    let tip = rng.random_range(-0.16..-0.04);
    let route = [(0.98, -0.22), (0.78, -0.44), (0.48, -0.56), (0.20, -0.50)];
    let mut path: Vec<Point> = route.map(|(x, y)| Point { x: side * x, y }).to_vec();
    path.extend([Point { x: -0.08, y: -0.36 }, Point { x: -0.10, y: tip }]);
    Lesion::Wire {
        path: path.iter().map(|p| near(*p, 0.012, rng)).collect(),
        half: 0.022,
        strength: 0.42,
    }
}

fn endotracheal_tube(rng: &mut impl Rng) -> Lesion {
    let tip = rng.random_range(-0.42..-0.32);
    let x = rng.random_range(-0.012..0.012);
    let path = vec![
        Point { x, y: -1.1 },
        Point { x, y: -0.7 },
        Point { x: x * 2.0, y: tip },
    ];
    Lesion::Wire {
        path,
        half: 0.026,
        strength: 0.46,
    }
}

/// A box in the left chest wall and its lead to the right ventricle.
fn pacemaker(rng: &mut impl Rng) -> [Lesion; 2] {
    let centre = near(Point { x: 0.66, y: -0.50 }, 0.03, rng);
    let lead = [
        (0.40, -0.56),
        (0.12, -0.46),
        (-0.06, -0.20),
        (-0.05, 0.16),
        (0.22, 0.40),
    ];
    let mut path = vec![centre];
    path.extend(lead.map(|(x, y)| near(Point { x, y }, 0.015, rng)));
    [
        Lesion::Wire {
            path,
            half: 0.020,
            strength: 0.40,
        },
        Lesion::Metal {
            centre,
            half_width: 0.125,
            half_height: 0.095,
        },
    ]
}

impl Lesion {
    /// Density at `p` with this lesion, given what it was without.
    pub fn apply(&self, p: Point, density: f32, tissue: &Tissue, anatomy: &Anatomy) -> f32 {
        match self {
            Lesion::Fluid { side, level } => {
                let share = fluid_share(p, *side, *level, tissue, anatomy);
                mix(density, 0.68 + 0.5 * tissue.bone, share)
            }
            Lesion::FreeAir { side, depth } => free_air_density(p, density, *side, *depth, tissue),
            Lesion::Cloud {
                centre,
                width,
                height,
                strength,
                grain,
            } => {
                let (dx, dy) = ((p.x - centre.x) / width, (p.y - centre.y) / height);
                let distance = dx * dx + dy * dy;
                if distance > 6.0 {
                    return density;
                }
                let texture =
                    (p.x * 23.0 + 2.0 * (p.y * 13.0).sin()).sin() * (p.y * 19.0 + p.x * 7.0).cos();
                let cloud = (-0.7 * distance).exp() * (1.0 + 0.5 * grain * texture);
                density + strength * cloud * tissue.lung
            }
            Lesion::Disc { centre, radius } => {
                let distance = length(p.x - centre.x, p.y - centre.y);
                density + 0.42 * inside(distance - radius + 0.01, 0.03) * tissue.lung
            }
            Lesion::Plate {
                from,
                to,
                half,
                strength,
            } => {
                let distance = segment_distance(p, *from, *to);
                density + strength * inside(distance - 0.6 * half, half.max(0.02)) * tissue.lung
            }
            Lesion::Wire {
                path,
                half,
                strength,
            } => {
                let distance = path_distance(p, path, half + 0.012);
                density + strength * inside(distance - half, 0.012)
            }
            Lesion::Metal {
                centre,
                half_width,
                half_height,
            } => {
                let corner = 0.05;
                let dx = ((p.x - centre.x).abs() - half_width + corner).max(0.0);
                let dy = ((p.y - centre.y).abs() - half_height + corner).max(0.0);
                mix(density, 1.0, inside(length(dx, dy) - corner, 0.015))
            }
            Lesion::Break { centre, tilt } => break_density(p, density, *centre, *tilt),
        }
    }
}

/// Share of pleural fluid: below a meniscus that is lowest in the middle of the lung.
fn fluid_share(p: Point, side: f32, level: f32, tissue: &Tissue, anatomy: &Anatomy) -> f32 {
    if p.x * side <= 0.0 || p.y < level - 0.1 {
        return 0.0;
    }
    let across = (p.x.abs() / anatomy.half_width(p.y).max(0.1)).min(1.0);
    let surface = level + 0.16 * (1.0 - across * across);
    tissue.cavity * smooth_step(-0.03, 0.03, p.y - surface)
}

/// Black and without vessels outside the fallen lung, a bright pleural line at its edge.
fn free_air_density(p: Point, density: f32, side: f32, depth: f32, tissue: &Tissue) -> f32 {
    if p.x * side <= 0.0 || tissue.lung <= 0.0 {
        return density;
    }
    let taper = mix(1.0, 0.35, smooth_step(0.0, 0.6, p.y));
    let outside = depth * taper - tissue.wall;
    let air = mix(
        density,
        0.05 + 0.8 * tissue.bone,
        tissue.lung * smooth_step(-0.01, 0.01, outside),
    );
    air + 0.26 * tissue.lung * inside(outside.abs() - 0.012, 0.014)
}

fn break_density(p: Point, density: f32, centre: Point, tilt: f32) -> f32 {
    if (p.x - centre.x).abs() > 0.25 || (p.y - centre.y).abs() > 0.25 {
        return density;
    }
    let end = |direction: f32| {
        let step = 0.05 * direction;
        let at = |along: f32| Point {
            x: centre.x + direction * along,
            y: centre.y + step + tilt * direction * along,
        };
        inside(segment_distance(p, at(0.035), at(0.17)) - 0.038, 0.018)
    };
    let gap = inside(length(p.x - centre.x, p.y - centre.y) - 0.012, 0.03);
    density * (1.0 - 0.35 * gap) + 0.42 * end(-1.0).max(end(1.0))
}

fn segment_distance(p: Point, from: Point, to: Point) -> f32 {
    let (dx, dy) = (to.x - from.x, to.y - from.y);
    let along = ((p.x - from.x) * dx + (p.y - from.y) * dy) / (dx * dx + dy * dy);
    let along = along.clamp(0.0, 1.0);
    length(p.x - from.x - along * dx, p.y - from.y - along * dy)
}

/// Distance to a polyline; anything beyond `reach` may be returned as infinite.
fn path_distance(p: Point, path: &[Point], reach: f32) -> f32 {
    let mut nearest = f32::INFINITY;
    for pair in path.windows(2) {
        let [from, to] = [pair[0], pair[1]];
        let beyond = p.y < from.y.min(to.y) - reach
            || p.y > from.y.max(to.y) + reach
            || p.x < from.x.min(to.x) - reach
            || p.x > from.x.max(to.x) + reach;
        if !beyond {
            nearest = nearest.min(segment_distance(p, from, to));
        }
    }
    nearest
}
