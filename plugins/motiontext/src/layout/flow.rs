//! Boxes in boxes: as much of CSS 2 and of flexible boxes as scenarios can ask for.
//!
//! A [`Block`] is laid out into a [`Fragment`] of the same shape. Percentages count from the containing block, paddings and margins add to
//! `size`, as with `box-sizing: content-box`.

use super::text::{self, Inline, Lines, Measure};
use crate::css::Length;
use crate::model::{Align, Anchor, Insets, Size};

/// A box before it has a place.
#[derive(Debug, Clone)]
pub(super) struct Block<T> {
    /// What it is for; layout does not look at it.
    pub(super) tag: T,
    pub(super) display: Display,
    /// Taken out of the flow and put there, in the containing block.
    pub(super) position: Option<[Size; 2]>,
    pub(super) anchor: Anchor,
    /// Its position is held within these.
    pub(super) safe: Option<Insets>,
    /// The room that a box has that is put at a position: to the right of it, or all there is.
    pub(super) whole_room: bool,
    pub(super) size: [Option<Size>; 2],
    pub(super) min: [Option<Size>; 2],
    pub(super) max: [Option<Size>; 2],
    /// Top, right, bottom, left, px, border included.
    pub(super) padding: [f64; 4],
    pub(super) border: f64,
    pub(super) margin: [f64; 4],
    pub(super) children: Vec<Block<T>>,
}

