//! Anchor (default box) generation.

/// One layer of a BlazeFace-like grid of anchors: `side` x `side` cells, `count` anchors in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    pub side: usize,
    pub count: usize,
}

/// Centres of the anchors in 0..1 of the input square, row-major, the anchors of one cell next to each other.
/// Their size is not used: the network predicts absolute widths and heights.
pub fn grid_centres(layers: &[Grid]) -> Vec<[f32; 2]> {
    let mut centres = Vec::with_capacity(layers.iter().map(|l| l.side * l.side * l.count).sum());
    for &Grid { side, count } in layers {
        for y in 0..side {
            for x in 0..side {
                let centre = [(x as f32 + 0.5) / side as f32, (y as f32 + 0.5) / side as f32];
                centres.extend(std::iter::repeat_n(centre, count));
            }
        }
    }
    centres
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_centres_of_blazeface_are_896_and_row_major() {
        let centres = grid_centres(&[Grid { side: 16, count: 2 }, Grid { side: 8, count: 6 }]);
        assert_eq!(centres.len(), 896);
        assert_eq!(centres[0], [0.03125, 0.03125]);
        assert_eq!(centres[1], centres[0]);
        assert_eq!(centres[2], [0.09375, 0.03125]);
        assert_eq!(centres[32], [0.03125, 0.09375]);
        assert_eq!(centres[512], [0.0625, 0.0625]);
        assert_eq!(centres[895], [0.9375, 0.9375]);
    }

    #[test]
    fn no_layer_and_empty_layers_give_no_anchor() {
        assert!(grid_centres(&[]).is_empty());
        assert!(grid_centres(&[Grid { side: 0, count: 6 }, Grid { side: 4, count: 0 }]).is_empty());
    }
}
