//! Where a box is.

use crate::transform::Transform;

/// The map from a box to the stage: as it is computed, and as it is drawn. A browser lets every box that has a transform begin at a whole px
/// of what is around it, and forgets the rest of the way if the transform does more than move it: one px is no longer one px then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    exact: Transform,
    /// Up to the last box with a transform, and px from its corner.
    base: Transform,
    offset: [f64; 2],
    /// Whether it is drawn as a browser does it.
    snaps: bool,
}

impl Place {
    pub(super) fn stage(snaps: bool) -> Self {
        Self {
            exact: Transform::IDENTITY,
            base: Transform::IDENTITY,
            offset: [0.0; 2],
            snaps,
        }
    }

    /// A box in this one, px from its corner.
    pub(super) fn at(&self, [x, y]: [f64; 2]) -> Self {
        Self {
            exact: self.exact.times(&Transform::translate([x, y])),
            offset: [self.offset[0] + x, self.offset[1] + y],
            ..*self
        }
    }

    /// This box with a transform.
    pub(super) fn transformed(&self, transform: &Transform) -> Self {
        let mut whole = self.offset;
        let mut rest = [0.0; 2];
        if self.snaps {
            whole = self.offset.map(f64::round);
            if transform.only_moves() {
                rest = [self.offset[0] - whole[0], self.offset[1] - whole[1]];
            }
        }
        Self {
            exact: self.exact.times(transform),
            base: self.base.times(&Transform::translate(whole)).times(transform),
            offset: rest,
            snaps: self.snaps,
        }
    }

    /// The same without what is left of the way to it: it begins at a whole px even if it is not transformed at all. A browser does that where
    /// an effect of channels alone may turn the box at any time.
    pub(super) fn without_rest(&self) -> Self {
        Self {
            offset: [0.0; 2],
            ..*self
        }
    }

    pub(super) fn exact(&self) -> Transform {
        self.exact
    }

    pub(super) fn drawn(&self) -> Transform {
        self.base.times(&Transform::translate(self.offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corner(transform: Transform) -> [f64; 2] {
        transform.apply([0.0, 0.0])
    }

    #[test]
    fn what_only_moves_keeps_its_place() {
        let place = Place::stage(true)
            .at([10.3, 5.5])
            .transformed(&Transform::translate([0.5, 0.0]))
            .at([0.4, 0.0]);
        let (drawn, exact) = (corner(place.drawn()), corner(place.exact()));
        assert!((drawn[0] - 11.2).abs() < 1e-9 && (drawn[1] - 5.5).abs() < 1e-9);
        assert!((drawn[0] - exact[0]).abs() < 1e-9);
    }

    #[test]
    fn what_is_scaled_begins_at_a_whole_px() {
        let scale = Transform::scale([2.0, 2.0]);
        let place = Place::stage(true).at([10.3, 5.5]).transformed(&scale);
        assert_eq!(corner(place.drawn()), [10.0, 6.0]);
        assert_eq!(corner(place.exact()), [10.3, 5.5]);
        assert_eq!(
            corner(Place::stage(false).at([10.3, 5.5]).transformed(&scale).drawn()),
            [10.3, 5.5]
        );
    }

    #[test]
    fn what_may_turn_begins_at_a_whole_px() {
        let place = Place::stage(true)
            .at([10.3, 5.5])
            .transformed(&Transform::IDENTITY)
            .without_rest();
        assert_eq!(corner(place.drawn()), [10.0, 6.0]);
        assert_eq!(corner(place.exact()), [10.3, 5.5]);
    }
}