#[derive(Debug, Clone)]
pub(super) enum Display {
    /// Children below each other, as wide as there is room. Text in it is as wide as it needs to be.
    Block {
        align: Align,
    },
    /// Children beside each other.
    Row {
        wrap: bool,
        align: Align,
        justify: Align,
        gap: f64,
        line_gap: f64,
    },
    /// Children below each other, as wide as they need to be.
    Column {
        align: Align,
        justify: Align,
        gap: f64,
    },
    /// Children in columns of equal width.
    Grid {
        gap: f64,
        columns: Columns,
    },
    Text(Inline),
    /// px
    Fixed([f64; 2]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Columns {
    /// As many as there is room for at one px each, for as many children as there are; children fill them.
    Fit,
    /// One for each child, which stands in its middle.
    Each,
}

impl<T> Block<T> {
    pub(super) fn new(tag: T, display: Display) -> Self {
        Self {
            tag,
            display,
            position: None,
            anchor: Anchor::CENTER,
            safe: None,
            whole_room: false,
            size: [None; 2],
            min: [None; 2],
            max: [None; 2],
            padding: [0.0; 4],
            border: 0.0,
            margin: [0.0; 4],
            children: Vec::new(),
        }
    }

    fn around(&self) -> [f64; 2] {
        let [top, right, bottom, left] = self.padding;
        [left + right, top + bottom]
    }

    fn margins(&self) -> [f64; 2] {
        let [top, right, bottom, left] = self.margin;
        [left + right, top + bottom]
    }

    fn in_flow(&self) -> impl Iterator<Item = (usize, &Self)> {
        self.children
            .iter()
            .enumerate()
            .filter(|(_, child)| child.position.is_none())
    }
}

/// A box in its place.
#[derive(Debug, Clone, Default)]
pub(super) struct Fragment {
    /// Of the upper left corner from that of the parent, px.
    pub(super) at: [f64; 2],
    /// With padding and border.
    pub(super) size: [f64; 2],
    /// In the order of the block's.
    pub(super) children: Vec<Fragment>,
    pub(super) lines: Lines,
}

/// Lays out the stage and everything in it.
pub(super) fn stage<T>(root: &Block<T>, size: [f64; 2], measure: &mut dyn Measure) -> Fragment {
    let mut fragment = layout(root, size[0], Some(size[1]), measure);
    fragment.size = size;
    place(root, &mut fragment, [0.0, 0.0, size[0], size[1]], measure);
    fragment
}

/// The size of a box that stands in a containing block of that size.
pub(super) fn measured<T>(block: &Block<T>, containing: [f64; 2], measure: &mut dyn Measure) -> [f64; 2] {
    let width = match block.position {
        Some(position) => positioned_width(block, position[0].px(containing[0]), containing[0], measure),
        None => stretched_width(block, containing[0]),
    };
    layout(block, width, Some(containing[1]), measure).size
}

/// The least and the most content width that a box wants; percentages do not count.
fn intrinsic<T>(block: &Block<T>, measure: &mut dyn Measure) -> [f64; 2] {
    if let Some(Length::Px(width)) = block.size[0] {
        return [width; 2];
    }
    let mut children = |join: &dyn Fn([f64; 2], [f64; 2]) -> [f64; 2]| {
        let mut all = [0.0; 2];
        for (_, child) in block.in_flow() {
            let outer = child.around()[0] + child.margins()[0];
            let mut wanted = intrinsic(child, measure);
            let bound =
                |bound: Option<Size>| bound.and_then(|size| if let Length::Px(px) = size { Some(px) } else { None });
            for want in &mut wanted {
                *want = want
                    .min(bound(child.max[0]).unwrap_or(f64::INFINITY))
                    .max(bound(child.min[0]).unwrap_or(0.0))
                    + outer;
            }
            all = join(all, wanted);
        }
        all
    };
    let count = block.in_flow().count();
    match &block.display {
        Display::Text(inline) => text::intrinsic(inline, measure),
        Display::Fixed(size) => [size[0]; 2],
        Display::Block { .. } | Display::Column { .. } => {
            children(&|all, one| [all[0].max(one[0]), all[1].max(one[1])])
        }
        Display::Row { wrap, gap, .. } => {
            let gaps = gap * count.saturating_sub(1) as f64;
            let [least, most] = if *wrap {
                children(&|all, one| [all[0].max(one[0]), all[1] + one[1]])
            } else {
                children(&|all, one| [all[0] + one[0], all[1] + one[1]])
            };
            [if *wrap { least } else { least + gaps }, most + gaps]
        }
        Display::Grid { gap, columns } => {
            let widest = children(&|all, one| [all[0].max(one[0]), all[1].max(one[1])]);
            match columns {
                Columns::Fit => widest,
                Columns::Each => {
                    let gaps = gap * count.saturating_sub(1) as f64;
                    [gaps, widest[1] * count as f64 + gaps]
                }
            }
        }
    }
}

fn clamped<T>(block: &Block<T>, axis: usize, value: f64, whole: Option<f64>) -> f64 {
    let bound = |size: Option<Size>| match (size?, whole) {
        (Length::Px(px), _) => Some(px),
        (Length::Share(share), Some(whole)) => Some(share * whole),
        (Length::Share(_), None) => None,
    };
    value
        .min(bound(block.max[axis]).unwrap_or(f64::INFINITY))
        .max(bound(block.min[axis]).unwrap_or(0.0))
        .clamp(0.0, LARGEST)
}

/// No box is larger, px: shares of shares could be infinite.
const LARGEST: f64 = 1e7;

/// Content width of a box that takes what there is.
fn stretched_width<T>(block: &Block<T>, containing: f64) -> f64 {
    let width = block.size[0].map(|size| size.px(containing));
    let width = width.unwrap_or(containing - block.around()[0] - block.margins()[0]);
    clamped(block, 0, width, Some(containing))
}

/// Content width of a box that takes what it needs, within `room`.
fn fitted_width<T>(block: &Block<T>, room: f64, containing: f64, measure: &mut dyn Measure) -> f64 {
    let width = match block.size[0] {
        Some(size) => size.px(containing),
        None => {
            let [least, most] = intrinsic(block, measure);
            least.max(most.min(room - block.around()[0] - block.margins()[0]))
        }
    };
    clamped(block, 0, width, Some(containing))
}

fn positioned_width<T>(block: &Block<T>, left: f64, containing: f64, measure: &mut dyn Measure) -> f64 {
    let room = if block.whole_room {
        containing
    } else {
        containing - left
    };
    fitted_width(block, room, containing, measure)
}

/// A box of a known content width. `containing_height` is none where the containing block is as high as its content.
fn layout<T>(block: &Block<T>, width: f64, containing_height: Option<f64>, measure: &mut dyn Measure) -> Fragment {
    let given = match block.size[1] {
        Some(Length::Px(px)) => Some(px),
        Some(Length::Share(share)) => containing_height.map(|height| share * height),
        None => None,
    };
    let given = given.map(|height| clamped(block, 1, height, containing_height));
    let bounded = |content: f64| given.unwrap_or_else(|| clamped(block, 1, content, containing_height));
    let mut fragment = Fragment {
        children: vec![Fragment::default(); block.children.len()],
        ..Fragment::default()
    };
    let content = match &block.display {
        Display::Text(inline) => {
            fragment.lines = text::set(inline, width, measure);
            fragment.lines.size[1]
        }
        Display::Fixed(size) => size[1],
        Display::Block { align } => below_each_other(block, *align, width, given, &mut fragment, measure),
        Display::Column { align, justify, gap } => column(
            block,
            (*align, *justify, *gap),
            width,
            (given, &bounded),
            &mut fragment,
            measure,
        ),
        Display::Row {
            wrap,
            align,
            justify,
            gap,
            line_gap,
        } => {
            let rule = RowRule {
                wrap: *wrap,
                align: *align,
                justify: *justify,
                gap: *gap,
                line_gap: *line_gap,
            };
            row(block, &rule, width, given, &mut fragment, measure)
        }
        Display::Grid { gap, columns } => grid(block, *gap, *columns, width, &mut fragment, measure),
    };
    let height = bounded(content);
    fragment.size = [width + block.around()[0], height + block.around()[1]];
    let inset = [block.padding[3], block.padding[0]];
    for child in &mut fragment.children {
        child.at = [child.at[0] + inset[0], child.at[1] + inset[1]];
    }
    fragment
}

fn below_each_other<T>(
    block: &Block<T>,
    align: Align,
    width: f64,
    height: Option<f64>,
    fragment: &mut Fragment,
    measure: &mut dyn Measure,
) -> f64 {
    let mut y = 0.0;
    for (index, child) in block.in_flow() {
        let [top, _, bottom, left] = child.margin;
        let text = matches!(child.display, Display::Text(_));
        let inner = if text {
            fitted_width(child, width, width, measure)
        } else {
            stretched_width(child, width)
        };
        let mut placed = layout(child, inner, height, measure);
        let free = (width - placed.size[0]).max(0.0);
        let x = match align {
            Align::Center if text => free / 2.0,
            Align::End if text => free,
            _ => left,
        };
        placed.at = [x, y + top];
        y += top + placed.size[1] + bottom;
        fragment.children[index] = placed;
    }
    y
}

fn aligned(align: Align, free: f64) -> f64 {
    match align {
        Align::Start | Align::Between => 0.0,
        Align::Center => free / 2.0,
        Align::End => free,
    }
}

/// Where things of these sizes go along a line, and the gaps between them.
fn justified(justify: Align, free: f64, count: usize) -> (f64, f64) {
    match justify {
        Align::Between if count > 1 => (0.0, free.max(0.0) / (count - 1) as f64),
        other => (aligned(other, free), 0.0),
    }
}

fn column<T>(
    block: &Block<T>,
    (align, justify, gap): (Align, Align, f64),
    width: f64,
    (given, bounded): (Option<f64>, &dyn Fn(f64) -> f64),
    fragment: &mut Fragment,
    measure: &mut dyn Measure,
) -> f64 {
    let mut content = 0.0;
    let mut count = 0;
    for (index, child) in block.in_flow() {
        let inner = fitted_width(child, width, width, measure);
        let placed = layout(child, inner, given, measure);
        content += placed.size[1] + child.margins()[1] + if count > 0 { gap } else { 0.0 };
        count += 1;
        fragment.children[index] = placed;
    }
    let (mut y, between) = justified(justify, bounded(content) - content, count);
    for (index, child) in block.in_flow() {
        let [top, right, bottom, left] = child.margin;
        let placed = &mut fragment.children[index];
        let x = left + aligned(align, width - placed.size[0] - left - right);
        placed.at = [x, y + top];
        y += top + placed.size[1] + bottom + gap + between;
    }
    content
}

struct RowRule {
    wrap: bool,
    align: Align,
    justify: Align,
    gap: f64,
    line_gap: f64,
}

/// A child and the content width that it is given.
struct Flexed {
    index: usize,
    width: f64,
    least: f64,
    outer: f64,
}

fn row<T>(
    block: &Block<T>,
    rule: &RowRule,
    width: f64,
    given: Option<f64>,
    fragment: &mut Fragment,
    measure: &mut dyn Measure,
) -> f64 {
    let mut lines: Vec<Vec<Flexed>> = vec![Vec::new()];
    let mut used = 0.0;
    for (index, child) in block.in_flow() {
        let outer = child.around()[0] + child.margins()[0];
        let [least, most] = intrinsic(child, measure);
        let wanted = child.size[0].map_or(most, |size| size.px(width));
        let wanted = clamped(child, 0, wanted, Some(width));
        let least = clamped(child, 0, least.min(wanted), Some(width));
        let line = lines.last_mut().expect("never empty");
        let with = used + if line.is_empty() { 0.0 } else { rule.gap } + wanted + outer;
        let item = Flexed {
            index,
            width: wanted,
            least,
            outer,
        };
        if rule.wrap && !line.is_empty() && with > width + 1e-6 {
            used = wanted + outer;
            lines.push(vec![item]);
        } else {
            used = with;
            line.push(item);
        }
    }
    let one_line = lines.len() == 1;
    let mut y = 0.0;
    let mut first = true;
    for mut line in lines.into_iter().filter(|line| !line.is_empty()) {
        if !first {
            y += rule.line_gap;
        }
        first = false;
        let gaps = rule.gap * (line.len() - 1) as f64;
        shrink(&mut line, width - gaps);
        let mut cross = 0.0_f64;
        for item in &line {
            let child = &block.children[item.index];
            let placed = layout(child, item.width, given, measure);
            cross = cross.max(placed.size[1] + child.margins()[1]);
            fragment.children[item.index] = placed;
        }
        if let (true, Some(height)) = (one_line, given) {
            cross = height;
        }
        let used: f64 = line.iter().map(|item| item.width + item.outer).sum();
        let (mut x, between) = justified(rule.justify, width - gaps - used, line.len());
        for item in &line {
            let [top, _, bottom, left] = block.children[item.index].margin;
            let placed = &mut fragment.children[item.index];
            placed.at = [
                x + left,
                y + top + aligned(rule.align, cross - placed.size[1] - top - bottom),
            ];
            x += item.width + item.outer + rule.gap + between;
        }
        y += cross;
    }
    y
}

/// Takes from each in proportion to what it has until the line fits, but from none more than it can give.
fn shrink(line: &mut [Flexed], room: f64) {
    for _ in 0..line.len() {
        let over = line.iter().map(|item| item.width + item.outer).sum::<f64>() - room;
        let giving: f64 = line
            .iter()
            .filter(|item| item.width > item.least)
            .map(|item| item.width)
            .sum();
        if over <= 1e-6 || giving <= 0.0 {
            return;
        }
        for item in line.iter_mut().filter(|item| item.width > item.least) {
            item.width = (item.width - over * item.width / giving).max(item.least);
        }
    }
}

fn grid<T>(
    block: &Block<T>,
    gap: f64,
    columns: Columns,
    width: f64,
    fragment: &mut Fragment,
    measure: &mut dyn Measure,
) -> f64 {
    let children: Vec<usize> = block.in_flow().map(|(index, _)| index).collect();
    let count = match columns {
        Columns::Fit => (((width + gap) / (1.0 + gap)).floor().max(1.0) as usize).min(children.len()),
        Columns::Each => children.len(),
    };
    if count == 0 {
        return 0.0;
    }
    let cell = ((width - gap * (count - 1) as f64) / count as f64).max(0.0);
    let mut y = 0.0;
    for (row, indices) in children.chunks(count).enumerate() {
        if row > 0 {
            y += gap;
        }
        let inner = |index: usize, measure: &mut dyn Measure| match columns {
            Columns::Fit => stretched_width(&block.children[index], cell),
            Columns::Each => fitted_width(&block.children[index], cell, cell, measure),
        };
        let mut height = 0.0_f64;
        for &index in indices {
            let width = inner(index, measure);
            let placed = layout(&block.children[index], width, None, measure);
            height = height.max(placed.size[1]);
            fragment.children[index] = placed;
        }
        for (place, &index) in indices.iter().enumerate() {
            let child = &block.children[index];
            let is_text = child.children.iter().all(|child| child.children.is_empty());
            if columns == Columns::Each && is_text {
                // Shares of the height count from the row, which is known by now.
                let width = inner(index, measure);
                fragment.children[index] = layout(child, width, Some(height), measure);
            }
            let placed = &mut fragment.children[index];
            let x = place as f64 * (cell + gap);
            placed.at = match columns {
                Columns::Fit => [x, y],
                Columns::Each => [x + (cell - placed.size[0]) / 2.0, y],
            };
        }
        y += height;
    }
    y
}

/// Puts everything that has a position, from the outside in. `containing` is x, y, width and height of the containing block, seen from the
/// corner of this box.
fn place<T>(block: &Block<T>, fragment: &mut Fragment, containing: [f64; 4], measure: &mut dyn Measure) {
    for (child, fragment) in block.children.iter().zip(&mut fragment.children) {
        let [x, y, width, height] = containing;
        let Some(position) = child.position else {
            let [dx, dy] = fragment.at;
            place(child, fragment, [x - dx, y - dy, width, height], measure);
            continue;
        };
        let (mut left, mut top) = (position[0].px(width), position[1].px(height));
        let inner = positioned_width(child, left, width, measure);
        *fragment = layout(child, inner, Some(height), measure);
        if let Some(safe) = child.safe {
            // A box's own size is only known for texts in time; of groups the anchor's point is held.
            let own = if child
                .children
                .iter()
                .any(|child| matches!(child.display, Display::Text(_)))
            {
                [fragment.size[0] / width.max(1.0), fragment.size[1] / height.max(1.0)]
            } else {
                [0.0; 2]
            };
            let Anchor { x: ax, y: ay } = child.anchor;
            let hold = |value: f64, low: f64, high: f64| value.max(low).min(high);
            left = width
                * hold(
                    left / width.max(1.0),
                    safe.left + ax * own[0],
                    1.0 - safe.right - (1.0 - ax) * own[0],
                );
            top = height
                * hold(
                    top / height.max(1.0),
                    safe.top + ay * own[1],
                    1.0 - safe.bottom - (1.0 - ay) * own[1],
                );
        }
        fragment.at = [x + left, y + top];
        let border = child.border;
        let padding_box = [
            border,
            border,
            fragment.size[0] - 2.0 * border,
            fragment.size[1] - 2.0 * border,
        ];
        place(child, fragment, padding_box, measure);
    }
}
